"""What everybody takes, and what everybody took of late: the first rival of every model, and all that a stranger gets.

Beside the linear models. Popularity drifts: what counts is how much an item was taken before this person's now, the
older the less. Only what was before is counted, so that a measurement does not look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pagoda.recommend.data.interactions import InteractionLog


@dataclass(frozen=True)
class WindowedPopularity:
    """times, items: `[events]`, all events in the order of time; half_life: time after which an event counts half.

    0 is no decay.
    """

    times: np.ndarray
    items: np.ndarray
    num_items: int
    half_life: float

    @classmethod
    def of(cls, log: InteractionLog, half_life: float) -> WindowedPopularity:
        """From a log."""
        times, items = np.concatenate(log.times), np.concatenate(log.histories)
        order = np.argsort(times, kind="stable")
        return cls(times[order], items[order], len(log.items), half_life)

    def scores(self, now: float | None = None) -> np.ndarray:
        """`[items]`: logarithm of how often each was taken until `now`, less its mean, so that 0 is usual.

        now: None for the end of the log
        """
        moment = self.times[-1] if now is None else now
        stop = int(np.searchsorted(self.times, moment, side="right"))
        ages = moment - self.times[:stop]
        weights = 0.5 ** (ages / self.half_life) if self.half_life else np.ones(stop)
        found = np.log(np.bincount(self.items[:stop], weights, minlength=self.num_items) + 0.5)
        return np.asarray(found - found.mean())
