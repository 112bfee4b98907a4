"""What a sentence means here and now: an understanding becomes events, in the light of the state.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. Only
proposals are made: whether a value may stand in its slot is the fold's decision. An answer to a question belongs to
the task that asked, whatever intent a few words look like. Commands instead of raw intents, as in Larsson & Traum 2000,
"Information state and dialogue management in the TRINDI dialogue move engine toolkit".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.reading.acts import mentions, mentions_node
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.slots.kinds import ANY, NodeValue, Value, When
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.slots.said import folded
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.gathering import gathered
from pagoda.dialogue.turn.whole_sentences import BOOKS, LEAST_SURE, WholeSentences
from pagoda.nlu.understanding import OUT_OF_SCOPE, Act, SlotValue, TurnContext, Understanding

# Words that fill the slot just asked for are an answer and no new wish if the reading is less sure than this of another
# task, or if they are this share of the sentence.
SURE_OF_A_SWITCH, MOSTLY_ANSWER = 0.8, 0.5
# Acts that say of themselves what a sentence is for, where no intent fits it; the first that is found.
_TELLING_ACTS = ("choose", "request", "confirm", "deny")
_ASKS = re.compile(r"[?？]\s*$|[吗么嘛][\s。.!！]*$")


class ValueReader:
    """Words of a slot as its value, at one moment: by the normalisers, or by the names of the graph.

    values: has read most of the words already, while they were understood; None for a reader of its own
    """

    def __init__(self, domain: Domain, linker: Linker, now: datetime, values: SlotReader | None = None) -> None:
        self._domain, self._linker, self._now = domain, linker, now
        self._values = values or SlotReader(domain)

    def event(self, said: SlotValue, previous: Value | None, *, is_correction: bool) -> ev.Event:
        """Informed or Corrected with the value, None for what is none.

        Doubted where several nodes are close; Declined where the words were understood and are no value.
        """
        slot = self._domain.slots[said.slot]
        kind = ev.Corrected if is_correction and previous is not None else ev.Informed
        if slot.type != "name":
            reading = self._values.reading(slot.name, said.value, self._now, previous)
            # Of a time that is not told to the moment, the days around it are known all the same.
            is_around = reading.why == "ambiguous" and isinstance(reading.instead, When)
            if reading.why and not is_around:
                return ev.Declined(said.slot, said.value, reading.why, reading.leftover, reading.instead)
            return kind(said.slot, reading.instead if is_around else reading.value, said.value)
        link = self._linker.link(said.value, slot.labels)
        if link.node is None and slot.may_be_any and self._values.heard(slot.name, said.value).said.is_any:
            return kind(said.slot, ANY, said.value)
        if link.how == "close":
            return ev.Doubted(said.slot, said.value, link.nodes)
        return kind(said.slot, link.node, said.value)

    def nodes_named(self, text: str, labels: Sequence[str]) -> list[tuple[int, int, NodeValue]]:
        """(start, end, node) of the nodes of these labels that a text names."""
        return self._linker.find(folded(text).lower(), labels)


def context_of(state: State) -> TurnContext:
    """What understanding may know of the state."""
    task, source = state.task, state.task_with_results
    language = state.language or "en"
    return TurnContext(
        intent=task.intent if task else "",
        requested_slot=state.question.slot if state.question else "",
        results=tuple(node.name(language) for node in source.results) if source else (),
        slots=dict.fromkeys(task.values, "") if task else {},
        language="zh" if language == "zh" else "en",
    )


class Interpreter:
    """Makes events out of readings."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        self._whole = WholeSentences(domain, values)

    def events(self, read: Understanding, state: State, at: str) -> list[ev.Event]:
        """What the person did in this turn, UserSaid first. at: ISO 8601 time of the sentence."""
        meant, told = self._whole.meaning(read, state)
        if told:
            return [ev.UserSaid(read.text, read.language, meant, at), *told]
        intent = self._effective_intent(read, state)
        declared = self._domain.intents.get(intent)
        said = ev.UserSaid(read.text, read.language, intent, at)
        if declared is not None and declared.act == "cancel":
            return [said, ev.Cancelled()]
        return [
            said,
            *_switch(declared, state),
            *_yes_or_no(read, declared),
            *_dismissed(read.acts),
            *self._informed(read, state),
            *self._left_over(read, declared),
            *_pointed(read, state, declared, self._domain),
        ]

    def _effective_intent(self, read: Understanding, state: State) -> str:
        """The intent as it is meant here: a yes to a booking is a yes, an answer is no new wish."""
        kinds: set[str] = {act.kind for act in read.acts}
        if state.task is not None and state.task.stage == "confirming" and not read.slots:
            for kind in ("confirm", "deny"):
                if kind in kinds and (named := self._domain.intent_of_act(kind)):
                    return named
        if state.task is not None and self._is_answer(read, state):
            return state.task.intent
        if booking := self._booking_of_choice(read, state, kinds):
            return booking
        if self._is_about_booked_node(read, state, kinds):
            return self._domain.intent_of_act("request")
        if read.intent == OUT_OF_SCOPE or self._is_weak(read, state):
            return self._intent_of_acts(kinds, state, OUT_OF_SCOPE if read.intent == OUT_OF_SCOPE else ev.UNCLEAR)
        return read.intent

    def _is_about_booked_node(self, read: Understanding, state: State, kinds: set[str]) -> bool:
        """ "Is it any good?" while something is read out: a question for a property, if it looks like a wish."""
        waits = state.task is not None and state.task.stage == "confirming"
        return waits and "request" in kinds and not read.slots and read.confidence < SURE_OF_A_SWITCH

    def _is_weak(self, read: Understanding, state: State) -> bool:
        """Whether a reading is not sure enough to leave what is under way, or to give it up."""
        intent = self._domain.intents.get(read.intent)
        if not any(character.isalnum() for character in read.text):
            return True
        if intent is None or (state.task is not None and state.task.intent == intent.name):
            return False
        waits = state.task is not None and state.task.stage == "confirming"
        if intent.act == "cancel" and waits and _ASKS.search(read.text):
            # "Can I cancel later?" wants to know something.
            return True
        if state.task is None and state.task_with_results is None and self._is_bare_value(read):
            return True
        is_grave = intent.kind in ("find", "book") or intent.act in ("cancel", "hand_off")
        if waits and intent.kind in ("find", "book") and not read.slots:
            # What waits for a yes is not left for a wish that names nothing.
            return not any(mentions(read.text, word) for word in self._names_of_wish(intent))
        return is_grave and not read.slots and read.confidence < LEAST_SURE

    def _names_of_wish(self, intent: Intent) -> Iterator[str]:
        """What somebody calls that which a task is about."""
        yield from self._domain.called(intent)
        yield from intent.title.values()

    def _is_bare_value(self, read: Understanding) -> bool:
        """ "Noon": a value that several tasks take, and nothing that says which of them."""
        is_short = len(read.text.split()) <= 2 if read.text.isascii() else len(read.text) <= 6
        if read.slots or not is_short:
            return False
        for slot in self._domain.slots.values():
            takers = [intent for intent in self._domain.intents.values() if slot.name in intent.slots]
            told = (
                None
                if slot.type in ("name", "text", "person")
                else self._values.event(SlotValue(slot.name, read.text), None, is_correction=False)
            )
            if len(takers) > 1 and isinstance(told, ev.Informed) and told.value is not None:
                return True
        return False

    def _booking_of_choice(self, read: Understanding, state: State, kinds: set[str]) -> str:
        """ "Book the second one": more than a choice, where what is listed can be booked."""
        source = state.task_with_results
        intent = self._domain.intents.get(read.intent)
        is_choice = intent is not None and intent.act == "choose" and "choose" in kinds
        if source is not None and source.chosen_result is not None and "confirm" in kinds:
            # "Book it" is an order, and what it means was chosen before.
            is_choice = True
        if source is None or not is_choice or not BOOKS.search(read.text):
            return ""
        return next((each.name for each in self._domain.bookings_of(self._domain.intents[source.intent])), "")

    def _is_answer(self, read: Understanding, state: State) -> bool:
        """Whether the sentence belongs to the task under way, though it may look like another."""
        intent = self._domain.intents.get(read.intent)
        dismissed = any(act.kind in ("any", "unset") and act.slot for act in read.acts)
        if dismissed and read.confidence < SURE_OF_A_SWITCH:
            return True
        if state.task is None or (intent is not None and intent.act == "cancel") or not read.slots:
            return False
        own = self._domain.intents[state.task.intent].slots
        if any(slot.slot not in own for slot in read.slots):
            return False
        if intent is None:
            return True
        asked = state.question.slot if state.question else ""
        if all(slot.slot != asked for slot in read.slots):
            return False
        is_unsure = read.confidence < SURE_OF_A_SWITCH or intent.kind not in ("find", "book")
        return is_unsure or _share_of_slots(read) >= MOSTLY_ANSWER

    def _intent_of_acts(self, kinds: set[str], state: State, otherwise: str) -> str:
        """What the small words of a sentence that no intent fits say it is for."""
        if state.task is not None and kinds & {"any", "unset"}:
            return state.task.intent
        if state.task is None and state.task_with_results is None:
            return otherwise
        named = (self._domain.intent_of_act(kind) for kind in _TELLING_ACTS if kind in kinds)
        return next(filter(None, named), otherwise)

    def _informed(self, read: Understanding, state: State) -> Iterator[ev.Event]:
        is_correction = any(act.kind in ("correct", "deny") for act in read.acts)
        dismissed = {act.slot for act in read.acts if act.kind in ("any", "unset")}
        held = state.task.values if state.task is not None else {}
        said = [
            (slot, self._values.event(slot, held.get(slot.slot), is_correction=is_correction))
            for slot in read.slots
            if slot.slot in self._domain.slots and slot.slot not in dismissed
        ]
        said = [(slot, _among_choices(told, state)) for slot, told in said]
        yield from gathered(read.text, said, self._domain.slots, held)
        for act in read.acts:
            if act.kind == "order":
                yield ev.Ordered(act.slot, act.value == "highest")

    def _left_over(self, read: Understanding, declared: Intent | None) -> Iterator[ev.Event]:
        """Values that the task has no slot for, kept where a booking will have one; and names that nobody knows."""
        if declared is None or declared.kind not in ("find", "book"):
            return
        later = {slot for booking in self._domain.bookings_of(declared) for slot in booking.slots}
        words: list[str] = []
        for value in (each for each in read.unused if each.slot not in declared.slots):
            told = self._values.event(value, None, is_correction=False) if value.slot in later else None
            if isinstance(told, ev.Informed) and told.value not in (None, ANY):
                yield ev.Deferred(value.slot, told.value, value.value)
            else:
                words.append(value.value)
        if words or read.unknown:
            yield ev.Ignored(tuple(words), read.unknown)


