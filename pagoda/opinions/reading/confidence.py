"""How sure an opinion is: scores into probabilities, and how far probabilities are from the truth.

On the path *item -> opinion of a company*, behind every classifier. One temperature for all labels: fitted on texts
that the classifier did not train on, it changes no label. Paper: Guo et al. 2017, "On Calibration of Modern Neural
Networks" (arXiv 1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pagoda.nlu.calibration import best_temperature, softmax

_BINS = 10
_FEWEST = 20
"""With fewer texts held out than this a temperature would be chance."""


@dataclass(frozen=True)
class Confidence:
    """Turns scores into probabilities. temperature: what scores are divided by; above 1 where they are too sure."""

    temperature: float = 1.0

    @classmethod
    def fitted(cls, scores: np.ndarray, truth: np.ndarray) -> Confidence:
        """On scores [n, num_labels] of texts held out, and the right rows [n]. Few texts: scores are left alone."""
        return cls(best_temperature(scores, truth)) if len(truth) >= _FEWEST else cls()

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """[n, num_labels], each row of sum 1, of scores [n, num_labels]."""
        return softmax(scores / self.temperature)


def calibration_error(probabilities: np.ndarray, is_right: np.ndarray) -> float:
    """Expected calibration error: how far probability and share of right answers are apart, over ten equal bins.

    probabilities: [n] of the answers given; is_right: bool [n]
    """
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    apart = 0.0
    for number in range(_BINS):
        inside = bins == number
        if inside.any():
            apart += inside.mean() * abs(float(probabilities[inside].mean()) - float(is_right[inside].mean()))
    return float(apart)
