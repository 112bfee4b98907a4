"""Sentences that mean one thing as a whole in the state they are said in, whatever intent they look like.

Third station of a turn, before `interpretation`: sentence -> *understanding -> events* -> state -> policy -> Cypher ->
rows -> reply. A yes to what was read out, a change instead of one, a number that answers printed choices, further
results, bookings of this conversation, a property of a node that is named. What answers depends on what was said last:
adjacency pairs, in Schegloff and Sacks 1973, "Opening up Closings".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import bare_choice, is_named, mentions_node
from pagoda.dialogue.reading.closed.assent import is_yes
from pagoda.dialogue.reading.closed.wishes import (
    is_changing,
    is_more,
    new_value_in,
    things_of,
    without_undoing,
)
from pagoda.dialogue.slots.kinds import NodeValue, Value
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.questions import Questions
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import SlotValue, Understanding

LEAST_SURE = 0.5
"""A reading less sure than this, without a value or a small word that bears it out, is asked about, not acted upon."""
_IS_CLOCK = re.compile(r"^(?:at|by)\b|[点:：]|\d ?[ap]m\b", re.IGNORECASE)
_BEFORE_VALUE = r"(?:\b(?:for|at|on|in|to|of|with|the|a|an|that|it is|it's)\s+)*"
_AFTER_VALUE = r"(?:\s*(?:people|persons|of us|[个位]人|[个位]|的))?"


class WholeSentences:
    """Tells what a whole sentence means at one moment of a dialogue."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        self._questions = Questions(domain, values)

    def meaning(self, read: Understanding, state: State) -> tuple[str, Sequence[ev.Event]]:
        """(intent, events) of a sentence that is one of these as a whole; no events where it is none."""
        return next(((intent, told) for intent, told in self._meanings(read, state) if told), ("", ()))

    def _meanings(self, read: Understanding, state: State) -> Iterator[tuple[str, Sequence[ev.Event]]]:
        """(intent, events) of what a whole sentence may be here, the surest first; no events where it is not."""
        named, task = self._domain.intent_of_act, state.task
        yield named("confirm"), [ev.Confirmed()] if self._is_whole_yes(read, state) else []
        yield named("deny"), self._about_cancellation(read, state)
        yield task.intent if task else "", self._changed(read, state)
        yield named("choose"), self._accepted(read, state) or self._bare_choice(read, state)
        yield "", self._about_bookings(read, state)
        wants_more = task is not None and task.stage == "offered" and any(act.kind == "more" for act in read.acts)
        yield task.intent if task else "", [ev.AskedForMore()] if wants_more else []
        yield named("request"), self._questions.whole(read, state)

    def _is_whole_yes(self, read: Understanding, state: State) -> bool:
        """Whether the sentence is a yes to what was read out, and nothing besides; what is said again is no change."""
        task, things = state.task, things_of(self._domain)
        if state.withdrawal is not None:
            text = without_undoing(read.text)
            return not text.strip(" \t.,!。，！") or is_yes(text, things)
        if task is None or task.stage != "confirming":
            return False
        text = read.text
        for slot in sorted(read.slots, key=lambda found: -found.start):
            told = self._values.event(slot, None, is_correction=False) if slot.slot in self._domain.slots else None
            if not isinstance(told, ev.Informed) or told.value is None or told.value != task.values.get(slot.slot):
                return False
            text = _without(text, slot)
        return is_yes(text, things)

    def _changed(self, read: Understanding, state: State) -> list[ev.Event]:
        """What is to be different of what was read out, where the reader did not tell: a value, or only that it be."""
        task = state.task
        if task is None or task.stage != "confirming":
            return []
        if told := self._new_value(read, task.values):
            return [*told]
        wants_other = is_changing(read.text) and not any(act.kind in ("request", "bookings") for act in read.acts)
        return [ev.Denied()] if wants_other and not read.slots else []

    def _new_value(self, read: Understanding, values: Mapping[str, Value]) -> list[ev.Corrected]:
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

    def _new_values(self, words: str, values: Mapping[str, Value]) -> Iterator[ev.Corrected]:
        """What the words may be of these slots, names apart: those are looked up by the reader."""
        for name, value in values.items():
            if self._domain.slots[name].type != "name":
                event = self._values.event(SlotValue(name, words), value, is_correction=True)
                if isinstance(event, ev.Corrected) and event.value is not None:
                    yield event

    def _about_cancellation(self, read: Understanding, state: State) -> list[ev.Event]:
        """What is said while a booking is about to be undone: no, or which one."""
        if state.withdrawal is None:
            return []
        kinds = {act.kind for act in read.acts}
        rank = bare_choice(read.text, "name") if not state.withdrawal.id else None
        if rank is not None:
            return [ev.Chosen(rank - 1)]
        intent = self._domain.intents.get(read.intent)
        gives_up = intent is not None and intent.act in ("deny", "cancel") and read.confidence >= LEAST_SURE
        if "deny" in kinds or (gives_up and not kinds & {"choose", "bookings"}):
            return [ev.Denied()]
        meant = self._booking_meant(read, state)
        return [ev.AskedToCancel(meant)] if not state.withdrawal.id and meant else []

    def _accepted(self, read: Understanding, state: State) -> list[ev.Event]:
        """A yes to the one answer that was offered: "over by now; tomorrow at seven?" """
        is_one = state.question is not None and len(state.question.choices) == 1
        return [ev.Chosen(0)] if is_one and is_yes(read.text) else []

    def _bare_choice(self, read: Understanding, state: State) -> list[ev.Event]:
        """A number alone, where choices for a slot were printed; or the name of one of them."""
        question = state.question
        if question is None or not question.choices:
            return []
        rank = bare_choice(read.text, self._domain.slots[question.slot].type)
        if rank is not None:
            return [ev.Chosen(rank - 1)]
        named = [
            row
            for row, node in enumerate(question.choices)
            if isinstance(node, NodeValue) and mentions_node(read.text, node)
        ]
        is_doubt = state.task is not None and question.slot in state.task.doubts
        return [ev.Chosen(named[0])] if is_doubt and len(named) == 1 else []

    def _about_bookings(self, read: Understanding, state: State) -> list[ev.Event]:
        """What is wanted of bookings that were written. While one is under way, "my booking" is that one."""
        wish = next((act.value for act in read.acts if act.kind == "bookings"), "")
        intent = self._domain.intents.get(read.intent)
        is_cancel = intent is not None and intent.act == "cancel"
        if not wish and is_cancel and state.task is None and state.bookings and read.confidence >= LEAST_SURE:
            wish = "cancel"
        if not wish and self._is_late_change(read, state):
            wish = "change"
        is_under_way = state.task is not None and self._domain.intents[state.task.intent].kind == "book"
        if not wish or (is_under_way and wish != "list") or (wish == "list" and read.slots):
            return []
        meant = self._booking_meant(read, state)
        if wish == "list" or not state.bookings:
            return [ev.AskedForBookings()]
        if wish == "cancel":
            return [ev.AskedToCancel(meant)]
        record = state.booking(meant) or state.bookings[-1]
        if changed := self._new_value(read, record.values):
            return [ev.AskedToChange(record.id), *changed]
        slots = [slot for slot in read.slots if slot.slot in record.values]
        said = (self._values.event(slot, record.values[slot.slot], is_correction=True) for slot in slots)
        return [ev.AskedToChange(record.id), *said]

    def _is_late_change(self, read: Understanding, state: State) -> bool:
        """ "Make it three instead", when it was written already and no task under way takes such a value."""
        told = {slot.slot for slot in read.slots}
        if not told or not state.bookings or all(act.kind != "correct" for act in read.acts):
            return False
        own = self._domain.intents[state.task.intent].slots if state.task is not None else ()
        return told <= set(state.bookings[-1].values) and not told & set(own)

    def _booking_meant(self, read: Understanding, state: State) -> str:
        """Id of the booking that is named, numbered, or the only one; "" where nobody can tell."""
        if len(state.bookings) == 1:
            return state.bookings[0].id
        for record in reversed(state.bookings):
            if any(
                isinstance(value, NodeValue) and mentions_node(read.text, value) for value in record.values.values()
            ):
                return record.id
        return ""


def _without(text: str, slot: SlotValue) -> str:
    """A text without a value and the small words that belong to it."""
    words = re.escape(text[slot.start : slot.end] if slot.start >= 0 else slot.value)
    return re.sub(f"{_BEFORE_VALUE}{words}{_AFTER_VALUE}", " ", text, count=1, flags=re.IGNORECASE)
