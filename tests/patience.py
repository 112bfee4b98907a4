"""How tests wait: for what must come, and never for a time in which an idle machine would have managed.

The limit says nothing about speed. It ends a test that would hang, so it may be long: the suite also runs beside other
work, where everything takes ten times as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_S = 240.0
"""What takes longer hangs. Less than half of pytest's own limit for a test (pyproject.toml), whose failure tells less;
and short enough that one fault behind a dozen tests leaves time for the rest of the suite."""


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; fails where it never does."""
    ends = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < ends, f"it did not come true in {HANG_S:g} s"
        time.sleep(0.01)
