"""Whether a place is open: hours of a day, hours past midnight, and hours that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.dialogue.slots.kinds import When
from pagoda.dialogue.slots.opening_hours import is_closed


@pytest.mark.parametrize(
    ("opens", "closes", "clock", "closed"),
    [
        ("11:30", "23:30", "09:00", True),
        ("11:30", "23:30", "11:30", False),
        ("11:30", "23:30", "23:30", True),
        ("9:00", "21:30", "10:00", False),
        ("17:00", "02:00", "01:30", False),
        ("17:00", "02:00", "02:00", True),
        ("17:00", "02:00", "16:59", True),
        ("17:00", "24:00", "23:59", False),
        ("00:00", "00:00", "04:00", False),
        (None, "23:30", "04:00", False),
        ("early", "late", "04:00", False),
        (9, 17, "04:00", False),
    ],
)
def test_a_booking_is_refused_only_by_hours_that_are_known(opens: Any, closes: Any, clock: str, closed: bool) -> None:
    assert is_closed(opens, closes, When(f"2026-11-22T{clock}")) is closed
