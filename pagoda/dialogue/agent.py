"""`DialogueAgent`: a sentence in, a `Turn` out. The whole path of a turn on one page.

    sentence -> understanding -> events -> state -> policy -> Cypher -> rows -> reply

Turns of one session are taken one after the other, in the order in which they came, whoever calls: threads, tasks or
other processes over the same folder. A graph that fails costs the turn's answer and nothing else: the reply is an
apology, what was said is kept, and the next turn goes on from there. Architecture: Bohus & Rudnicky 2009, "The
RavenClaw dialog management framework"; the log as the only state is Fowler's "Event Sourcing" (2005).
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.dialogue.assembly import Parts
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.learned import import_readers
from pagoda.dialogue.reading.completing.one_at_a_time import OneAtATime
from pagoda.dialogue.sessions.store import HandOffRecord, SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.actions import HandOff, LookUp, Tell
from pagoda.dialogue.state.model import State
from pagoda.dialogue.states import Known, States
from pagoda.dialogue.turn.elsewhere import Documents, Elsewhere
from pagoda.dialogue.turn.interpretation import context_of
from pagoda.dialogue.turn.performing import Taken
from pagoda.dialogue.turn.turn import Turn, state_facts
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.graph.loading import load
from pagoda.language import Language
from pagoda.nlu.understanding import Understander

if TYPE_CHECKING:
    from pagoda.chat.model import ChatModel
    from pagoda.graph.graph import Graph

DEFAULT_FOLDER = "pagoda-dialogue"
MAX_TEXT_LENGTH = 2000
_NUM_THREADS = 16
_CLOSE_TIMEOUT_S = 10.0


class DialogueAgent:
    """Talks about a domain over a graph. Close it, or use it in a `with` statement.

    domain: a Domain or the path of its YAML; None is the shipped one: restaurants, films and hotels
    graph: None is an embedded one in the folder, which holds the shipped city where the domain is the shipped one
    understanding: None is the fast one of the domain: shipped, kept in the folder, or learned there from the examples
        (half a minute for 1,600); a path is the folder of one that `pagoda dialogue train` wrote
    model: reads sentences: with the strategy "hybrid" the hard ones, with the others all of them. A HeldModel says
        which loop its calls run in and whether `close` closes it; a plain ChatModel gets a loop and stays its owner's
    sessions: a store or the path of its file; None is a file in the folder
    documents: asked what is no task of the domain's; gives an answer, or None, and then a person takes over. An
        Elsewhere names who does errands, too: the domain's intents of kind "elsewhere", searches without any wish
    folder: of all that is made here
    settings: how turns are taken: strategy, rephrasing, subgraphs, clock; None for those of `AgentSettings()`
    owns_graph: `close` closes the graph, too

    Raises DomainError where the domain does not fit the graph, GraphError, SessionError, ConfigError,
    MissingExtraError.

    >>> with DialogueAgent() as agent:                                      # doctest: +SKIP
    ...     print(agent.reply("me", "想找一家便宜的川菜馆，离公司近一点").text)
    """

    def __init__(
        self,
        domain: Domain | str | Path | None = None,
        graph: Graph | None = None,
        understanding: Understander | str | Path | None = None,
        model: ChatModel | HeldModel | None = None,
        sessions: SessionStore | str | Path | None = None,
        *,
        documents: Documents | Elsewhere | None = None,
        folder: str | Path = DEFAULT_FOLDER,
        settings: AgentSettings | None = None,
        owns_graph: bool = False,
    ) -> None:
        self.settings = settings = settings or AgentSettings()
        if settings.rephrases and model is None:
            raise ConfigError("rephrases is set, but there is no model to word replies: give model=, too")
        self._model = held = _held(model)
        self._owned: list[Graph | SessionStore] = []
        try:
            self._parts = self._opened(domain, graph, understanding, sessions, Path(folder), documents, owns_graph)
            self._model_reader = None if held is None else self._parts.model_reader(held, settings.model_timeout_s)
            self._understander = self.understander(settings.strategy)
            self._states = States(self.domain, self.sessions)
            self._rephraser = self._parts.rephraser(held) if settings.rephrases and held is not None else None
        except BaseException:
            self._close_owned()
            raise
        self._pool = ThreadPoolExecutor(_NUM_THREADS, thread_name_prefix="pagoda-turn")

    @property
    def domain(self) -> Domain:
        """What is talked about."""
        return self._parts.domain

    def nodes(self, label: str) -> Mapping[str, NodeValue]:
        """The graph's nodes of a label by their keys, as the dialogue knows them: some seconds behind the graph."""
        return self._parts.linker.by_key(label)

    @property
    def graph(self) -> Graph:
        """What is talked over."""
        return self._parts.graph

    @property
    def sessions(self) -> SessionStore:
        """What was said so far."""
        return self._parts.sessions

    def warm(self) -> None:
        """Have the model, if there is one, ready for the first turn: loaded, and with what every prompt begins with.

        Takes as long as that does. A model that does not answer is told of in the log.
        """
        if self._model_reader is not None:
            self._model_reader.warm()

    # Turns

    def reply(self, session_id: str, text: str) -> Turn:
        """Take one turn. A session begins with its first.

        Raises InvalidRequestError for no text or too long a text, SessionError where the session cannot be kept. The
        graph's failures are not raised but apologised for.
        """
        check_text(text)
        hold = self.sessions.turn(session_id)
        with hold:
            return self._take(session_id, text)

    async def areply(self, session_id: str, text: str) -> Turn:
        """The same for event loops. Its place in the session is taken at once; a call that is cancelled gives it up."""
        check_text(text)
        return await asyncio.wrap_future(self._submit(session_id, text))

    def reply_batch(self, sentences: Sequence[tuple[str, str]]) -> list[Turn]:
        """Turns of many (session id, text), in order; sessions go side by side, the turns of one in their order."""
        for _, text in sentences:
            check_text(text)
        futures = [self._submit(session_id, text) for session_id, text in sentences]
        return [future.result() for future in futures]

    def forget(self, session_id: str) -> bool:
        """Delete a session once its turns under way have ended; False where there was none."""
        with self.sessions.turn(session_id):
            return self.sessions.delete(session_id)

    def end_hand_off(self, session_id: str) -> bool:
        """The person who took over gives the conversation back; False where nobody had."""
        with self.sessions.turn(session_id):
            known = self._states.of(session_id)
            if not known.state.handed_off:
                return self.sessions.end_hand_offs(session_id) > 0
            self.sessions.note(session_id, [ev.to_json(ev.HandOffEnded())], num_events_before=known.num_events)
            self.sessions.end_hand_offs(session_id)
            return True

    # Parts

    def understander(self, strategy: str) -> OneAtATime:
        """The reader of sentences with a strategy, over the same understanding. Raises ConfigError."""
        return self._parts.strategy(strategy, self._model_reader)

    def facts(self) -> dict[str, Any]:
        """What can be asked for, in plain data."""
        domain = self.domain
        return {
            "domain": domain.name,
            "languages": list(domain.languages),
            "strategy": self.settings.strategy,
            "model": None if self._model_reader is None else "configured",
            "intents": [
                {
                    "intent": intent.name,
                    "kind": intent.kind,
                    "title": dict(intent.title),
                    "required": list(intent.required),
                    "optional": list(intent.optional),
                }
                for intent in domain.intents.values()
            ],
            "slots": [{"slot": slot.name, "type": slot.type} for slot in domain.slots.values()],
        }

    def close(self) -> None:
        """Wait for turns under way, then close all that was opened here and all that is owned."""
        self._pool.shutdown(wait=True)
        try:
            if self._model is not None:
                self._model.close(_CLOSE_TIMEOUT_S)
        finally:
            self._close_owned()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Opening

    def _opened(
        self,
        domain: Domain | str | Path | None,
        graph: Graph | None,
        understanding: Understander | str | Path | None,
        sessions: SessionStore | str | Path | None,
        folder: Path,
        documents: Documents | Elsewhere | None,
        owns_graph: bool,
    ) -> Parts:
        declared = domain if isinstance(domain, Domain) else Domain.load(domain)
        if understanding is None or isinstance(understanding, str | Path):
            threading.Thread(target=import_readers, name="pagoda-import", daemon=True).start()
        if graph is None:
            from pagoda.dialogue.domain.city import city
            from pagoda.graph.graph import Graph

            graph = Graph.embedded(folder / "graph")
            self._owned.append(graph)
            if domain is None:
                load(graph, city())
        elif owns_graph:
            self._owned.append(graph)
        if not isinstance(sessions, SessionStore):
            sessions = SessionStore(sessions if sessions is not None else folder / "sessions.sqlite")
            self._owned.append(sessions)
        reader = Path(understanding) if isinstance(understanding, str) else understanding
        return Parts(declared, graph, sessions, reader, folder, documents, self.settings.on_progress)

    def _close_owned(self) -> None:
        while self._owned:
            self._owned.pop().close()

    # One turn

    def _submit(self, session_id: str, text: str) -> Future[Turn]:
        hold = self.sessions.turn(session_id)

        def work() -> Turn:
            with hold:
                return self._take(session_id, text)

        try:
            future = self._pool.submit(work)
        except RuntimeError as error:
            hold.leave_queue()
            raise ConfigError("the agent is closed: open another one over the same folder") from error
        # A call that is cancelled before its turn must not hold up those behind it.
        future.add_done_callback(lambda _: hold.leave_queue())
        return future

    def _take(self, session_id: str, text: str) -> Turn:
        """Sentence to reply. The session is held by the caller."""
        began = time.perf_counter()
        self._parts.freshen()
        known = self._states.of(session_id)
        before, began_with = _begun(known.state)
        read = self._understander.parse(text, context_of(before))
        understood = time.perf_counter()
        now = self.settings.now()
        taken = self._worded(self._parts.taker.take(session_id, read, before, now), read.language)
        if taken.is_booked and taken.state.waiting:
            waited = self._understander.waiting(next(iter(taken.state.waiting)), context_of(taken.state))
            taken = taken.followed_by(self._parts.taker.take(session_id, waited, taken.state, now))
        subgraph = self._parts.drawn(taken.found if self.settings.draws else ())
        ended = time.perf_counter()
        timings = {"understand": understood - began, "graph": taken.graph_s, "total": ended - began}
        facts = state_facts(taken.state, self.domain, read.language)
        taken = replace(taken, events=(*began_with, *taken.events))
        turn = Turn(session_id, known.num_turns + 1, text, read, taken, facts, subgraph, timings)
        self._keep(turn, known)
        return turn

    def _worded(self, taken: Taken, language: Language) -> Taken:
        """With the reply as it is said. What is agreed upon, a booking above all, is never put into other words."""
        if self._rephraser is None or not isinstance(taken.action, LookUp | Tell):
            return taken
        return replace(taken, text=self._rephraser.said(taken.text, taken.rows, language))

    def _keep(self, turn: Turn, known: Known) -> None:
        """Write the turn down before anybody hears of it."""
        events = [ev.to_json(event) for event in turn.taken.events]
        self.sessions.append(
            turn.session_id,
            events,
            turn.as_dict(),
            num_events_before=known.num_events,
            hand_off=self._hand_off(turn, turn.action.reason) if isinstance(turn.action, HandOff) else None,
        )
        self._states.after(turn.session_id, known, events, turn.state)
        if turn.state.this_turn.is_hand_off_ended:
            self.sessions.end_hand_offs(turn.session_id)

    def _hand_off(self, turn: Turn, reason: str) -> HandOffRecord:
        """What a person needs to go on."""
        said = [{"user": each["user"], "reply": each["text"]} for each in self.sessions.turns(turn.session_id)]
        return HandOffRecord(
            session_id=turn.session_id,
            reason=reason,
            language=turn.language,
            text=turn.user,
            intent=turn.facts["intent"],
            slots=turn.facts["slots"],
            transcript=(*said, {"user": turn.user, "reply": turn.text}),
        )


def _held(model: ChatModel | HeldModel | None) -> HeldModel | None:
    """The model with a loop for its calls."""
    if model is None or isinstance(model, HeldModel):
        return model
    return HeldModel(model, LoopThread(instead="areply, or call it from a thread"))


def _begun(state: State) -> tuple[State, tuple[ev.Event, ...]]:
    """The state of a conversation that has an id, and the event that gives it one where it begins now."""
    if state.turn or state.conversation:
        return state, ()
    began = ev.Began(secrets.token_hex(16))
    return replace(state, conversation=began.id), (began,)


def check_text(text: str) -> None:
    """Raises InvalidRequestError for what is no sentence."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequestError(
            "the text holds bytes that are no UTF-8: send it as UTF-8; 这段文字不是 UTF-8 编码，请转成 UTF-8 再发",
            param="text",
        )
    if not text.strip():
        raise InvalidRequestError("the text is empty: say something", param="text")
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidRequestError(
            f"the text has {len(text)} characters, at most {MAX_TEXT_LENGTH} are read: say it shorter", param="text"
        )
