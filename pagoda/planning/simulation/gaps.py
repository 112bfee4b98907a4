"""How often which gap between two tokens of an answer occurred: of single steps, and of runs of steps.

Beside `replica`, for the inter-token latencies of a summary. In a run each step takes a little longer than the one
before, always by as much, so it is kept as three numbers and taken apart for thousands of runs at once. Times are whole
femtoseconds until then, so nothing depends on how steps were put together. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FEMTOSECONDS = 10**15
_MICROSECOND = FEMTOSECONDS // 10**6
_MOST_RUNS = 4096


class GapCounts:
    """Gaps to the microsecond. Two are equal where the same gaps occurred equally often."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._runs: list[tuple[int, int, int, int]] = []

    def add(self, gap: int, count: int) -> None:
        """So many gaps of so many femtoseconds."""
        place = (gap + _MICROSECOND // 2) // _MICROSECOND
        self._counts[place] = self._counts.get(place, 0) + count

    def add_run(self, first: int, growth: int, num_steps: int, count: int) -> None:
        """For each of the steps so many: gaps of `first`, `first + growth`, ..."""
        self._runs.append((first, growth, num_steps, count))
        if len(self._runs) >= _MOST_RUNS:
            self._take_apart()

    def _take_apart(self) -> None:
        if not self._runs:
            return
        first, growth, num_steps, count = np.array(self._runs, dtype=np.int64).T
        self._runs.clear()
        places = np.arange(num_steps.sum()) - np.repeat(np.cumsum(num_steps) - num_steps, num_steps)
        gaps = np.repeat(first, num_steps) + np.repeat(growth, num_steps) * places
        found, which = np.unique((gaps + _MICROSECOND // 2) // _MICROSECOND, return_inverse=True)
        sums = np.bincount(which, weights=np.repeat(count, num_steps))
        self._add_all(zip(found.tolist(), sums.tolist(), strict=True))

    def _add_all(self, counted: Iterable[tuple[int, float]]) -> None:
        for place, count in counted:
            self._counts[place] = self._counts.get(place, 0) + int(count)

    def counts(self) -> dict[float, int]:
        """Seconds -> how often, the shortest first."""
        self._take_apart()
        return {place / 1e6: self._counts[place] for place in sorted(self._counts)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GapCounts) and self.counts() == other.counts()

    __hash__ = None  # type: ignore[assignment]