def _among_choices(told: ev.Event, state: State) -> ev.Event:
    """Of the nodes that words may mean, the one that was among the choices, where that is one alone."""
    if not isinstance(told, ev.Doubted):
        return told
    choices = state.question.choices if state.question is not None and state.question.slot == told.slot else ()
    meant = [node for node in told.candidates if node in choices]
    return ev.Informed(told.slot, meant[0], told.surface) if len(meant) == 1 else told


def _share_of_slots(read: Understanding) -> float:
    """How much of a sentence its values are, by characters."""
    return sum(len(slot.value) for slot in read.slots) / max(1, len(read.text.strip()))


def _switch(declared: Intent | None, state: State) -> Iterator[ev.Event]:
    is_task = declared is not None and declared.kind in ("find", "book")
    if declared is not None and is_task and (state.task is None or state.task.intent != declared.name):
        yield ev.Switched(declared.name)


def _yes_or_no(read: Understanding, declared: Intent | None) -> Iterator[ev.Event]:
    kinds = {act.kind for act in read.acts} | ({declared.act} if declared is not None else set())
    if "deny" in kinds:
        yield ev.Denied()
    elif any(act.kind == "confirm" for act in read.acts) and not read.slots:
        # Only the closed grammar of a yes makes one; a reader that thinks of one is not enough.
        yield ev.Confirmed()


