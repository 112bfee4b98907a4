"""Whether a place is open at a moment, by its opening and closing times.

Beside the turn's path, before a booking is read out: state -> policy -> *Cypher -> rows* -> reply. What is not known to
be closed is open: a booking is refused only by what the graph says.
"""

from __future__ import annotations

import re
from typing import Any

from pagoda.dialogue.slots.kinds import When

_CLOCK = re.compile(r"^\s*(\d{1,2}):([0-5]\d)(?::\d\d)?\s*$")


def is_closed(opens: Any, closes: Any, when: When) -> bool:
    """Whether the moment lies outside the hours; the minute of closing does, too.

    >>> is_closed("17:00", "02:00", When("2026-11-22T01:30")), is_closed("11:30", "23:30", When("2026-11-22T09:00"))
    (False, True)
    """
    first, last, asked = _minutes(opens), _minutes(closes), _minutes(when.start[11:16])
    if first is None or last is None or asked is None or not when.is_exact or first == last:
        return False
    if first < last:
        return not first <= asked < last
    return last <= asked < first


def _minutes(clock: Any) -> int | None:
    """Since midnight; None for what is no time of day."""
    match = _CLOCK.match(clock) if isinstance(clock, str) else None
    return int(match[1]) * 60 + int(match[2]) if match else None
