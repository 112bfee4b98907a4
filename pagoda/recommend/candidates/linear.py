"""The models whose score is a sum over past things: which item stands how near to which.

Third station: candidates. A matrix `[past, next]` is made of who took what; a history is a row of weights in front of
it. So what each past thing adds to a score is one number of the matrix times its weight, the reason that is shown, and
the sum of all is the score. Item-kNN: cosine of co-occurrence, damped, the nearest kept (Sarwar et al. 2001; shrinkage
as Bell & Koren 2007). EASE: the closed form of the linear autoencoder with no diagonal (Steck 2019, arXiv 1905.03375,
equation 8). Transitions: how often the one came soon after the other, damped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pagoda.errors import InsufficientMemoryError
from pagoda.hardware import available_memory_bytes
from pagoda.recommend.candidates.recency import ALL, Recency
from pagoda.recommend.data.interactions import InteractionLog

_MATRICES = 4
"""So many matrices of items by items are held at once, in fp64, while EASE is solved."""
_WHOLE = 256
"""Rows of a matrix that is inverted in one piece."""
_PEOPLE = 2048
_ROWS = 32


@dataclass(frozen=True)
class LinearModel:
    """matrix: `[items, items]` fp32, what a past item (row) adds to each next one (column); its diagonal is 0."""

    name: str
    matrix: np.ndarray
    recency: Recency = ALL

    def scores(self, history: np.ndarray) -> np.ndarray:
        """`history [n]`, numbers of items, oldest first -> `[items]` fp64."""
        weights = self.recency.weights(len(history))
        counted = np.flatnonzero(
            weights > 0.0
        )  # of a long history few rows are read, where the last things alone count
        found = np.zeros(self.matrix.shape[1])
        for start in range(0, len(counted), _ROWS):  # a part that the cache holds, not n x items in fp64
            part = counted[start : start + _ROWS]
            found += weights[part] @ self.matrix[history[part]].astype(np.float64)
        return found

    def contributions(self, history: np.ndarray, item: int) -> np.ndarray:
        """`[n]`: what each thing of the history adds to the item's score, which is their sum."""
        return self.recency.weights(len(history)) * self.matrix[history, item].astype(np.float64)


def together(log: InteractionLog) -> np.ndarray:
    """`[items, items]` fp64: how many people took both; on the diagonal, how many took the one."""
    size = len(log.items)
    found = np.zeros((size, size))
    for start in range(0, len(log.users), _PEOPLE):  # a few thousand at a time: few have taken much of a large shop
        part = log.histories[start : start + _PEOPLE]
        taken = np.zeros((len(part), size), dtype=np.float32)
        for row, history in enumerate(part):
            taken[row, history] = 1.0
        found += taken.T @ taken
    return found


def neighbours(counts: np.ndarray, count: int = 50, shrink: float = 20.0) -> np.ndarray:
    """Damped cosine of items, from `together`; of each item the `count` nearest.

    shrink: added under the fraction, so that two items that two people share are no twins
    """
    popularity = np.diag(counts)
    near = counts / (np.sqrt(np.outer(popularity, popularity)) + shrink)
    np.fill_diagonal(near, 0.0)
    if count < len(near):
        threshold = -np.partition(-near, count - 1, axis=0)[count - 1]  # of each column its count-th largest
        near = np.where(near >= threshold, near, 0.0)
    return near.astype(np.float32)


def most_items() -> int:
    """Of how many items EASE can be solved in the memory that is free now."""
    return math.isqrt(available_memory_bytes() // (8 * _MATRICES))


def ease(counts: np.ndarray, penalty: float = 500.0) -> np.ndarray:
    """The matrix B, diagonal 0, that minimises |X - XB|² + penalty |B|², from `together`, which is XᵀX.

    Raises InsufficientMemoryError.
    """
    num_items = len(counts)
    needed, free = _MATRICES * 8 * num_items**2, available_memory_bytes()
    if needed > free:
        raise InsufficientMemoryError(
            f"EASE over {num_items:,} items needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free: "
            f"leave rare items out with a smaller max_items"
        )
    gram = counts.astype(np.float64)
    np.fill_diagonal(gram, gram.diagonal() + penalty)
    precision = inverse(gram)
    del gram
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric, positive definite `[n, n]` fp64: by halves and the Schur complement of the first.

    All of it is products of matrices, n^3 operations; LAPACK's inverse of any matrix takes 8/3 n^3.
    """
    size = len(matrix)
    if size <= _WHOLE:
        return np.linalg.inv(matrix)
    half = size // 2
    across = matrix[:half, half:]
    first = inverse(matrix[:half, :half])
    beside = first @ across
    last = inverse(matrix[half:, half:] - across.T @ beside)
    found = np.empty_like(matrix)
    found[half:, half:] = last
    found[:half, half:] = -beside @ last
    found[half:, :half] = found[:half, half:].T
    found[:half, :half] = first - found[:half, half:] @ beside.T
    return found


def transitions(log: InteractionLog, reach: int = 10, decay: float = 0.85, shrink: float = 10.0) -> np.ndarray:
    """How often an item came within `reach` places after another, nearer counting more, over both their popularities.

    shrink: added to each popularity
    """
    size = len(log.items)
    after = np.zeros((size, size), dtype=np.float32)
    for history in log.histories:
        for gap in range(1, min(reach, len(history) - 1) + 1):
            np.add.at(after, (history[:-gap], history[gap:]), decay ** (gap - 1))
    popularity = np.bincount(np.concatenate(log.histories), minlength=size) + shrink
    np.fill_diagonal(after, 0.0)
    return (after / np.sqrt(np.outer(popularity, popularity))).astype(np.float32)
