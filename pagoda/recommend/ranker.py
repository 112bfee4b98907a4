"""How much each model counts in the score: weights learned on what people took later than the models saw.

Between candidates and the list. The models are made without the last part of every history; that part is what the
weights must put in front, by the softmax over all items (a multinomial logit, McFadden 1974). It is convex and has few
unknowns, so that Newton's method ends in a dozen steps. A ranker that learned on what its models were made of would
trust the one that learned most by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_STEPS, _TOLERANCE = 30, 1e-6
_FLOOR = 1e-9
"""Spread below which scores say nothing: they are all one number."""


@dataclass(frozen=True)
class Case:
    """One person at one moment: `features [models, items]` fp32, `wanted` numbers of items, `open` whether shown."""

    features: np.ndarray
    wanted: np.ndarray
    open: np.ndarray


def spread(scores: np.ndarray) -> np.ndarray:
    """`scores [models, items]` -> `[models]`, what each is divided by to be on one scale; 0 where it says nothing.

    Scale alone is taken out: a shift moves no item past another, and without one a score stays the sum of its parts.
    """
    deviation = scores.std(1)
    return np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > _FLOOR)


def fit(cases: Sequence[Case], decay: float = 1e-3) -> np.ndarray:
    """Weights `[models]` that make what people took most likely.

    decay: of the sum of squares, against weights that grow without end where models agree
    """
    size = len(cases[0].features)
    weights = np.full(size, 1.0 / size)
    value, gradient, curvature = _likelihood(cases, weights, decay)
    for _ in range(_STEPS):
        step = np.linalg.solve(curvature + 1e-9 * np.eye(size), gradient)
        length = 1.0
        while length > 1e-4:
            tried = _likelihood(cases, weights - length * step, decay)
            if tried[0] <= value:
                break
            length /= 2
        gained, weights = value - tried[0], weights - length * step
        value, gradient, curvature = tried
        if gained < _TOLERANCE:
            break
    return weights


def _likelihood(cases: Sequence[Case], weights: np.ndarray, decay: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean negative logarithm of the likelihood, its gradient `[models]` and its second derivatives."""
    size = len(weights)
    value, gradient, curvature = 0.0, np.zeros(size), np.zeros((size, size))
    for case in cases:
        logits = np.where(case.open, weights @ case.features, -np.inf)
        highest = logits.max()
        chances = np.exp(logits - highest)
        total = chances.sum()
        chances /= total
        mean = case.features @ chances
        value -= logits[case.wanted].mean() - highest - np.log(total)
        gradient += mean - case.features[:, case.wanted].mean(1)
        curvature += (case.features * chances) @ case.features.T - np.outer(mean, mean)
    count = len(cases)
    return (
        value / count + decay * float(weights @ weights),
        gradient / count + 2 * decay * weights,
        curvature / count + 2 * decay * np.eye(size),
    )
