"""What a person gets: an item, its score, and the parts of which the score is the sum.

The end of a recommendation. A reason is no sentence that a model made up afterwards but a summand: what a past thing
added, what popularity added, what the network added. All of them together are the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """kind: "because" (of a past thing, `item`), "popular", "network" (what it expects next) or "like" (text).

    value: what it adds to the score
    """

    kind: str
    value: float
    item: str = ""


@dataclass(frozen=True)
class Recommendation:
    """reasons: the largest first; their values sum to `score`."""

    item: str
    score: float
    reasons: tuple[Reason, ...]

    @property
    def because(self) -> Mapping[str, float]:
        """Past items that speak for it -> what each adds, the largest first."""
        return {reason.item: reason.value for reason in self.reasons if reason.kind == "because" and reason.value > 0}
