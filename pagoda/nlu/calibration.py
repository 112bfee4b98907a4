"""How sure a reading is: in scope or not, and the probability that the intent is right.

On the path *sentence -> Understanding*. Fitted on sentences that the classifier did not train on. Signs of being in
scope: softmax (Hendrycks and Gimpel 2017, arXiv 1610.02136), energy (Liu et al. 2020, arXiv 2010.03759) and cosine with
the nearest prototype; temperature and logistic scaling: Guo et al. 2017 (arXiv 1706.04599), Platt 1999.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_FEWEST_OUTSIDE = 20
"""With fewer out-of-scope sentences than this, the signs weigh the same."""
_FEWEST_INSIDE = 20
_WIDEST_GAP = 0.5
"""Standard deviations that the threshold may lie below all sentences in scope, however far away the outsiders are."""
_TEMPERATURES = np.geomspace(0.25, 4.0, 33)


@dataclass(frozen=True)
class Calibration:
    """Turns scores of intents and signs of scope into probabilities.

    means, scales, weights: of the signs; threshold: below it a sentence is out of scope; slope: of its probability
    right: (weight of the intent's log-odds, weight of the scope's, constant) of the probability of being right
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    threshold: float
    slope: float
    temperature: float = 1.0
    right: tuple[float, float, float] = (1.0, 0.0, 0.0)

    def scope_scores(self, signs: np.ndarray) -> np.ndarray:
        """[n] from signs [n, num_signs]: the higher, the surer in scope; comparable with the threshold."""
        standard = (signs - np.array(self.means)) / np.array(self.scales)
        return np.asarray(standard @ np.array(self.weights))

    def in_scope(self, signs: np.ndarray) -> np.ndarray:
        """[n] probability of being in scope; .5 at the threshold."""
        return _sigmoid(self.slope * (self.scope_scores(signs) - self.threshold))

    def confidence(self, logits: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """[n] probability that the best intent is in scope and right. logits: [n, num_intents]."""
        odds = _log_odds(softmax(logits / self.temperature).max(1))
        scope = self.slope * (self.scope_scores(signs) - self.threshold)
        by_odds, by_scope, constant = self.right
        return _sigmoid(by_odds * odds + by_scope * scope + constant)

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Calibration:
        """The inverse of to_json."""
        read: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in fields.items()}
        return cls(**read)


def fit(logits: np.ndarray, signs: np.ndarray, truth: np.ndarray, false_rejects: float) -> Calibration:
    """From held-out sentences. logits: [n, num_intents] in scope; truth: [n] the right row, -1 where out of scope.

    false_rejects: share of the sentences in scope that may be called out of scope. Too few sentences to tell: a
    threshold far below all of them.
    """
    inside = truth >= 0
    if inside.sum() < _FEWEST_INSIDE:
        return _uncalibrated(signs)
    means, scales = signs[inside].mean(0), signs[inside].std(0) + 1e-6
    standard = np.clip((signs - means) / scales, -20, 20)
    weights = np.full(signs.shape[1], 1 / signs.shape[1])
    if (~inside).sum() >= _FEWEST_OUTSIDE:
        learned = np.maximum(logistic(standard, inside.astype(float), balanced=True)[:-1], 0)
        # Outsiders to come are of more kinds than those at hand: a sign that these do not need keeps some weight.
        weights = weights / 2 + learned / max(1e-9, 2 * float(learned.sum()))
    scores = standard @ weights
    threshold = _threshold(scores, inside, false_rejects)
    slope = _slope(scores, inside, threshold)
    temperature = best_temperature(logits[inside], truth[inside])
    odds = _log_odds(softmax(logits / temperature).max(1))
    is_right = (logits.argmax(1) == truth).astype(float)
    right = logistic(np.stack([odds, slope * (scores - threshold)], 1), is_right, penalty=2.0, nonnegative=True)
    return Calibration(
        _floats(means),
        _floats(scales),
        _floats(weights),
        threshold,
        slope,
        temperature,
        (float(right[0]), float(right[1]), float(right[2])),
    )


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _uncalibrated(signs: np.ndarray) -> Calibration:
    width = signs.shape[1]
    return Calibration((0.0,) * width, (1.0,) * width, (1 / width,) * width, -1e6, 1.0)


def _threshold(scores: np.ndarray, inside: np.ndarray, false_rejects: float) -> float:
    """The highest that may be; where outsiders are known, the lowest that finds as many more than it turns away."""
    highest = float(np.quantile(scores[inside], false_rejects, method="lower"))
    outside = np.sort(scores[~inside])
    if len(outside) < _FEWEST_OUTSIDE:
        return highest
    values = np.unique(np.append(scores[scores <= highest], highest))
    middles = np.append((values[:-1] + values[1:]) / 2, highest)
    found = np.searchsorted(outside, middles) / len(outside)
    turned_away = np.searchsorted(np.sort(scores[inside]), middles) / inside.sum()
    chosen = float(middles[int(np.argmax(found - turned_away))])
    accepted = scores[inside & (scores >= chosen)]
    return max(chosen, float(accepted.min() - _WIDEST_GAP * accepted.std()))


def _slope(scores: np.ndarray, inside: np.ndarray, threshold: float) -> float:
    """How fast the probability rises at the threshold: as the outsiders are apart, else as the insiders vary."""
    if (~inside).sum() >= _FEWEST_OUTSIDE:
        weight = logistic((scores - threshold)[:, None], inside.astype(float), balanced=True)[0]
        return float(np.clip(weight, 0.2, 20))
    return float(1 / (scores[inside].std() + 1e-6))


def best_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """What logits [n, num_labels] are best divided by, so that the right rows [n] are likeliest."""
    rows = np.arange(len(truth))
    losses = [-np.log(softmax(logits / t)[rows, truth] + 1e-12).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def logistic(
    inputs: np.ndarray, truth: np.ndarray, *, penalty: float = 1.0, balanced: bool = False, nonnegative: bool = False
) -> np.ndarray:
    """[width + 1] weights and constant of a logistic regression of truth in {0, 1} on inputs [n, width], by Newton.

    nonnegative: inputs of negative weight are left out, one after the other
    """
    kept = list(range(inputs.shape[1]))
    while True:
        solved = _newton(inputs[:, kept], truth, penalty, balanced)
        if not nonnegative or not kept or solved[:-1].min() >= 0:
            break
        del kept[int(solved[:-1].argmin())]
    weights = np.zeros(inputs.shape[1] + 1)
    weights[[*kept, inputs.shape[1]]] = solved
    return weights


def _newton(inputs: np.ndarray, truth: np.ndarray, penalty: float, balanced: bool) -> np.ndarray:
    design = np.column_stack([inputs, np.ones(len(inputs))])
    share = np.clip(truth.mean(), 1e-3, 1 - 1e-3)
    importance = np.where(truth > 0, 0.5 / share, 0.5 / (1 - share)) if balanced else np.ones(len(truth))
    ridge = np.diag([penalty] * inputs.shape[1] + [1e-3])
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        chance = _sigmoid(design @ weights)
        gradient = design.T @ (importance * (chance - truth)) + ridge @ weights
        curvature = (design * (importance * chance * (1 - chance))[:, None]).T @ design + ridge
        move = np.linalg.solve(curvature, gradient)
        weights = weights - move / max(1.0, float(np.abs(move).max()) / 2)
    return weights


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    largest = logits.max(-1, keepdims=True)
    return np.asarray(np.log(np.exp(logits - largest).sum(-1)) + largest[..., 0])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))))


def _log_odds(chance: np.ndarray) -> np.ndarray:
    clipped = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))
