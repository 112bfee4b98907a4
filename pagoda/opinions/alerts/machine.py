"""When alerts open and end: a state machine with hysteresis and cool-down over the ticks of one rule and company.

On the path *window -> alert*. It is a pure function of what the ticks say, and its state at any tick follows from the
alerts that there were before: so a late item lets it run again from the tick that it touches, and what comes out is
what would have come out had the item been in time.

    quiet -- all conditions reach `at_least`, cool-down over --> open -- one is below `until` --> quiet, cooling down
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """An alert's life: [opened, closed), closed None while it is open. Seconds."""

    opened: int
    closed: int | None = None

    def meets(self, other: AlertSpan) -> bool:
        """Whether both were open at one time."""
        return (other.closed is None or self.opened < other.closed) and (
            self.closed is None or other.opened < self.closed
        )


@dataclass(frozen=True, slots=True)
class TickSays:
    """What the conditions say at one tick: whether an alert may open, whether an open one stays."""

    tick: int
    opens: bool
    stays: bool


def run(before: Sequence[AlertSpan], ticks: Iterable[TickSays], cooldown: int) -> list[AlertSpan]:
    """The spans from the first of the ticks on; one that was open before them comes first, with its own beginning.

    before: spans that opened before the first tick, oldest first. An end after the first tick is forgotten: the ticks
        say it anew.
    """
    steps = list(ticks)
    if not steps:
        return []
    open_since, cool_until = _state(before, steps[0].tick, cooldown)
    spans: list[AlertSpan] = []
    for said in steps:
        if open_since is not None and not said.stays:
            spans.append(AlertSpan(open_since, said.tick))
            open_since, cool_until = None, said.tick + cooldown
        elif open_since is None and said.opens and said.tick >= cool_until:
            open_since = said.tick
    if open_since is not None:
        spans.append(AlertSpan(open_since))
    return spans


def _state(before: Sequence[AlertSpan], tick: int, cooldown: int) -> tuple[int | None, int]:
    """(since when an alert was open, until when none may open) just before a tick."""
    last = before[-1] if before else None
    if last is None:
        return None, tick
    if last.closed is None or last.closed >= tick:
        return last.opened, tick
    return None, last.closed + cooldown


def matched(old: Sequence[AlertSpan], new: Sequence[AlertSpan]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """(pairs of the same alert, old ones that are no more, new ones), by their places in both lists.

    The same: both were open at one time, the earliest first.
    """
    pairs: list[tuple[int, int]] = []
    free = list(range(len(old)))
    fresh: list[int] = []
    for place, span in enumerate(new):
        mate = next((index for index in free if old[index].meets(span)), None)
        if mate is None:
            fresh.append(place)
        else:
            free.remove(mate)
            pairs.append((mate, place))
    return pairs, free, fresh
