"""What a sentence means here and now: an understanding becomes events, in the light of the state.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. Only
proposals are made: whether a value may stand in its slot is the fold's decision. An answer to a question belongs to
the task that asked, whatever intent a few words look like. Commands instead of raw intents, as in Larsson & Traum 2000,
"Information state and dialogue management in the TRINDI dialogue move engine toolkit".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.reading.acts import choices_in, is_choice, leaves_out_choice, without_choice
from pagoda.dialogue.reading.closed.assent import is_goodbye
from pagoda.dialogue.reading.closed.wishes import BOOKS, is_changing, is_undoing, keeps, new_value_in
from pagoda.dialogue.reading.follow_ups import is_small
from pagoda.dialogue.reading.places import mentions
from pagoda.dialogue.reading.polarity import roles
from pagoda.dialogue.reading.questions.forms import is_question, points_back
from pagoda.dialogue.slots.kinds import ANY
from pagoda.dialogue.slots.said import without_any
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.gathering import gathered
from pagoda.dialogue.turn.nearness import Nearness
from pagoda.dialogue.turn.orders import Orders
from pagoda.dialogue.turn.questions import Questions, index_of
from pagoda.dialogue.turn.standing import LEAST_SURE
from pagoda.dialogue.turn.values import ValueReader
from pagoda.dialogue.turn.whole_sentences import WholeSentences
from pagoda.nlu.understanding import OUT_OF_SCOPE, Act, SlotValue, TurnContext, Understanding

# Words that fill the slot just asked for are an answer and no new wish if the reading is less sure than this of another
# task, or if they are this share of the sentence.
SURE_OF_A_SWITCH, MOSTLY_ANSWER = 0.8, 0.5
# Acts that say of themselves what a sentence is for, where no intent fits it; the first that is found.
_TELLING_ACTS = ("choose", "request", "confirm", "deny")
_THANK = "thank"
"""The intent of every domain that has small talk, as its template is: who says goodbye is not refused."""
_ASKS = re.compile(r"[?？]\s*$|[吗么嘛][\s。.!！]*$")
_HESITATION = re.compile(r"\b(?:h+m+|u+m+|u+h+|ah|oh|well|so|and)\b|[嗯哦呃额]+", re.IGNORECASE)
# "Why don't we try Sichuan?" is a proposal.
_ASKS_WHY = re.compile(
    r"为什么|为啥|为何"
    r"|\bwhy (?!don['’]?t (?:we|you (?:find|book|try|give|show))\b)(?:do|did|does|are|is|was|were|have|has)",
    re.IGNORECASE,
)


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
        waiting=state.waiting,
        is_idle=state.is_idle,
    )


class Interpreter:
    """Makes events out of readings."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        self._whole, self._questions = WholeSentences(domain, values), Questions(domain, values)
        self._orders, self._nearness = Orders(domain, values), Nearness(domain, values)

    def events(self, read: Understanding, state: State, at: str) -> list[ev.Event]:
        """What the person did in this turn, UserSaid first. at: ISO 8601 time of the sentence."""
        return [*self._of_first(read, state, at), *(ev.PutOff(intent, words) for intent, words in read.further)]

    def _of_first(self, read: Understanding, state: State, at: str) -> list[ev.Event]:
        """Of the wish that was read, whatever else waits."""
        read = self._plain_choice(read, state)
        if self._is_elsewhere(read):
            return [ev.UserSaid(read.text, read.language, read.intent, at)]
        read = self._no_wish(_without_ordinals(read, state), state)
        if _THANK in self._domain.intents and is_goodbye(read.text):
            read = replace(read, intent=_THANK, confidence=1.0, slots=())
        near = self._nearness.wanted(read, state)
        wanted = self._domain.intents.get(read.intent)
        is_for_person = wanted is not None and wanted.act == "hand_off" and read.confidence >= LEAST_SURE
        meant, told = self._whole.meaning(read, state) if near is None and not is_for_person else ("", ())
        unbookable = self._orders.unbookable(read, state)
        if told:
            return [ev.UserSaid(read.text, read.language, meant, at), *told, *unbookable[:1]]
        intent = self._effective_intent(read, state) if near is None else near[0]
        declared = self._domain.intents.get(intent)
        said = ev.UserSaid(read.text, read.language, intent, at)
        if declared is not None and declared.act == "cancel" and (is_undoing(read.text) or not unbookable):
            return [said, ev.Cancelled()]
        if len(unbookable) > 1 or (unbookable and not _wishes_more(read, declared, state)):
            return [said, *unbookable]
        return [
            said,
            *unbookable,
            *_switch(declared, state),
            *self._meant_target(read, state, declared),
            *_yes_or_no(read, declared),
            *_dismissed(read.acts),
            *self._informed(self._reread(read, declared), state),
            *(near[1:] if near is not None else ()),
            *self._left_over(read, declared, near[1].surface if near is not None else ""),
            *self._questions.beside(read, state, declared),
            *_pointed(read, state, declared, self._domain),
        ]

    def _is_elsewhere(self, read: Understanding) -> bool:
        """Whether another storey's sentence was read for sure: it is no answer, no property and no yes."""
        intent = self._domain.intents.get(read.intent)
        return intent is not None and intent.kind == "elsewhere" and not read.slots and read.confidence >= LEAST_SURE

    def _plain_choice(self, read: Understanding, state: State) -> Understanding:
        """ "Hmm, the second one?" refuses nothing, whatever a reader takes it for: it says nothing but a number."""
        intent = self._domain.intents.get(read.intent)
        has_choice = state.task_with_results is not None and any(choices_in(read.text))
        if intent is None or intent.kind != "elsewhere" or read.confidence >= 1 or not has_choice:
            return read
        is_alone = is_small(_HESITATION.sub(" ", without_choice(read.text)))
        choose = self._domain.intent_of_act("choose")
        return replace(read, intent=choose) if is_alone and choose and not leaves_out_choice(read.text) else read

    def _no_wish(self, read: Understanding, state: State) -> Understanding:
        """Without values where a sentence is for sure no wish: "what's the weather like tomorrow?", 为啥不推荐喜剧."""
        intent = self._domain.intents.get(read.intent)
        if intent is not None and intent.kind in ("find", "book") and _ASKS_WHY.search(read.text):
            return replace(read, confidence=0.0, slots=())
        asked = state.question.slot if state.question else ""
        is_foreign = read.intent == OUT_OF_SCOPE and read.confidence >= SURE_OF_A_SWITCH
        is_answer = any(slot.slot == asked for slot in read.slots) or _share_of_slots(read) >= MOSTLY_ANSWER
        return replace(read, slots=()) if is_foreign and not is_answer and is_question(read.text) else read

    def _effective_intent(self, read: Understanding, state: State) -> str:
        """The intent as it is meant here: a yes to a booking is a yes, an answer is no new wish."""
        kinds: set[str] = {act.kind for act in read.acts}
        if state.is_confirming and not read.slots:
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
        waits = state.is_confirming
        return waits and "request" in kinds and not read.slots and read.confidence < SURE_OF_A_SWITCH

    def _is_weak(self, read: Understanding, state: State) -> bool:
        """Whether a reading is not sure enough to leave what is under way, or to give it up."""
        intent = self._domain.intents.get(read.intent)
        if not any(character.isalnum() for character in read.text):
            return True
        if intent is None or (state.task is not None and state.task.intent == intent.name):
            return False
        waits = state.is_confirming
        if intent.act == "cancel" and waits and _ASKS.search(read.text):
            # "Can I cancel later?" wants to know something.
            return True
        if intent.act == "cancel" and (keeps(read.text) or (is_changing(read.text) and not is_undoing(read.text))):
            # "Don't cancel", and "push it back by an hour", however sure the reader is.
            return True
        if state.task is None and state.task_with_results is None and self._is_bare_value(read):
            return True
        is_grave = intent.kind in ("find", "book", "elsewhere") or intent.act in ("cancel", "hand_off")
        if waits and intent.kind in ("find", "book") and not read.slots:
            # What waits for a yes is not left for a wish that names nothing.
            return not self._is_named(read, intent)
        if state.task is not None and intent.kind == "find" and not read.slots and read.confidence < SURE_OF_A_SWITCH:
            # "And can I bring my dog?" leaves no booking for the hotels that a reader thinks of.
            return not self._is_named(read, intent)
        return is_grave and not read.slots and read.confidence < LEAST_SURE

    def _is_named(self, read: Understanding, intent: Intent) -> bool:
        return any(mentions(read.text, word) for word in self._names_of_wish(intent))

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
        """ "Book the second one", "book it": more than a choice or a yes, where what is meant can be booked."""
        if not BOOKS.search(read.text):
            return ""
        intent, source = self._domain.intents.get(read.intent), state.task_with_results
        asks = intent is not None and intent.act == "request"
        query = self._domain.intents[source.intent].query if source is not None else None
        label = ""
        if query is not None and "choose" in kinds and (asks or (intent is not None and intent.act == "choose")):
            label = query.label
        elif state.topic is not None and ("confirm" in kinds or asks):
            # "Book it" is an order, and what it means was talked of before.
            label = state.topic.label
        bookable = (each for each in self._domain.intents.values() if each.booking is not None)
        return next((each.name for each in bookable if each.booking and each.booking.target_label == label), "")

    def _is_answer(self, read: Understanding, state: State) -> bool:
        """Whether the sentence belongs to the task under way, though it may look like another."""
        intent = self._domain.intents.get(read.intent)
        dismissed = any(act.kind in ("any", "unset") and act.slot for act in read.acts)
        if dismissed and (read.confidence < SURE_OF_A_SWITCH or is_small(without_any(read.text))):
            return True
        is_cancel = intent is not None and intent.act == "cancel" and not _only_leaves_out(read)
        if state.task is None or is_cancel or not read.slots:
            return False
        own = self._domain.intents[state.task.intent].slots
        if any(slot.slot not in own for slot in read.slots):
            return False
        if intent is None or intent.act == "cancel":
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

    def _meant_target(self, read: Understanding, state: State, declared: Intent | None) -> Iterator[ev.Event]:
        """ "Book it": what was talked of last, where that can be booked and the sentence points back to it."""
        booking, topic = declared.booking if declared is not None else None, state.topic
        if declared is None or booking is None or topic is None or topic.label != booking.target_label:
            return
        is_order = declared.name != read.intent and BOOKS.search(read.text) is not None
        is_told = any(slot.slot == booking.target for slot in read.slots)
        is_meant = is_order or points_back(read.text) or state.chosen == topic
        under_way = state.task if state.task is not None and state.task.intent == declared.name else None
        is_open = under_way is None or booking.target not in under_way.values
        if is_open and is_meant and not is_told and index_of(read, state) is None:
            yield ev.Informed(booking.target, topic)

    def _reread(self, read: Understanding, declared: Intent | None) -> Understanding:
        """With the quantities of a booking in a sentence that was read as something else and had no place for them."""
        if declared is None or declared.booking is None or declared.name == read.intent or read.slots:
            return read
        return replace(read, slots=tuple(self._values.quantities(read.text, declared.slots)))

    def _informed(self, read: Understanding, state: State) -> Iterator[ev.Event]:
        is_correction = any(act.kind in ("correct", "deny") for act in read.acts)
        dismissed = {act.slot for act in read.acts if act.kind in ("any", "unset")}
        held = state.task.values if state.task is not None else {}
        kept = held if _only_asks(read, state) else {}
        said = [
            (slot, self._values.event(slot, held.get(slot.slot), is_correction=is_correction))
            for slot in read.slots
            if slot.slot in self._domain.slots and slot.slot not in dismissed and slot.slot not in kept
        ]
        said = [(slot, _among_choices(told, state)) for slot, told in said]
        yield from gathered(read.text, said, self._domain.slots, held)
        for act in read.acts:
            if act.kind == "order":
                yield ev.Ordered(act.slot, act.value == "highest")

    def _left_over(self, read: Understanding, declared: Intent | None, used: str) -> Iterator[ev.Event]:
        """Values that the task has no slot for, kept where a booking will have one; and names that nobody knows.

        used: words that are made use of otherwise
        """
        if declared is None or declared.kind not in ("find", "book"):
            return
        later = self._domain.slots_booked_later(declared)
        words: list[str] = []
        for value in (each for each in read.unused if each.slot not in declared.slots and each.value not in used):
            told = self._values.event(value, None, is_correction=False) if value.slot in later else None
            if isinstance(told, ev.Informed) and told.value not in (None, ANY):
                yield ev.Deferred(value.slot, told.value, value.value)
            else:
                words.append(value.value)
        unknown = tuple(name for name in read.unknown if name not in used)
        if words or unknown:
            yield ev.Ignored(tuple(words), unknown)


