"""What weighs how much in a history: each thing alike, or the last ones more.

In front of every linear model. A person's last ten things, the older the lighter, say more of the next than all of
them: on MovieLens that is worth more than the choice between neighbours and EASE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recency:
    """last: how many things count, 0 for all; decay: weight of each against the one after it."""

    last: int = 0
    decay: float = 1.0

    def weights(self, count: int) -> np.ndarray:
        """`[count]`, oldest first; the newest weighs 1."""
        ages = np.arange(count)[::-1]
        found = self.decay**ages
        return np.where(ages < self.last, found, 0.0) if self.last else found


def last_of_each(history: np.ndarray) -> np.ndarray:
    """`history [n]` without repeats: of what was taken more than once the last time counts."""
    _, from_behind = np.unique(history[::-1], return_index=True)
    return np.asarray(history[np.sort(len(history) - 1 - from_behind)])


ALL = Recency()
"""Everything alike."""
