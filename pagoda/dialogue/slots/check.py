"""Whether a value may stand in a slot: the gate that keeps a valid value from being replaced by an invalid one.

Stands between *events* and *state* on the turn's path. Whoever made the event, a normaliser, a language model or a
replayed log, its value passes here before it is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.slots.kinds import Anything, Band, Except, NodeValue, OneOf, Range, Value, When

_MAX_TEXT = 80
# Of larger whole numbers nobody says one, and a database cannot take the largest.
_MAX_NUMBER = 10**15


def accepts(slot: Slot, value: Value | None) -> bool:
    """True where the value is of the slot's type and within its limits; of several, each one is."""
    if isinstance(value, Anything):
        return slot.may_be_any
    if isinstance(value, OneOf):
        return len(value.values) > 1 and all(_accepts_one(slot, each) for each in value.values)
    if isinstance(value, Except):
        is_kept = value.kept is None or (not isinstance(value.kept, Except | Anything) and accepts(slot, value.kept))
        return is_kept and bool(value.values) and all(_accepts_one(slot, each) for each in value.values)
    if isinstance(value, tuple):
        return bool(value) and (slot.many or _are_of_kinds(value)) and all(_accepts_any(slot, each) for each in value)
    return value is not None and _accepts_one(slot, value)


def _are_of_kinds(values: tuple[Value, ...]) -> bool:
    """Nodes of different labels, such as a district and a landmark in it: together they say where."""
    labels = {value.label for value in values if isinstance(value, NodeValue)}
    return len(labels) == len(values)


def _accepts_any(slot: Slot, value: Value) -> bool:
    """One of those that are to fit together, itself perhaps one of several."""
    return accepts(slot, value) if isinstance(value, OneOf) else _accepts_one(slot, value)


def _accepts_one(slot: Slot, value: Value) -> bool:
    if isinstance(value, Band):
        return value.name in slot.bands
    return _CHECKS[slot.type](slot, value)


def _is_number(slot: Slot, value: Value) -> bool:
    if isinstance(value, Range):
        return value.is_sound and all(_within(slot, end) for end in (value.low, value.high) if end is not None)
    return isinstance(value, int | float) and not isinstance(value, bool) and _within(slot, value)


def _is_count(slot: Slot, value: Value) -> bool:
    return isinstance(value, int) and _is_number(slot, value)


def _within(slot: Slot, number: float) -> bool:
    low, high = slot.low, slot.high
    return (
        abs(number) <= _MAX_NUMBER
        and math.isfinite(number)
        and (low is None or number >= low)
        and (high is None or number <= high)
    )


def _is_node(slot: Slot, value: Value) -> bool:
    return isinstance(value, NodeValue) and value.label in slot.labels and value.key != ""


def _is_text(slot: Slot, value: Value) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _MAX_TEXT and value.isprintable()


def _is_choice(slot: Slot, value: Value) -> bool:
    return isinstance(value, str) and value in slot.choices


_CHECKS: Mapping[str, Callable[[Slot, Value], bool]] = {
    "name": _is_node,
    "time": lambda slot, value: isinstance(value, When) and value.is_sound,
    "people": _is_count,
    "price": _is_number,
    "rating": _is_number,
    "stars": _is_number,
    "number": _is_number,
    "boolean": lambda slot, value: isinstance(value, bool),
    "choice": _is_choice,
    "person": _is_text,
    "text": _is_text,
}
