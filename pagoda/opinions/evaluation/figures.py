"""Figures of classifiers, as the papers of the sets count them.

Beside the path *item -> opinion of a company*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pagoda.opinions.reading.confidence import calibration_error


@dataclass(frozen=True)
class Measured:
    """One set. figures: by name; aims: what these must reach; peers: the same rows by simpler means.

    cpu_s: of this process, for training and reading together
    """

    name: str
    num_trained: int
    num_held: int
    figures: dict[str, float]
    aims: dict[str, float] = field(default_factory=dict)
    peers: dict[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0


def classified(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 over the labels that occur, calibration error. truth: [n]; probabilities: [n, num_labels]."""
    answers = probabilities.argmax(1)
    return {
        "accuracy": float((answers == truth).mean()),
        "macro-F1": macro_f1(truth, answers),
        "calibration error": calibration_error(probabilities.max(1), answers == truth),
    }


def macro_f1(truth: np.ndarray, answers: np.ndarray) -> float:
    """Mean of the F1 of each label that is right somewhere."""
    scores = []
    for label in np.unique(truth):
        both = int(((answers == label) & (truth == label)).sum())
        scores.append(2 * both / max(1, int((answers == label).sum() + (truth == label).sum())))
    return float(np.mean(scores))


def majority(truth: np.ndarray) -> float:
    """Accuracy of always saying the commonest label."""
    return float(np.bincount(truth).max() / len(truth))


def found_pairs(right: Sequence[set[str]], found: Sequence[set[str]]) -> dict[str, float]:
    """Precision, recall and F1 of things found in texts."""
    both = sum(len(one & other) for one, other in zip(right, found, strict=True))
    precision, recall = both / max(1, sum(map(len, found))), both / max(1, sum(map(len, right)))
    return {"precision": precision, "recall": recall, "F1": 2 * precision * recall / max(1e-9, precision + recall)}