def _without_ordinals(read: Understanding, state: State) -> Understanding:
    """Of a list "the second" is a row, and no day of the month, unless a time was asked for."""
    is_asked = state.question is not None
    if is_asked or state.task_with_results is None or all(act.kind != "choose" for act in read.acts):
        return read
    return replace(read, slots=tuple(slot for slot in read.slots if not is_choice(slot.value)))


def _only_asks(read: Understanding, state: State) -> bool:
    """Whether a sentence asks something of what was read out: "is it open on Mondays?" moves nothing to a Monday."""
    waits = state.is_confirming
    kinds = {act.kind for act in read.acts}
    changes = is_changing(read.text) or BOOKS.search(read.text) or new_value_in(read.text)
    return waits and "request" in kinds and not kinds & {"correct", "deny", "confirm"} and not changes


def _wishes_more(read: Understanding, declared: Intent | None, state: State) -> bool:
    """Whether an order of what cannot be booked is a search as well: one with values, or one that begins."""
    is_search = declared is not None and declared.query is not None
    is_new = declared is not None and (state.task is None or state.task.intent != declared.name)
    return is_search and (bool(read.slots) or is_new)


def _among_choices(told: ev.Event, state: State) -> ev.Event:
    """Of the nodes that words may mean, the one that was among the choices, where that is one alone."""
    if not isinstance(told, ev.Doubted):
        return told
    choices = state.question.choices if state.question is not None and state.question.slot == told.slot else ()
    meant = [node for node in told.candidates if node in choices]
    return ev.Informed(told.slot, meant[0], told.surface) if len(meant) == 1 else told


def _only_leaves_out(read: Understanding) -> bool:
    """Whether all values of a sentence are ones that are not wanted: 算了不要火锅 gives up no search."""
    spans = [(slot.slot, slot.start, slot.end) for slot in read.slots if slot.start >= 0]
    return bool(spans) and len(spans) == len(read.slots) and {*roles(read.text, spans)} == {"excluded"}


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
    index = index_of(read, state)
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
