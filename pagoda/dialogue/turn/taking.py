"""Takes a turn: what was read becomes events, the policy acts upon them, or another storey answers what is no task.

Middle of a turn: sentence -> *understanding -> events -> state -> policy -> Cypher -> rows -> reply*. The acting itself
is `performing`'s. Documents and errands come in as callables (`elsewhere`), so that this room knows nothing of
retrieval or recommendation.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import NUMBER_TYPES
from pagoda.dialogue.reading.acts import choices_in, without_choice
from pagoda.dialogue.reading.completing.vocabulary import Vocabulary
from pagoda.dialogue.reading.follow_ups import is_small, remainder_of
from pagoda.dialogue.reading.questions.forms import points_back
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.slots.said import is_any, without_any
from pagoda.dialogue.state import actions
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import State
from pagoda.dialogue.state.tasks import row_of
from pagoda.dialogue.turn.elsewhere import Answered, Elsewhere, Errand
from pagoda.dialogue.turn.interpretation import Interpreter
from pagoda.dialogue.turn.performing import Performance, Taken
from pagoda.dialogue.turn.questions import index_of
from pagoda.graph.errors import GraphError
from pagoda.graph.graph import Graph
from pagoda.nlu.understanding import OUT_OF_SCOPE, Understanding

logger = logging.getLogger(__name__)
_DIGIT = re.compile(r"\d")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_THING_EN = r"\s+(?=(?:(?:the|an?|my|your|our|their|its|this|that|any|some)\s+)?([\w'’-]+(?:\s+[\w'’-]+)?))"
_OF_WHAT_EN = re.compile(rf"\b(?:of|for|to){_THING_EN}", re.IGNORECASE)
# "How long are repairs guaranteed?" is of repairs; of two questions in one the other may be of what is on the table.
_SUBJECT_EN = re.compile(
    rf"\b(?:is|are|was|were|does|do|did|will|can|rent|buy|book|hire|reserve|order|purchase){_THING_EN}", re.IGNORECASE
)
_SEVERAL_EN = re.compile(r"\band\b|[,.;!?]\s*\w")
# Of whoever is spoken to, and not of what was found: "when do you close", 你们几点关门.
_OF_US = re.compile(
    r"[你您]们(?!知道|能|有没有|这|那|推荐)|贵店|贵公司|\byour\b"
    r"|\b(?:do|are|will) you(?: guys| folks| people)? (?:open|opened|closed?|start|located|based|charge|take)\b",
    re.IGNORECASE,
)
FROM_DOCUMENTS, NOT_IN_DOCUMENTS = "documents", "not_in_documents"


class TurnTaker:
    """Takes turns over one domain and graph; threads may share it. interpreter: for the sentences of a moment."""

    def __init__(
        self,
        domain: Domain,
        graph: Graph,
        interpreter: Callable[[datetime], Interpreter],
        phrases: Phrasebook,
        elsewhere: Elsewhere,
    ) -> None:
        self._domain, self._graph, self._elsewhere = domain, graph, elsewhere
        self._interpreter, self._phrases = interpreter, phrases
        self._vocabulary = Vocabulary(domain)
        self._titles = [word for each in domain.intents.values() if each.query for word in domain.called(each)]

    def take(self, session_id: str, read: Understanding, before: State, now: datetime) -> Taken:
        """The turn of a sentence that was read in the state `before`."""
        read = self._claimed(session_id, read, before)
        proposed = self._interpreter(now).events(read, before, now.isoformat(timespec="minutes"))
        performance = Performance(self._domain, self._graph, self._phrases, session_id, now)
        return (
            self._from_documents(performance, read, proposed, before)
            or self._from_errand(performance, session_id, read, proposed, before)
            or performance.perform(proposed, before)
        )

    # Documents

    def _from_documents(
        self, performance: Performance, read: Understanding, proposed: Sequence[ev.Event], before: State
    ) -> Taken | None:
        """What documents say to a question that is no task; a person takes over where they say nothing.

        None where the graph is to answer: a task, a question whose words a property explains wholly, or one that the
        documents know nothing of and whose words may still be said of what is talked about.
        """
        said, *others = proposed
        ask = self._elsewhere.documents
        if ask is None or not isinstance(said, ev.UserSaid) or not self._is_for_documents(said, read, others, before):
            return None
        found = ask(said.text)
        is_graphs = bool(others) and not self._is_strange(read, others, before)
        if not found and (is_graphs or said.intent == ev.UNCLEAR or _waits(before)):
            return None
        said = replace(said, intent=FROM_DOCUMENTS)
        if found:
            answered = found if isinstance(found, Answered) else Answered(found, FROM_DOCUMENTS)
            return self._told(performance, answered, FROM_DOCUMENTS, (said, ev.Told(FROM_DOCUMENTS)), before)
        events = (said, ev.HandedOff(NOT_IN_DOCUMENTS))
        state = fold(events, self._domain, before)
        return Taken(events, state, actions.HandOff(NOT_IN_DOCUMENTS), self._phrases.say("hand_off", said.language))

    def _is_for_documents(
        self, said: ev.UserSaid, read: Understanding, others: Sequence[ev.Event], before: State
    ) -> bool:
        """Whether documents are asked first: nothing to do with a task, or more than a property of what is meant."""
        if not others:
            is_nothing = is_any(said.text) and is_small(without_any(said.text))
            return (read.intent == OUT_OF_SCOPE or said.intent == ev.UNCLEAR) and not is_nothing
        if all(isinstance(event, ev.Requested) for event in others):
            is_of_nothing = not _has_table(before) and not _are_pointed(others)
            return is_of_nothing or any(map(str.isalnum, beside_property(read, others, self._domain)))
        # A small word of it looked like a yes, a number or a choice; of a task there is nothing.
        is_task = any(isinstance(event, ev.Informed | ev.Switched | ev.Requested) for event in others)
        return said.intent == OUT_OF_SCOPE and not is_task

    def _is_strange(self, read: Understanding, others: Sequence[ev.Event], before: State) -> bool:
        """Whether a property is asked of what the domain knows nothing of, and not of something that is pointed at."""
        is_order = read.intent == OUT_OF_SCOPE and all(isinstance(each, ev.Unbookable) for each in others)
        if not (is_order or all(isinstance(each, ev.Requested) for each in others)) or _are_pointed(others):
            return False
        if not _has_table(before) and _OF_US.search(read.text):
            return True
        # "It" of "how much does it cost" is nothing where nothing was talked of.
        is_back = _has_table(before) and points_back(read.text, self._titles)
        beside = beside_property(read, others, self._domain)
        if not _HAN.search(read.text):
            # "Pls" and "gimme" are new words, and no things that a number may be of.
            subjects = [] if _SEVERAL_EN.search(read.text) else [*_SUBJECT_EN.finditer(read.text)]
            named = (*_OF_WHAT_EN.finditer(read.text), *subjects)
            of = {word for found in named for word in found[1].lower().split()}
            beside = " ".join(word for word in re.findall(r"[\w'’-]+", beside) if word.lower() in of)
        return not is_back and self._vocabulary.has_new_thing(beside)

    # Errands

    def _claimed(self, session_id: str, read: Understanding, before: State) -> Understanding:
        """The reading of a sentence that another storey knows for its own; not while something waits for an answer."""
        claims = self._elsewhere.claims
        if claims is None or before.is_confirming or self._is_answered(read, before):
            return read
        try:
            intent = claims(self._errand(session_id, read, read.intent, before), read)
        except GraphError as error:
            logger.warning("whose a sentence is met %s: %s", type(error).__name__, error)
            return read
        return replace(read, intent=intent, confidence=1.0, slots=(), further=()) if intent else read

    def _is_answered(self, read: Understanding, before: State) -> bool:
        """Whether a question has choices, or asks for a number and gets one: "not 2" is of people then, no row."""
        asked = before.question
        if asked is None or asked.choices:
            return asked is not None
        is_number = asked.slot in self._domain.slots and self._domain.slots[asked.slot].type in NUMBER_TYPES
        return is_number and _DIGIT.search(read.text) is not None and not any(choices_in(read.text))

    def _from_errand(
        self,
        performance: Performance,
        session_id: str,
        read: Understanding,
        proposed: Sequence[ev.Event],
        before: State,
    ) -> Taken | None:
        """What another storey says to a sentence of its own; None where it is not, or has nothing to say."""
        said, *others = proposed
        do = self._elsewhere.errands
        if do is None or not isinstance(said, ev.UserSaid) or not self._is_errand(said, others, before):
            return None
        try:
            answered = do(self._errand(session_id, read, said.intent, before))
        except GraphError as error:
            logger.warning("an errand met %s: %s", type(error).__name__, error)
            return performance.perform([said, ev.GraphFailed(type(error).__name__)], before)
        if answered is None:
            return None
        told: list[ev.Event] = [said, *(each for each in others if isinstance(each, ev.PutOff))]
        told += self._offered(answered, before) or [ev.Told(answered.source)]
        return self._told(performance, answered, said.intent, told, before)

    def _is_errand(self, said: ev.UserSaid, others: Sequence[ev.Event], before: State) -> bool:
        """Whether another storey is asked: its intent, or a search that begins now and is for nothing in particular."""
        intent = self._domain.intents.get(said.intent)
        if intent is None or intent.kind != "find":
            return intent is not None and intent.kind == "elsewhere"
        if not others or not all(isinstance(each, ev.Switched) for each in others):
            return False
        task = fold([said, *others], self._domain, before).task
        return task is not None and not task.values and not task.results

    def _errand(self, session_id: str, read: Understanding, intent: str, before: State) -> Errand:
        source = before.task_with_results
        shown = source.results if source is not None else ()
        index = index_of(read, before)
        row = row_of(index, len(shown)) if index is not None else None
        is_beyond = index is not None and row is None
        node = shown[row] if row is not None else None if is_beyond else before.topic
        declared = self._domain.intents.get(intent)
        sought = declared.sought if declared is not None else ""
        label = sought or (shown[0].label if shown else "")
        return Errand(session_id, intent, read.text, read.language, label, shown, node, is_beyond)

    def _offered(self, answered: Answered, before: State) -> list[ev.Event]:
        """Nodes that are told become the results of a search for them; a booking under way comes back at once."""
        task = before.task
        if not answered.offered or before.withdrawal is not None:
            return []
        label = answered.offered[0].label
        finder = next(each for each in self._domain.intents.values() if each.query and each.query.label == label)
        offered: list[ev.Event] = [ev.Switched(finder.name), ev.Offered(answered.offered)]
        is_booking = task is not None and self._domain.intents[task.intent].kind == "book"
        return [*offered, ev.Switched(task.intent)] if task is not None and is_booking else offered

    def _told(
        self, performance: Performance, answered: Answered, name: str, told: Sequence[ev.Event], before: State
    ) -> Taken:
        """The turn of a text that another storey made."""
        taken = performance.tell(answered.text, actions.Say(name), told, before)
        found = tuple(node.key for node in answered.offered)
        return replace(taken, source=answered.source, details=answered.details, found=found)


def _waits(state: State) -> bool:
    """Whether a yes is waited for: then a sentence that nobody understands brings no person yet."""
    return state.withdrawal is not None or (state.is_confirming)


def _has_table(state: State) -> bool:
    """Whether there is something that a property may be asked of without being named."""
    return state.topic is not None or state.task_with_results is not None or bool(state.bookings)


def _are_pointed(requests: Sequence[ev.Event]) -> bool:
    return any(isinstance(each, ev.Requested) and (each.index, each.node) != (None, None) for each in requests)


def beside_property(read: Understanding, requests: Sequence[ev.Event], domain: Domain) -> str:
    """What a question says besides the words of the columns that it asks for, and of what these are of."""
    columns = [act.value for act in read.acts if act.kind == "request"]
    queries = [intent.query for intent in domain.intents.values() if intent.query is not None]
    told = [column for query in queries for column in query.columns if column.name in columns]
    words = [word for column in told for named in (*column.words.values(), column.title.values()) for word in named]
    nodes = [event.node for event in requests if isinstance(event, ev.Requested) and event.node is not None]
    titles = [word for intent in domain.intents.values() if intent.query for word in domain.called(intent)]
    names = [*words, *titles, *(name for node in nodes for name in (node.zh, node.en))]
    return remainder_of(without_choice(read.text), names, is_question=True)
