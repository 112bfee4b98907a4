"""What everybody takes, and what everybody took of late: the first rival of every model, and all that a stranger gets.

Beside the linear models. Popularity drifts: what counts is how much an item was taken before this person's now, the
older the less. Only what was before is counted, so that a measurement does not look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pagoda.recommend.data.interactions import InteractionLog

_MOST_HALVINGS = 500
"""Beyond so many the oldest events' powers would be no numbers any more."""


@dataclass(frozen=True)
class WindowedPopularity:
    """times, items: `[events]`, all events in the order of time; half_life: time after which an event counts half.

    0 is no decay. counts: `[events]`, how many each stands for; None is one.
    """

    times: np.ndarray
    items: np.ndarray
    num_items: int
    half_life: float
    counts: np.ndarray | None = None

    @classmethod
    def of(cls, log: InteractionLog, half_life: float) -> WindowedPopularity:
        """From a log."""
        times, items = np.concatenate(log.times), np.concatenate(log.histories)
        order = np.argsort(times, kind="stable")
        return cls(times[order], items[order], len(log.items), half_life)

    def by_day(self, day: float) -> WindowedPopularity:
        """Counts per item and day, whose time is the day's beginning: no single event has one. day: in units of time"""
        days = np.floor(self.times / day)
        keys = np.stack([days, self.items.astype(np.float64)])
        each = np.ones(len(days)) if self.counts is None else self.counts
        found, places = np.unique(keys, axis=1, return_inverse=True)
        counts = np.bincount(places.reshape(-1), each)
        return WindowedPopularity(found[0] * day, found[1].astype(np.int64), self.num_items, self.half_life, counts)

    def scores(self, now: float | None = None) -> np.ndarray:
        """`[items]`: logarithm of how often each was taken until `now`, less its mean, so that 0 is usual.

        now: None for the end of the log
        """
        moment = self.times[-1] if now is None else now
        stop = int(np.searchsorted(self.times, moment, side="right"))
        weights = self._weights(moment, stop)
        if self.counts is not None:
            weights = weights * self.counts[:stop]
        counts = np.bincount(self.items[:stop], weights, minlength=self.num_items)
        found = np.log(counts + 0.5)
        return np.asarray(found - found.mean())

    def _weights(self, moment: float, stop: int) -> np.ndarray:
        """Of the first `stop` events at that moment. As all fade alike, one power of each serves every moment."""
        if not self.half_life:
            return np.ones(stop)
        if (self.times[-1] - self.times[0]) / self.half_life > _MOST_HALVINGS:
            return np.asarray(0.5 ** ((moment - self.times[:stop]) / self.half_life))
        return np.asarray(self._at_the_end[:stop] * 2.0 ** ((self.times[-1] - moment) / self.half_life))

    @cached_property
    def _at_the_end(self) -> np.ndarray:
        """Of all events at the moment of the last."""
        return np.asarray(0.5 ** ((self.times[-1] - self.times) / self.half_life))
