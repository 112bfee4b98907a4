"""Several values of one slot in one sentence become one event: one of them, all of them, none of them.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. A slot of
many (`many: true` in the domain) takes all that is told together, every other slot one of a list; "or" between them
makes it one of them in both, and of values that stand in no list the last counts, as in "Sichuan, no, Cantonese".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.reading.polarity import Role, Span, choices, is_one_more, lists, roles
from pagoda.dialogue.slots.kinds import ANY, Except, NodeValue, OneOf, Value, plain_values
from pagoda.dialogue.state import events as ev
from pagoda.nlu.understanding import SlotValue

_CLAUSE_END = re.compile(r"[,;.!?，；。！？]")
Read = tuple[SlotValue, ev.Event]
"""A value as it was said, and the event that it would be by itself."""


def gathered(
    text: str, said: Sequence[Read], slots: Mapping[str, Slot], held: Mapping[str, Value]
) -> Iterator[ev.Event]:
    """The events of a sentence, one for each slot. held: values of the task under way."""
    placed = [(_placed(text, value), event) for value, event in said]
    told = roles(text, [_span(value) for value, _ in placed])
    for slot in dict.fromkeys(value.slot for value, _ in placed):
        own = [(value, event, role) for (value, event), role in zip(placed, told, strict=True) if value.slot == slot]
        yield from _of_slot(text, own, slots[slot], held.get(slot))


def _placed(text: str, value: SlotValue) -> SlotValue:
    """With its place, where it stands in the text."""
    start = value.start if value.start >= 0 else text.find(value.value)
    return replace(value, start=start, end=start + len(value.value)) if start >= 0 else value


def _span(value: SlotValue) -> Span:
    return (value.slot, max(0, value.start), max(0, value.end))


def _of_slot(
    text: str, own: Sequence[tuple[SlotValue, ev.Event, Role]], slot: Slot, held: Value | None
) -> Iterator[ev.Event]:
    """Values that could not be read, that several nodes may be meant by or that do not matter stay as they are."""
    unneeded = [_value(event) for _, event, role in own if role == "unneeded"]
    if any(value is not None and value in plain_values(held) for value in unneeded):
        yield ev.Unset(slot.name)
    wanted = [(value, event) for value, event, role in own if role == "wanted"]
    excluded = [_value(event) for _, event, role in own if role == "excluded"]
    odd = [event for _, event in wanted if _value(event) in (None, ANY)]
    plain = [(value, event) for value, event in wanted if _value(event) not in (None, ANY)]
    yield from odd
    kept = _kept(text, plain, slot, held)
    barred = tuple(
        dict.fromkeys(each for each in excluded if each not in (None, ANY) and each not in plain_values(kept))
    )
    if not plain and not barred:
        return
    kind = ev.Corrected if any(isinstance(event, ev.Corrected) for _, event in plain) else ev.Informed
    surface = _surface(text, [value for value, _, role in own if role != "unneeded"])
    yield kind(slot.name, Except(barred, kept) if barred else kept, surface)


def _value(event: ev.Event) -> Value | None:
    return event.value if isinstance(event, ev.Informed | ev.Corrected) else None


def _kept(text: str, plain: Sequence[Read], slot: Slot, held: Value | None) -> Value | None:
    """What is wanted, of the values that stand in one list."""
    if not plain:
        return None
    spans = [_span(value) for value, _ in plain]
    values = [_value(event) for _, event in plain]
    if slot.many or slot.together:
        # Of values that do not hold together the last list counts.
        own = range(len(spans)) if slot.many else lists(text, spans)[-1]
        groups = choices(text, [spans[row] for row in own])
        parts = [_one_of(values, [own[row] for row in group]) for group in groups]
        return tuple(dict.fromkeys(parts)) if len(parts) > 1 else parts[0]
    chains = lists(text, spans)
    rows = chains[-1]
    listed = _unique(values[row] for row in rows)
    if len(plain) == 1 and held is not None and is_one_more(text, *spans[0][1:]):
        listed = _unique([*plain_values(held), *listed])
    if len(listed) > 1:
        return OneOf(listed)
    between = text[spans[0][2] : spans[-1][1]]
    return listed[0] if _CLAUSE_END.search(between) else _with_others(values, listed[0])


def _with_others(values: Iterable[Value | None], last: Value) -> Value:
    """The last value, with nodes of other labels before it: a district, and a landmark in it."""
    by_label = {value.label: value for value in values if isinstance(value, NodeValue)}
    return tuple(by_label.values()) if isinstance(last, NodeValue) and len(by_label) > 1 else last


def _one_of(values: Sequence[Value | None], rows: Sequence[int]) -> Value:
    """One of the values in these rows, of one alone that one."""
    listed = _unique(values[row] for row in rows)
    return OneOf(listed) if len(listed) > 1 else listed[0]


def _unique(values: Iterable[Value | None]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(value for value in values if value is not None))


def _surface(text: str, said: Sequence[SlotValue]) -> str:
    """The words from the first value to the last."""
    if len(said) == 1 or any(value.start < 0 for value in said):
        return said[0].value
    return text[min(value.start for value in said) : max(value.end for value in said)]
