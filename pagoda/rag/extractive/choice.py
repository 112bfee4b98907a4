"""Which of many scored spans to answer with: the one that has most in common with all the likely ones.

On a question's path: question -> Hits -> candidate spans -> features -> ranker -> *choice* -> answer. A reader spreads
its belief over variants of one place; the span that they share is the better answer, and expected F1 finds it.
"""

from __future__ import annotations

import numpy as np


def expected_best(
    spans: np.ndarray, scores: np.ndarray, sizes: np.ndarray, num_compared: int, exact: float = 0.0
) -> int:
    """The index of the span whose F1 against the others, weighed by their probability, is largest.

    spans: [n, 2] first and last token, both included, n at least 1; scores: [n] log-probabilities up to a constant
    sizes: [num_tokens + 1] how many tokens count before each place; num_compared: so many of the best are compared
    exact: 0 to 1, what being right to the word counts beside F1

    >>> spans = np.array([[0, 1], [1, 2], [0, 2], [5, 5]])
    >>> expected_best(spans, np.zeros(4), sizes=np.arange(7), num_compared=4)
    2
    >>> expected_best(spans, np.array([1.0, 0.0, 0.5, 0.0]), sizes=np.arange(7), num_compared=4, exact=0.8)
    0
    """
    top = np.argsort(-scores, kind="stable")[:num_compared]
    share = np.exp(scores[top] - scores[top[0]])
    first, last = spans[top, 0], spans[top, 1]
    length = sizes[last + 1] - sizes[first]
    # [compared, compared] from here on: what each span shares with each.
    left, right = np.maximum(first[:, None], first), np.minimum(last[:, None], last)
    common = np.where(left <= right, sizes[right + 1] - sizes[left], 0)
    overlap = 2 * np.maximum(0, common) / np.maximum(1, length[:, None] + length)
    return int(top[((1 - exact) * (overlap @ share) + exact * share).argmax()])
