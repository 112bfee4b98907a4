"""Levenberg and Marquardt's least squares, with weights that let outliers count less; for scripts that fit constants.

(Levenberg 1944; Marquardt 1963; soft L1 as in Triggs et al. 2000, "Bundle Adjustment".) Needs nothing but numpy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def fitted(
    residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray, *, step: float, scale: float, num_rounds: int
) -> np.ndarray:
    """Where the robust sum of squares is smallest, from `start` on. step: of the difference quotients."""
    x, damping = start, 1e-2
    r = residuals(x)
    for _ in range(num_rounds):
        jacobian = np.array([(residuals(x + step * unit) - r) / step for unit in np.eye(len(x))]).T
        weights = 1 / np.sqrt(1 + (r / scale) ** 2)
        normal = jacobian.T @ (weights[:, None] * jacobian)
        gradient = jacobian.T @ (weights * r)
        before = _loss(r, scale)
        for _ in range(12):
            tried = x - np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), gradient)
            new = residuals(tried)
            if _loss(new, scale) < before:
                damping /= 3
                break
            damping *= 4
        else:
            return x
        x, r = tried, new
        if before - _loss(r, scale) < 1e-4 * before:
            return x
    return x


def _loss(r: np.ndarray, scale: float) -> float:
    return float(np.sum(np.sqrt(1 + (r / scale) ** 2) - 1))
