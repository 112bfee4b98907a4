"""Takes a turn: what was read becomes events, the policy acts upon them, or documents answer what is no task.

Middle of a turn: sentence -> *understanding -> events -> state -> policy -> Cypher -> rows -> reply*. The acting itself
is `performing`'s. Documents come in as a callable, so that this room knows nothing of retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state import policy
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
        answered = self._from_documents(read, proposed, before)
        if answered is not None:
            return answered
        return Performance(self._domain, self._graph, self._phrases, session_id, now).perform(proposed, before)

    def _from_documents(self, read: Understanding, proposed: Sequence[ev.Event], before: State) -> Taken | None:
        """What documents say to a question that is no task; a person takes over where they say nothing.

        None where the graph is to answer: a task, or a question after a property that the documents know nothing of.
        """
        said, *others = proposed
        is_question = read.intent == OUT_OF_SCOPE and all(isinstance(event, ev.Requested) for event in others)
        if self._documents is None or not is_question or not isinstance(said, ev.UserSaid):
            return None
        found = self._documents(said.text)
        if not found and others:
            return None
        said = replace(said, intent=FROM_DOCUMENTS)
        events = (said, ev.Told(FROM_DOCUMENTS) if found else ev.HandedOff(NOT_IN_DOCUMENTS))
        state = fold(events, self._domain, before)
        if not found:
            return Taken(events, state, policy.HandOff(NOT_IN_DOCUMENTS), self._phrases.say("hand_off", said.language))
        return Taken(events, state, policy.Say(FROM_DOCUMENTS), found)
