"""What a reader made of somebody's words: a value, or why there is none although something was understood.

Stands between *understanding* and *events* on the turn's path, as the seam between readers and policy. A value is made
only of words that were understood to the last; whatever else was understood comes as `why` and `instead`, so that the
question that follows can tell it: "in two weeks" alone of "in two weeks on the usual day" is no value but is no noise
either. Grounding as in Clark and Brennan 1991: what was understood is shown before more is asked.

    why          value   leftover          instead                        told as
    ""           it      ""                None                           -, or not understood where value is None
    "partial"    None    words not read    what the others mean           understood so far; what of the rest?
    "ambiguous"  None    ""                None, or a stretch around it   when in it, which of them?
    "past"       None    ""                the next such moment, or None  over; that one instead?
    "limits"     None    ""                the limit that was crossed     more or less than is possible
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pagoda.dialogue.slots.kinds import Value

Why = Literal["", "partial", "ambiguous", "past", "limits"]


@dataclass(frozen=True)
class ValueReading:
    """Words as a reader took them; see the table above. leftover: the words that were not understood, as they stand."""

    value: Value | None = None
    why: Why = ""
    leftover: str = ""
    instead: Value | None = None

    @property
    def is_meant(self) -> bool:
        """Whether the words are about the slot at all: a value, or a try at one that must be answered."""
        return self.value is not None or bool(self.why)


NOTHING = ValueReading()