def _dismissed(acts: Sequence[Act]) -> Iterator[ev.Event]:
    for act in acts:
        if act.kind == "any" and act.slot:
            yield ev.SetAny(act.slot)
        elif act.kind == "unset" and act.slot:
            yield ev.Unset(act.slot)


def _pointed(read: Understanding, state: State, declared: Intent | None, domain: Domain) -> Iterator[ev.Event]:
    """A choice from what was offered, or a property of one of it."""
    index = _index(read, state)
    columns = _columns(read, state, domain)
    is_request = declared is not None and declared.act == "request"
    is_task = declared is not None and declared.kind in ("find", "book")
    if columns and (is_request or (not read.slots and not is_task)):
        yield from (ev.Requested(column, index) for column in columns)
    elif index is not None and (declared is None or declared.kind != "find"):
        yield ev.Chosen(index)


def _columns(read: Understanding, state: State, domain: Domain) -> list[str]:
    """Columns that are asked for, those of what was shown first: another search may have one of that name, too."""
    asked = [act.value for act in read.acts if act.kind == "request"]
    source = state.task_with_results
    query = domain.intents[source.intent].query if source is not None else None
    return sorted(asked, key=lambda name: query is None or query.column(name) is None)


def _index(read: Understanding, state: State) -> int | None:
    """Which result, from 0, -1 the last: by its number or by its name."""
    numbers = [int(act.value) for act in read.acts if act.kind == "choose"]
    if numbers:
        return numbers[0] - 1 if numbers[0] > 0 else numbers[0]
    return next(_named(read.text, state), None)


def _named(text: str, state: State) -> Iterator[int]:
    """Results that the text names."""
    source: Sequence[NodeValue] = state.task_with_results.results if state.task_with_results else ()
    for row, node in enumerate(source):
        if mentions_node(text, node):
            yield row
