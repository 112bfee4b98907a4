"""Times, numbers of people, prices and ratings of a reading: as rules find them, else as the trained reader did.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. The rules
themselves are `slots.quantities`; here they are laid over what was found before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pagoda.dialogue.domain.model import NUMBER_TYPES, Slot
from pagoda.dialogue.reading.completing.known import Known
from pagoda.dialogue.reading.declared import measured_in
from pagoda.dialogue.reading.places import overlap
from pagoda.dialogue.slots.quantities import Quantity, quantities_in
from pagoda.dialogue.slots.said import folded
from pagoda.nlu.understanding import SlotValue, TurnContext, Understanding

_DIGITS = frozenset("0123456789.〇零一二两三四五六七八九十百千万")


class Amounts:
    """Quantities in a reading."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def over(self, slots: tuple[SlotValue, ...], read: Understanding, context: TurnContext) -> tuple[SlotValue, ...]:
        """Quantities as rules find them, by units, slots' words and the question that is open; where rules find none,
        those of the base, with all of their digits."""
        names = [(found.start, found.end) for found in slots if self._known.is_certain(found, read, context)]
        open_slots = self._slots(read, context)
        found = [
            quantity
            for quantity in quantities_in(folded(read.text), open_slots, context.requested_slot, context.slots, names)
            if self._counts(quantity, context)
        ]
        measured = measured_in(read.text)
        kept = [
            self._whole(other, read.text)
            for other in slots
            if (other.start, other.end) in names or not self._gives_way(other, found, measured, context)
        ]
        kept += [self._widened(quantity, slots, found, read.text) for quantity in found]
        return tuple(sorted(kept, key=lambda each: each.start))

    def with_answer(
        self, slots: tuple[SlotValue, ...], read: Understanding, context: TurnContext
    ) -> tuple[SlotValue, ...]:
        """The whole sentence as the value that was asked for, where nothing else was found in it."""
        slot = self._known.domain.slots.get(context.requested_slot)
        if slot is None or slot.labels or any(found.slot == slot.name or found.start >= 0 for found in slots):
            return slots
        heard = self._known.values.heard(slot.name, read.text)
        if heard.said.is_any or heard.value is None:
            return slots
        return (*slots, SlotValue(slot.name, read.text, 0, len(read.text)))

    def _slots(self, read: Understanding, context: TurnContext) -> list[Slot]:
        """Slots of the task that asks, whatever the sentence looks like, and those of what it looks like."""
        domain = self._known.domain
        own = domain.intents.get(context.intent) if context.requested_slot else None
        opened = (slot.name for slot in self._known.open_slots(read, context))
        names = [*(own.slots if own is not None else ()), *opened]
        return [domain.slots[name] for name in dict.fromkeys(names)]

    def _counts(self, found: Quantity, context: TurnContext) -> bool:
        """A number beyond the limits of a slot that nobody asked about is of something else: 评价1000条."""
        reading = self._known.values.heard(found.slot, found.words).reading
        kind = self._known.domain.slots[found.slot].type
        is_sought = found.slot == context.requested_slot or kind in ("time", "people")
        return reading.is_meant and (is_sought or reading.why != "limits")

    def _widened(self, found: Quantity, slots: Sequence[SlotValue], others: Sequence[Quantity], text: str) -> SlotValue:
        """With the words that the base takes for part of it: what no rule reads makes the value partial."""
        start, end = found.start, found.end
        for other in slots:
            is_beside = all(each is found or not overlap(other, each) for each in others)
            if other.slot == found.slot and overlap(other, found) and is_beside:
                start, end = min(start, other.start), max(end, other.end)
        if (start, end) == (found.start, found.end) or text[found.start : found.end].strip() != found.words:
            return SlotValue(found.slot, found.words, found.start, found.end)
        return SlotValue(found.slot, text[start:end], start, end)

    def _gives_way(
        self, other: SlotValue, found: Sequence[Quantity], measured: Sequence[SlotValue], context: TurnContext
    ) -> bool:
        """Whether a reading of the base gives way to rules: its slot was found, it is part of an amount of another kind
        (米以内 of 500米以内 for a price, the four of "four nights" for people), or it counts nobody."""
        if any(quantity.slot == other.slot or overlap(other, quantity) for quantity in found):
            return True
        kind = slot.type if (slot := self._known.slot_of(other)) is not None else "text"
        if kind in NUMBER_TYPES and kind != "number" and any(overlap(other, each) for each in measured):
            return True
        return kind == "people" and other.slot != context.requested_slot and not self._known.is_value(other)

    def _whole(self, found: SlotValue, text: str) -> SlotValue:
        """A tagger may cut 二十元 in two."""
        slot, start = self._known.slot_of(found), found.start
        if slot is None or slot.labels or start < 0 or found.value[:1] not in _DIGITS:
            return found
        while start > 0 and text[start - 1] in _DIGITS:
            start -= 1
        return replace(found, value=text[start : found.end], start=start)
