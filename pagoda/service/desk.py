"""`ServiceDesk`: one conversation over graph, documents and recommender, and the people who take it over.

    sentence -> taken over? kept for the person who has it
             -> dialogue: its own task? graph; a search without a wish, a recommendation, a reason? recommender
                          not its own?  documents; nothing there? a person

Who answers is decided by the dialogue's reading and by what the storeys say to it (`dialogue.turn.taking`); this file
opens them over one folder and keeps what is said beside them. Everything that was answered is on disk by then. What
customers and staff do with one conversation happens one after the other, so that nobody takes what is being given back.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pagoda.dialogue.agent import DialogueAgent, check_text
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.sessions.store import HandOffRecord, TurnHold
from pagoda.dialogue.sessions.turn_queue import TurnQueue
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.turn.elsewhere import Elsewhere
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.rag.pipeline import RAG
from pagoda.recommend.desk import Desk
from pagoda.recommend.paths import RecommendationGraph
from pagoda.recommend.store import Refusal
from pagoda.service.documents import documents_of
from pagoda.service.recommending import Recommending
from pagoda.service.settings import MAX_NAME_LENGTH, ServiceSettings
from pagoda.service.shipped import handbook, service_domain, set_up_visits
from pagoda.service.summary import summary_of
from pagoda.service.takeovers import HeldConversation, Takeovers

PERSON = "person"
"""Source of what staff and their customers say to one another."""


class ServiceDesk:
    """Open over a folder, which is filled with the shipped city at its first opening. Threads may share it; close it.

    graph: one that is open and stays its owner's, in place of the folder's; the city and its visits are put into it
    Raises GraphError, DialogueError, RagError, ConfigError, MissingExtraError.
    """

    def __init__(self, folder: str | Path, settings: ServiceSettings | None = None, graph: Graph | None = None) -> None:
        settings, folder = settings or ServiceSettings(), Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._held = ExitStack()
        self._calls = TurnQueue()
        """One call at a time for each session: sentences, and what staff do."""
        try:
            self._open(folder, settings, graph)
        except BaseException:
            self._held.close()
            raise

    def _open(self, folder: Path, settings: ServiceSettings, given: Graph | None) -> None:
        """Documents are read while the graph starts: either takes seconds, the first time."""
        with ThreadPoolExecutor(1) as aside:
            reading = aside.submit(_documents, folder / "documents", settings.documents or (handbook(),))
            self._held.callback(lambda: reading.result().close())
            graph = given or self._held.enter_context(Graph.embedded(folder / "graph"))
            load(graph, city())
            shelf = folder / "recommend"
            set_up_visits(shelf)
            self._desk = Desk(shelf, RecommendationGraph(graph))
            self._held.callback(self._desk.close)
            self._takeovers = Takeovers(folder / "takeovers.sqlite")
            self._held.callback(self._takeovers.close)
            domain = service_domain()
            recommending = Recommending(self._desk, self._nodes, domain, self._user_of, self._turns)
            self._rag = reading.result()
            documents = documents_of(self._rag)
            answering = Elsewhere(documents, recommending, recommending.claims)
            manner = AgentSettings(draws=False, timezone=settings.timezone)
            self.agent = DialogueAgent(domain, graph, documents=answering, folder=folder, settings=manner)
            self._held.callback(self.agent.close)

    def close(self) -> None:
        """Wait for turns under way, and close everything."""
        self._held.close()

    # The customer's side

    def say(self, session: str, text: str, user: str = "") -> dict[str, Any]:
        """A customer's sentence: the entry of the conversation that answers it, or that was kept for a person.

        user: whose history recommendations are made of, told once, with any sentence; "" for nobody who is known, or
            for whoever was told before. What was refused until then stays the conversation's own
        Raises InvalidRequestError for no sentence or another user, SessionError where it cannot be kept: it is not
        taken then.
        """
        check_text(text)
        with self._alone(session):
            held = self._begun(session, user)
            if held.staff:
                line = self._takeovers.say(session, self._num_turns(session), "customer", "", text)
                return {"source": PERSON, "staff": held.staff, **asdict(line)}
            return _entry(self.agent.reply(session, text).as_dict())

    def _begun(self, session: str, user: str) -> HeldConversation:
        held = self._takeovers.begun(session, user or session)
        if user in ("", held.user):
            return held
        if held.user == session:
            # Before the name, which is all that tells what was kept under the session.
            self._desk.forget(session)
        if self._takeovers.name_user(session, user):
            return held
        raise InvalidRequestError(
            f"this conversation is of user {held.user!r:.140}, and {user!r:.140} was given: leave user out, or begin "
            "another conversation",
            param="user",
        )

    def conversation(self, session: str) -> dict[str, Any]:
        """All of it, in the order in which it was held; with nothing in it where nobody began it."""
        held = self._takeovers.of(session)
        waiting = self.agent.sessions.hand_offs(session)
        return {
            "user": held.user if held is not None and held.user != session else "",
            "staff": held.staff if held is not None else "",
            "waiting": bool(waiting or (held is not None and held.staff)),
            "entries": list(self._entries(session)),
        }

    def forget(self, session: str) -> bool:
        """Delete a conversation; False where there was none. Blocks are the person's, and stay.

        Of nobody who is known, blocks and what was shown go with it. A session of which nothing is held may be the id
        of somebody who is: nothing of theirs goes.
        """
        with self._alone(session):
            held = self._takeovers.of(session)
            if held is not None and held.user == session:
                self._desk.forget(session)
            was_held = self._takeovers.forget(session)
            return self.agent.forget(session) or was_held

    def unblock(self, session: str, *, item: str = "", kind: str = "") -> bool:
        """Take back what this conversation's person refused, an item or a kind; whether it was refused.

        Either id stands in the `details` of the turn that blocked. Raises InvalidRequestError for both or neither.
        """
        if bool(item) == bool(kind):
            raise InvalidRequestError("give either item or kind: what may be shown again", param="item")
        return self._desk.unblock(Refusal(self._user_of(session), item=item, kind=kind))

    # The staff's side

    def queue(self) -> list[dict[str, Any]]:
        """Conversations that wait for a person or have one, the longest waiting first, each with its summary."""
        return [
            {
                "number": held.number,
                "staff": held.staff,
                "user": held.user if held.user != session else "",
                "summary": summary_of(record, self._turns(session), self.agent.domain),
            }
            for session, record in self._first_hand_offs().items()
            if (held := self._takeovers.of(session)) is not None
        ]

    def take(self, number: int, name: str) -> dict[str, Any]:
        """Take over a conversation that waits. Raises InvalidRequestError where it does not, or another one has it."""
        name = _checked_name(name)
        with self._waiting_alone(number) as held:
            if not self._takeovers.take(number, name):
                raise InvalidRequestError(f"{held.staff} has conversation {number}: take another one", param="number")
            return self.conversation(held.session)

    def answer(self, number: int, name: str, text: str) -> dict[str, Any]:
        """Say something to the customer. Raises InvalidRequestError for whoever has not taken the conversation over."""
        check_text(text)
        name = _checked_name(name)
        with self._waiting_alone(number) as held:
            if held.staff != name:
                raise InvalidRequestError(
                    f"{name} has not taken conversation {number} over: take it first", param="number"
                )
            return asdict(self._takeovers.say(held.session, self._num_turns(held.session), "staff", name, text))

    def give_back(self, number: int, name: str) -> None:
        """The machine goes on with the conversation. Raises InvalidRequestError for whoever has not got it.

        Whoever is killed between the two steps leaves a conversation that waits again, and none that nobody sees.
        """
        name = _checked_name(name)
        with self._waiting_alone(number) as held:
            if held.staff != name:
                raise InvalidRequestError(f"{name} has not taken conversation {number} over", param="number")
            self._takeovers.release(number)
            self.agent.end_hand_off(held.session)

    def look(self, number: int) -> dict[str, Any]:
        """A conversation of the queue as staff see it, before or after it is taken."""
        return self.conversation(self._waiting(number).session)

    # Both

    def facts(self) -> dict[str, Any]:
        """What this desk answers from."""
        status = self._rag.status()
        return {
            "domain": self.agent.domain.name,
            "languages": list(self.agent.domain.languages),
            "documents": status.num_documents,
            "recommender": self._desk.facts(),
            "waiting": len(self._first_hand_offs()),
        }

    def _first_hand_offs(self) -> dict[str, HandOffRecord]:
        """By session, the longest waiting first; whoever asks for a person again keeps their place."""
        found: dict[str, HandOffRecord] = {}
        for record in self.agent.sessions.hand_offs():
            found.setdefault(record.session_id, record)
        return found

    def _alone(self, session: str) -> TurnHold:
        """One call at a time, in the order in which they came; not to be entered again from within."""
        return TurnHold(self._calls, session, None)

    @contextmanager
    def _waiting_alone(self, number: int) -> Iterator[HeldConversation]:
        """A conversation that is in the queue, and stays as it is within the block. Raises InvalidRequestError."""
        with self._alone(self._takeovers.numbered(number).session):
            yield self._waiting(number)

    def _waiting(self, number: int) -> HeldConversation:
        """A conversation that waits for a person or has one. Raises InvalidRequestError."""
        held = self._takeovers.numbered(number)
        if not held.staff and not self.agent.sessions.hand_offs(held.session):
            raise InvalidRequestError(f"conversation {number} waits for nobody: it was given back", param="number")
        return held

    def _entries(self, session: str) -> Iterable[dict[str, Any]]:
        lines = self._takeovers.lines(session)
        yield from ({"source": PERSON, **asdict(line)} for line in lines if line.turn == 0)
        for turn in self._turns(session):
            yield _entry(turn)
            yield from ({"source": PERSON, **asdict(line)} for line in lines if line.turn == turn["number"])

    def _turns(self, session: str) -> Sequence[Mapping[str, Any]]:
        return self.agent.sessions.turns(session)

    def _num_turns(self, session: str) -> int:
        turns = self._turns(session)
        return len(turns)

    def _nodes(self, label: str) -> Mapping[str, NodeValue]:
        return self.agent.nodes(label)

    def _user_of(self, session: str) -> str:
        held = self._takeovers.of(session)
        return held.user if held is not None else session


def _documents(place: Path, documents: Sequence[Path]) -> RAG:
    """The index of these documents and no others: those that an earlier opening was given leave it."""
    rag = RAG(place)
    try:
        rag.add(list(documents), alone=True)
        if not rag.status().num_documents:
            named = ", ".join(map(str, documents))
            raise ConfigError(f"{named} holds nothing that can be read: name a folder or a file of documents that do")
    except BaseException:
        rag.close()
        raise
    return rag


def _entry(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn as both sides see it."""
    read = turn["understanding"] or {}
    return {
        "source": turn["source"] or ("graph" if turn["statement"] else "dialogue"),
        "turn": turn["number"],
        "user": turn["user"],
        "text": turn["text"],
        "language": turn["language"],
        "action": turn["action"],
        "intent": read.get("intent", ""),
        "details": turn["details"],
        "slots": turn["state"]["slots"],
        "results": turn["state"]["results"],
        "requested": turn["state"]["requested"],
        "handed_off": turn["state"]["handed_off"],
    }


def _checked_name(name: str) -> str:
    """With one blank for all that is one, the ideographic space of 王　小明 too. Raises InvalidRequestError."""
    blanks = "".join(" " if unicodedata.category(character) == "Zs" else character for character in name)
    checked = " ".join(part for part in blanks.split(" ") if part)
    if not checked or len(checked) > MAX_NAME_LENGTH or not checked.isprintable():
        raise InvalidRequestError(
            f"name is {name!r:.40}, expected 1 to {MAX_NAME_LENGTH} printable characters", param="name"
        )
    return checked
