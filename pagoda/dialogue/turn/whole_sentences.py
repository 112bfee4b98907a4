"""Sentences that mean one thing as a whole in the state they are said in, whatever intent they look like.

Third station of a turn, before `interpretation`: sentence -> *understanding -> events* -> state -> policy -> Cypher ->
rows -> reply. A yes to what was read out, a change instead of one, a number that answers printed choices, further
results, bookings of this conversation, a property of a node that is named. What answers depends on what was said last:
adjacency pairs, in Schegloff and Sacks 1973, "Opening up Closings".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import bare_choice, mentions_node
from pagoda.dialogue.reading.closed.assent import is_yes
from pagoda.dialogue.reading.closed.wishes import (
    is_changing,
    things_of,
    without_undoing,
)
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.questions import Questions
from pagoda.dialogue.turn.standing import Standing
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import SlotValue, Understanding

_BEFORE_VALUE = r"(?:\b(?:for|at|on|in|to|of|with|the|a|an|that|it is|it's)\s+)*"
_AFTER_VALUE = r"(?:\s*(?:people|persons|of us|[个位]人|[个位]|的))?"


class WholeSentences:
    """Tells what a whole sentence means at one moment of a dialogue."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        self._questions, self._standing = Questions(domain, values), Standing(domain, values)

    def meaning(self, read: Understanding, state: State) -> tuple[str, Sequence[ev.Event]]:
        """(intent, events) of a sentence that is one of these as a whole; no events where it is none."""
        return next(((intent, told) for intent, told in self._meanings(read, state) if told), ("", ()))

    def _meanings(self, read: Understanding, state: State) -> Iterator[tuple[str, Sequence[ev.Event]]]:
        """(intent, events) of what a whole sentence may be here, the surest first; no events where it is not."""
        named, task = self._domain.intent_of_act, state.task
        yield named("confirm"), [ev.Confirmed()] if self._is_whole_yes(read, state) else []
        yield named("deny"), self._standing.which(read, state)
        yield task.intent if task else "", self._changed(read, state)
        yield named("choose"), self._accepted(read, state) or self._bare_choice(read, state)
        yield "", self._standing.wanted(read, state)
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
        if is_yes(read.text, things):
            # The grammar has no values in it: "that's the one" is not for one person.
            return True
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
        if task is None:
            return []
        if other := self._standing.slot_to_replace(read, self._domain.intents[task.intent].slots):
            return [ev.WantsOther(other)]
        if task.stage != "confirming":
            return []
        if told := self._standing.new_value(read, task.values):
            return [*told]
        wants_other = is_changing(read.text) and not any(act.kind in ("request", "bookings") for act in read.acts)
        wants_other = wants_other or self._standing.is_vague(read, task.values)
        return [ev.Denied()] if wants_other and not read.slots else []

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


def _without(text: str, slot: SlotValue) -> str:
    """A text without a value and the small words that belong to it."""
    words = re.escape(text[slot.start : slot.end] if slot.start >= 0 else slot.value)
    return re.sub(f"{_BEFORE_VALUE}{words}{_AFTER_VALUE}", " ", text, count=1, flags=re.IGNORECASE)
