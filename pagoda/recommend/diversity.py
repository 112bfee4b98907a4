"""A list that is not ten times the same: marginal relevance, and caps by kind.

Behind the scores. Each place is filled with the item whose score, less its likeness to what stands above it, is the
highest (Carbonell & Goldstein 1998); likeness is that of the items' kinds (Jaccard). A cap is a promise and not a
price: a kind that has its number is over, even if the list gets shorter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.errors import InvalidParameterError


@dataclass(frozen=True)
class ListLimits:
    """diversity: 0, scores alone, to 1, likeness alone; per_kind: items of one kind at most, 0 for any number

    pool: the best so many are looked at
    """

    diversity: float = 0.0
    per_kind: int = 0
    pool: int = 200

    def __post_init__(self) -> None:
        if not 0.0 <= self.diversity <= 1.0:
            raise InvalidParameterError(
                f"diversity={self.diversity}, but a number from 0 to 1 is expected", param="diversity"
            )
        if self.per_kind < 0:
            raise InvalidParameterError(f"per_kind={self.per_kind}, but 0 or more is expected", param="per_kind")


def diversified(
    scores: np.ndarray, order: np.ndarray, k: int, limits: ListLimits, kinds: Sequence[frozenset[str]]
) -> list[int]:
    """At most `k` items of `order` (the best first) under the limits; kinds: of the first `limits.pool` of them."""
    pool = [int(item) for item in order[: len(kinds)]]
    if not pool:
        return []
    span = float(scores[pool[0]] - scores[pool[-1]]) or 1.0
    worth = [(float(scores[item]) - float(scores[pool[-1]])) / span for item in pool]
    counted: Counter[str] = Counter()
    likeness = [0.0] * len(pool)
    chosen: list[int] = []
    left = set(range(len(pool)))
    while left and len(chosen) < k:
        if limits.per_kind:
            left = {place for place in left if all(counted[kind] < limits.per_kind for kind in kinds[place])}
            if not left:
                break
        share = limits.diversity
        best = max(left, key=lambda place: ((1 - share) * worth[place] - share * likeness[place], -place))
        left.remove(best)
        chosen.append(pool[best])
        counted.update(kinds[best])
        for place in left:
            likeness[place] = max(likeness[place], _alike(kinds[place], kinds[best]))
    return chosen


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of kinds that two items have in common."""
    return len(one & other) / len(one | other) if one | other else 0.0
