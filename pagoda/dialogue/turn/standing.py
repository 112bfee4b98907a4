"""What is wanted of bookings that were written: told, undone, or changed, in whatever words.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. People who
have just booked say "two more people", 改到明天, "actually cancel", and no word for a booking; whatever they say is
read out before it is done. Where several stand it is asked which one is meant, and what was said is kept meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import bare_choice, is_named, mentions_node, words_of
from pagoda.dialogue.reading.closed.wishes import (
    BOOKS,
    is_changing,
    is_more,
    is_not_coming,
    is_undoing,
    keeps,
    new_value_in,
    things_of,
    wants_other,
)
from pagoda.dialogue.reading.places import longest, mentions, places_of
from pagoda.dialogue.slots.kinds import NodeValue, Value
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import BookingRecord, State
from pagoda.dialogue.state.tasks import index_of_rank, row_of
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import SlotValue, Understanding

LEAST_SURE = 0.5
"""A reading less sure than this, without a value or a small word that bears it out, is asked about, not acted upon."""
_ONE_LESS = re.compile(
    r"[一二两三四五六七八九十几\d]+个?[人位].{0,4}(?:来不了|不来|去不了|不去)|少[一二两三四五\d]*[个位人]"
    r"|\b(?:one|two|three|four|five|some|\d+) (?:of (?:us|them)|people|persons?|guests?|friends?)\b"
    r"|\b(?:my|our|his|her) (?!booking|reservation|table)\w+ (?:can(?:no|['’])?t|cannot|won['’]?t)\b",
    re.IGNORECASE,
)
_IS_CLOCK = re.compile(r"^(?:at|by)\b|[点:：]|\d ?[ap]m\b", re.IGNORECASE)


class Standing:
    """Tells what a sentence wants of bookings that stand, or of values that were read out."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values

    def new_value(self, read: Understanding, values: Mapping[str, Value]) -> list[ev.Corrected]:
        """The one value that "but", "make it" or 改成 brings: of the slot that is named, or that alone can be meant."""
        words = new_value_in(read.text)
        told = [] if not words or is_more(words) else list(self._new_values(words, values))
        if named := [event for event in told if is_named(read.text, event.slot, self._domain)]:
            return named[:1]
        if len(told) > 1 and _IS_CLOCK.search(words):
            told = [event for event in told if self._domain.slots[event.slot].type == "time"]
        elif read.slots:
            return []
        return told if len(told) == 1 else []

    def is_vague(self, read: Understanding, values: Mapping[str, Value]) -> bool:
        """Whether a new value is brought, which may be of several slots: "make that 8", people or o'clock."""
        words = new_value_in(read.text)
        return bool(words) and not is_more(words) and len(list(self._new_values(words, values))) > 1

    def slot_to_replace(self, read: Understanding, slots: Sequence[str]) -> str:
        """The one slot that is to have another value, where none is told: 换个时间, "a different day"; "" for none."""
        if not wants_other(read.text) or read.slots or new_value_in(read.text):
            return ""
        named = [
            (slot, place)
            for slot in slots
            for word in words_of(self._domain, slot)
            for place in places_of(read.text, word)
        ]
        told = {slot for slot, _ in longest(named, lambda pair: pair[1])}
        return told.pop() if len(told) == 1 else ""

    def which(self, read: Understanding, state: State) -> list[ev.Event]:
        """What is said while it is asked which booking is meant, or whether to undo one: no, or which one."""
        held = state.withdrawal
        if held is None:
            return []
        kinds = {act.kind for act in read.acts}
        intent = self._domain.intents.get(read.intent)
        gives_up = intent is not None and intent.act in ("deny", "cancel") and read.confidence >= LEAST_SURE
        if "deny" in kinds or keeps(read.text) or (gives_up and not kinds & {"choose", "bookings"}):
            return [ev.Denied()]
        if held.id:
            return []
        rank = self._rank(read)
        if held.said is None:
            meant = self._meant(read, state)
            return [ev.Chosen(index_of_rank(rank))] if rank is not None else [ev.AskedToCancel(meant)] if meant else []
        record = self._record(rank, state) if rank is not None else state.booking(self._meant(read, state))
        return self._change(record, held.said) if record is not None else []

    def wanted(self, read: Understanding, state: State) -> list[ev.Event]:
        """What is wanted of bookings that were written. While one is under way, "my booking" is that one."""
        wish = self._wish(read, state)
        is_under_way = state.task is not None and self._domain.intents[state.task.intent].kind == "book"
        if not wish or (is_under_way and wish != "list") or (wish == "list" and read.slots):
            return []
        if wish == "list" or not state.bookings:
            return [ev.AskedForBookings()]
        meant = self._meant(read, state)
        if wish == "cancel":
            return [ev.AskedToCancel(meant)]
        record = state.booking(meant)
        if record is None:
            return [ev.AskedToChange("", self._said(read, state.bookings[-1]))]
        return self._change(record, self._said(read, record))

    # Wishes

    def _wish(self, read: Understanding, state: State) -> str:
        """ "list", "cancel" or "change"; "" for none."""
        wish = next((act.value for act in read.acts if act.kind == "bookings"), "")
        if wish or not state.bookings:
            return wish
        intent = self._domain.intents.get(read.intent)
        is_cancel = intent is not None and intent.act == "cancel" and read.confidence >= LEAST_SURE
        # "One of us can't make it" leaves the others; "push it back" leaves them all.
        is_less = keeps(read.text) or is_changing(read.text) or _ONE_LESS.search(read.text) is not None
        asks = any(act.kind == "request" for act in read.acts)
        gives_up = is_undoing(read.text) or ((is_cancel or is_not_coming(read.text)) and not is_less)
        if state.task is None and not asks and gives_up:
            return "cancel"
        return "change" if self._is_change(read, state) else ""

    def _is_change(self, read: Understanding, state: State) -> bool:
        """Whether something that stands is to be different, though no task under way takes such a value.

        By a word that changes; by a value that means nothing without the one before ("two more"); and by nothing but
        values right after the booking, when no other task is open.
        """
        record = state.bookings[-1]
        own = self._domain.intents[state.task.intent].slots if state.task is not None else ()
        told = {slot.slot for slot in self._slots(read, record)} | {slot for slot, _ in self._said(read, record)}
        if told & set(own) or BOOKS.search(read.text) or any(act.kind == "request" for act in read.acts):
            return False
        if self.slot_to_replace(read, [*record.values]):
            return state.task is None
        if not told:
            return state.task is None and self.is_vague(read, record.values)
        if not told <= set(record.values) or any(self._is_new_name(slot, record) for slot in read.slots):
            return False
        if any(act.kind == "correct" for act in read.acts) or is_changing(read.text):
            return True
        if any(self._is_relative(slot, record) for slot in self._slots(read, record)):
            return True
        calls_it = any(mentions(read.text, thing) for thing in things_of(self._domain))
        return state.task is None and self._is_talked_of(record, state) and not calls_it

    def _is_talked_of(self, record: BookingRecord, state: State) -> bool:
        """Whether nothing else was talked of since."""
        return state.topic is not None and state.topic in record.values.values()

    def _is_relative(self, said: SlotValue, record: BookingRecord) -> bool:
        """ "Two more": a value only beside the one that was held."""
        alone = self._values.event(said, None, is_correction=False)
        beside = self._values.event(said, record.values[said.slot], is_correction=True)
        is_value = isinstance(beside, ev.Corrected) and beside.value is not None
        return is_value and not (isinstance(alone, ev.Informed) and alone.value is not None)

    def _is_new_name(self, said: SlotValue, record: BookingRecord) -> bool:
        """Whether another place is named, without a word that changes: that is another booking."""
        slot = self._domain.slots[said.slot]
        return slot.type == "name" and said.slot in record.values

    def _said(self, read: Understanding, record: BookingRecord) -> tuple[tuple[str, str], ...]:
        """(slot, words) of what is to be different."""
        if changed := self.new_value(read, record.values):
            return tuple((event.slot, event.surface) for event in changed)
        if other := self.slot_to_replace(read, [*record.values]):
            return ((other, ""),)
        return tuple((slot.slot, slot.value) for slot in self._slots(read, record) if slot.slot in record.values)

    def _slots(self, read: Understanding, record: BookingRecord) -> Sequence[SlotValue]:
        """What was read; the booking's quantities, where the reader thought of something else and found nothing."""
        return read.slots or self._values.quantities(read.text, [*record.values])

    def _change(self, record: BookingRecord, said: Sequence[tuple[str, str]]) -> list[ev.Event]:
        """The booking with these values; a slot without words is asked for."""
        told: list[ev.Event] = [
            self._values.event(SlotValue(slot, words), record.values[slot], is_correction=True)
            if words
            else ev.WantsOther(slot)
            for slot, words in said
            if slot in record.values
        ]
        return [ev.AskedToChange(record.id), *told]

    # Which booking

    def _rank(self, read: Understanding) -> int | None:
        rank = bare_choice(read.text, "name")
        numbers = [int(act.value) for act in read.acts if act.kind == "choose"]
        return rank if rank is not None else numbers[0] if numbers else None

    def _record(self, rank: int, state: State) -> BookingRecord | None:
        row = row_of(index_of_rank(rank), len(state.bookings))
        return state.bookings[row] if row is not None else None

    def _meant(self, read: Understanding, state: State) -> str:
        """Id of the booking that is named, or the only one; "" where nobody can tell."""
        if len(state.bookings) == 1:
            return state.bookings[0].id
        for record in reversed(state.bookings):
            if any(
                isinstance(value, NodeValue) and mentions_node(read.text, value) for value in record.values.values()
            ):
                return record.id
        return ""

    def _new_values(self, words: str, values: Mapping[str, Value]) -> Iterator[ev.Corrected]:
        """What the words may be of these slots, names apart: those are looked up by the reader."""
        for name, value in values.items():
            if self._domain.slots[name].type != "name":
                event = self._values.event(SlotValue(name, words), value, is_correction=True)
                if isinstance(event, ev.Corrected) and event.value is not None:
                    yield event
