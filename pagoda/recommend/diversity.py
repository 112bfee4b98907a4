"""A list that is not ten times the same: marginal relevance, and caps by kind.

Behind the scores. Each place is filled with the item whose score, less its likeness to what stands above it, is the
highest (Carbonell & Goldstein 1998); likeness is that of the items' kinds (Jaccard). A cap is a promise and not a
price: a kind that has its number is over, even if the list gets shorter.
"""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.errors import InvalidParameterError


@dataclass(frozen=True)
class ListLimits:
    """diversity: 0, scores alone, to 1, likeness alone; per_kind: items of one kind at most, 0 for any number

    pool: the best so many are looked at for each place, or five for each place of a longer list
    among: ids that alone are looked at, None for all
    """

    diversity: float = 0.0
    per_kind: int = 0
    pool: int = 200
    among: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.diversity <= 1.0:
            raise InvalidParameterError(
                f"diversity={self.diversity}, but a number from 0 to 1 is expected", param="diversity"
            )
        for name, given, least in (("pool", self.pool, 1), ("per_kind", self.per_kind, 0)):
            if isinstance(given, bool) or not isinstance(given, numbers.Integral) or given < least:
                raise InvalidParameterError(
                    f"{name}={given!r:.40}, but a whole number of {least} or more is expected", param=name
                )


def diversified(
    scores: np.ndarray,
    order: np.ndarray,
    k: int,
    limits: ListLimits,
    kinds: Callable[[int], frozenset[str]],
    counted: Mapping[str, int],
) -> list[int]:
    """At most `k` items of `order` (the best first) under the limits.

    kinds: of an item; counted: of each kind, how many stand in the list already. Marginal relevance looks at the best
    of a pool; where the caps leave the list short, the next pool is looked at, and so on.
    """
    size = max(limits.pool, 5 * k)
    counts = Counter(counted)
    chosen: list[int] = []
    for start in range(0, len(order), size):
        if len(chosen) >= k:
            break
        pool = _Pool([int(item) for item in order[start : start + size]], scores, kinds, limits)
        for item in chosen:
            pool.stand_beside(kinds(item))
        chosen += pool.best(k - len(chosen), counts)
    return chosen


class _Pool:
    """Items among which each place's best is sought; likeness to what was chosen is kept for each."""

    def __init__(
        self, items: Sequence[int], scores: np.ndarray, kinds: Callable[[int], frozenset[str]], limits: ListLimits
    ) -> None:
        self._items, self._limits = items, limits
        self._kinds = [kinds(item) for item in items]
        values = scores[list(items)].astype(np.float64)
        self._worth = (1 - limits.diversity) * (values - values[-1]) / (float(values[0] - values[-1]) or 1.0)
        self._sizes = np.array([len(own) for own in self._kinds], dtype=np.float64)
        self._likeness = np.zeros(len(items))
        places: dict[str, list[int]] = {}
        for place, own in enumerate(self._kinds):
            for kind in own:
                places.setdefault(kind, []).append(place)
        self._places = {kind: np.array(found) for kind, found in places.items()}

    def best(self, count: int, counts: Counter[str]) -> list[int]:
        """The next `count` items, or fewer where the caps leave no more; `counts` grows by their kinds."""
        is_left = np.ones(len(self._items), dtype=bool)
        for kind in counts:
            self._close(kind, counts, is_left)
        chosen: list[int] = []
        while len(chosen) < count and is_left.any():
            place = int(np.where(is_left, self._worth - self._limits.diversity * self._likeness, -np.inf).argmax())
            is_left[place] = False
            chosen.append(self._items[place])
            counts.update(self._kinds[place])
            for kind in self._kinds[place]:
                self._close(kind, counts, is_left)
            self.stand_beside(self._kinds[place])
        return chosen

    def _close(self, kind: str, counts: Counter[str], is_left: np.ndarray) -> None:
        if self._limits.per_kind and counts[kind] >= self._limits.per_kind and kind in self._places:
            is_left[self._places[kind]] = False

    def stand_beside(self, kinds: frozenset[str]) -> None:
        """Something of these kinds is in the list: Jaccard's likeness to it, where it is the largest, counts."""
        if not self._limits.diversity:
            return
        shared = np.zeros(len(self._items))
        for kind in kinds:
            if kind in self._places:
                shared[self._places[kind]] += 1.0
        either = self._sizes + len(kinds) - shared
        alike = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
        self._likeness = np.maximum(self._likeness, alike)
