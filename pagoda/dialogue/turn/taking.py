"""Takes a turn: what was read becomes events, the policy acts upon them, or documents answer what is no task.

Middle of a turn: sentence -> *understanding -> events -> state -> policy -> Cypher -> rows -> reply*. The acting itself
is `performing`'s. Documents come in as a callable, so that this room knows nothing of retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import without_choice
from pagoda.dialogue.reading.follow_ups import has_remainder
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.state import actions
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.interpretation import Interpreter
from pagoda.dialogue.turn.performing import Performance, Taken
from pagoda.graph.graph import Graph
from pagoda.nlu.understanding import OUT_OF_SCOPE, Understanding

Documents = Callable[[str], str | None]
"""Answers a question that is no task of the domain's, or gives None."""
FROM_DOCUMENTS, NOT_IN_DOCUMENTS = "documents", "not_in_documents"


class TurnTaker:
    """Takes turns over one domain and graph; threads may share it. interpreter: for the sentences of a moment."""

    def __init__(
        self,
        domain: Domain,
        graph: Graph,
        interpreter: Callable[[datetime], Interpreter],
        phrases: Phrasebook,
        documents: Documents | None = None,
    ) -> None:
        self._domain, self._graph, self._documents = domain, graph, documents
        self._interpreter, self._phrases = interpreter, phrases

    def take(self, session_id: str, read: Understanding, before: State, now: datetime) -> Taken:
        """The turn of a sentence that was read in the state `before`."""
        proposed = self._interpreter(now).events(read, before, now.isoformat(timespec="minutes"))
        performance = Performance(self._domain, self._graph, self._phrases, session_id, now)
        answered = self._from_documents(performance, read, proposed, before)
        return answered or performance.perform(proposed, before)

    def _from_documents(
        self, performance: Performance, read: Understanding, proposed: Sequence[ev.Event], before: State
    ) -> Taken | None:
        """What documents say to a question that is no task; a person takes over where they say nothing.

        None where the graph is to answer: a task, a question whose words a property explains wholly, or one after a
        property that the documents know nothing of.
        """
        said, *others = proposed
        if self._documents is None or not isinstance(said, ev.UserSaid) or not self._is_for_documents(read, others):
            return None
        found = self._documents(said.text)
        if not found and (others or _waits(before)):
            return None
        said = replace(said, intent=FROM_DOCUMENTS)
        if found:
            return performance.tell(found, actions.Say(FROM_DOCUMENTS), (said, ev.Told(FROM_DOCUMENTS)), before)
        events = (said, ev.HandedOff(NOT_IN_DOCUMENTS))
        state = fold(events, self._domain, before)
        return Taken(events, state, actions.HandOff(NOT_IN_DOCUMENTS), self._phrases.say("hand_off", said.language))

    def _is_for_documents(self, read: Understanding, others: Sequence[ev.Event]) -> bool:
        """Whether documents are asked first: nothing to do with a task, or more than a property's words."""
        if not others:
            return read.intent == OUT_OF_SCOPE
        if not all(isinstance(event, ev.Requested) for event in others):
            return False
        return is_about_more(read.text, [act.value for act in read.acts if act.kind == "request"], others, self._domain)


def _waits(state: State) -> bool:
    """Whether a yes is waited for: then a sentence that nobody understands brings no person yet."""
    return state.withdrawal is not None or (state.is_confirming)


def is_about_more(text: str, columns: Sequence[str], requests: Sequence[ev.Event], domain: Domain) -> bool:
    """Whether a question says more than the words of the columns that it asks for, and what these are of."""
    queries = [intent.query for intent in domain.intents.values() if intent.query is not None]
    told = [column for query in queries for column in query.columns if column.name in columns]
    words = [word for column in told for named in (*column.words.values(), column.title.values()) for word in named]
    nodes = [event.node for event in requests if isinstance(event, ev.Requested) and event.node is not None]
    titles = [word for intent in domain.intents.values() if intent.query for word in domain.called(intent)]
    return has_remainder(
        without_choice(text),
        [*words, *titles, *(name for node in nodes for name in (node.zh, node.en))],
        is_question=True,
    )
