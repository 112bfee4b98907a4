"""What a person gets: an item, its score, and the parts of which the score is the sum.

The end of a recommendation. A reason is no sentence that a model made up afterwards but a summand: what a past thing
added, what popularity added, what the network added. All of them together are the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_REASONS = 5
"""Of an item, so many are told by name."""


@dataclass(frozen=True)
class Reason:
    """kind: "because" (of a past thing, `item`), "popular", "network" (what it expects next), "like" (text), or "rest".

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

    def largest(self, count: int) -> tuple[Reason, ...]:
        """The `count` reasons that weigh the most, for or against, and all others as one, "rest", if there are."""
        named = sorted(
            (reason for reason in self.reasons if reason.kind != "rest"), key=lambda reason: -abs(reason.value)
        )
        if len(named) == len(self.reasons) <= count:
            return tuple(named)
        told = named[:count]
        return (*told, Reason("rest", sum(reason.value for reason in self.reasons if reason not in told)))
