"""Who has a conversation: customers, staff and machine over one session at the same moment, and the queue's order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pagoda.dialogue.domain.city import city
from pagoda.dialogue.sessions.store import HandOffRecord, SessionStore
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.rag.pipeline import RAG
from pagoda.recommend.desk import Desk
from pagoda.recommend.paths import RecommendationGraph
from pagoda.recommend.store import Refusal
from pagoda.service import desk as desk_module
from pagoda.service.desk import ServiceDesk
from pagoda.service.settings import ServiceSettings
from pagoda.service.shipped import set_up_visits
from pagoda.service.takeovers import Takeovers
from patience import HANG_S
from word_embedder import WordEmbedder


class Agent:
    """Hands over whenever "person" is said. `slow` is where the end of a hand-off waits, `arrived` when it does."""

    def __init__(self) -> None:
        self.sessions = SessionStore()
        self.domain = SimpleNamespace(intents={}, name="city", languages=("en",))
        self.arrived, self.slow = threading.Event(), threading.Event()
        self.slow.set()

    def reply(self, session: str, text: str) -> Any:
        number = len(self.sessions.turns(session)) + 1
        state = {"slots": {}, "results": [], "requested": [], "handed_off": False}
        turn = {"number": number, "user": text, "text": "ok", "language": "en", "action": "say", "source": "",
                "statement": "", "details": {}, "understanding": None, "state": state}  # fmt: skip
        record = HandOffRecord(session, "asked", "en", text, turn=number) if "person" in text else None
        self.sessions.append(session, [], turn, num_events_before=0, hand_off=record)
        return SimpleNamespace(as_dict=lambda: turn)

    def end_hand_off(self, session: str) -> bool:
        self.arrived.set()
        assert self.slow.wait(HANG_S)
        return self.sessions.end_hand_offs(session) > 0

    def forget(self, session: str) -> bool:
        return self.sessions.delete(session)

    def close(self) -> None:
        self.sessions.close()


class SmallDesk(ServiceDesk):
    """Over `Agent` alone: neither graph nor documents are opened."""

    def _open(self, folder: Path, settings: ServiceSettings, given: Graph | None) -> None:
        self.slow_agent = Agent()
        self.agent: Any = self.slow_agent
        self._rag: Any = SimpleNamespace(status=lambda: SimpleNamespace(num_documents=0))
        self._desk: Any = SimpleNamespace(facts=dict, forget=lambda user: 0)
        self._takeovers = Takeovers(folder / "takeovers.sqlite")
        self._held.callback(self._takeovers.close)
        self._held.callback(self.agent.close)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SmallDesk]:
    made = SmallDesk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def until_it_waits(desk: ServiceDesk, call: Future[Any]) -> None:
    """Until a second call stands in line behind the first, or has wrongly been done."""
    while not call.done() and len(desk._calls) < 2:
        threading.Event().wait(0.001)


@pytest.mark.parametrize(
    "second",
    [
        lambda desk: desk.take(1, "Bob"),
        lambda desk: desk.answer(1, "Ann", "one moment"),
        lambda desk: desk.give_back(1, "Ann"),
    ],
)
def test_what_is_being_given_back_is_not_taken_answered_or_given_back_again(
    desk: SmallDesk, beside: ThreadPoolExecutor, second: Callable[[ServiceDesk], Any]
) -> None:
    desk.say("a", "a person, please")
    desk.take(1, "Ann")
    desk.slow_agent.slow.clear()
    first = beside.submit(desk.give_back, 1, "Ann")
    assert desk.slow_agent.arrived.wait(HANG_S)
    late = beside.submit(second, desk)
    until_it_waits(desk, late)
    desk.slow_agent.slow.set()
    first.result(HANG_S)
    with pytest.raises(InvalidRequestError, match="waits for nobody"):
        late.result(HANG_S)
    assert (desk.conversation("a")["staff"], desk.conversation("a")["waiting"]) == ("", False)


def test_whoever_asks_for_a_person_again_while_it_is_given_back_waits_again(
    desk: SmallDesk, beside: ThreadPoolExecutor
) -> None:
    desk.say("a", "a person, please")
    desk.take(1, "Ann")
    desk.slow_agent.slow.clear()
    first = beside.submit(desk.give_back, 1, "Ann")
    assert desk.slow_agent.arrived.wait(HANG_S)
    late = beside.submit(desk.say, "a", "another person, please")
    until_it_waits(desk, late)
    desk.slow_agent.slow.set()
    first.result(HANG_S)
    assert late.result(HANG_S)["source"] == "dialogue"
    assert [each["number"] for each in desk.queue()] == [1]


def test_a_conversation_that_somebody_has_can_be_given_back_although_its_hand_off_has_ended(desk: SmallDesk) -> None:
    desk.say("a", "a person, please")
    desk.take(1, "Ann")
    desk.slow_agent.sessions.end_hand_offs("a")
    assert desk.look(1)["waiting"]
    desk.answer(1, "Ann", "hello")
    desk.give_back(1, "Ann")
    assert not desk.conversation("a")["waiting"]


def test_a_used_folder_answers_from_the_documents_of_its_last_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("chromadb", reason="needs the rag extra")
    for folder, name in (("handbook", "fees.md"), ("own", "hours.md"), ("none", "")):
        (tmp_path / folder).mkdir()
        if name:
            (tmp_path / folder / name).write_text(f"# {folder}\n\nWe open at nine.\n", encoding="utf-8")
    embedder: Any = WordEmbedder()
    monkeypatch.setattr(desk_module, "RAG", partial(RAG, embedder=embedder))
    for folder, name in (("handbook", "fees.md"), ("own", "hours.md")):
        rag = desk_module._documents(tmp_path / "index", (tmp_path / folder,))
        assert [record.source for record in rag.documents()] == [name]
        rag.close()
    with pytest.raises(ConfigError, match="none holds nothing that can be read"):
        desk_module._documents(tmp_path / "index", (tmp_path / "none",))


def test_only_one_thing_is_unblocked_at_a_time(desk: SmallDesk) -> None:
    for given in ({}, {"item": "film-001", "kind": "genre:Horror"}):
        with pytest.raises(InvalidRequestError, match="either item or kind"):
            desk.unblock("a", **given)


def test_the_longest_waiting_comes_first_and_asking_again_changes_nothing(desk: SmallDesk) -> None:
    for session in ("a", "b", "a", "c", "b", "a"):
        desk.say(session, f"a person for {session}")
    assert [each["summary"]["sentence"] for each in desk.queue()] == [f"a person for {session}" for session in "abc"]
    assert desk.facts()["waiting"] == 3


@pytest.mark.parametrize("name", ["王\u3000小明", " 王 \u00a0小明 "])
def test_a_name_may_have_any_blank_and_is_one_persons(desk: SmallDesk, name: str) -> None:
    desk.say("a", "a person, please")
    assert desk.take(1, name)["staff"] == "王 小明"
    assert desk.take(1, "王 小明")["staff"] == "王 小明"


@pytest.mark.parametrize("name", ["\u3000", "Ann\n", "Ann\u200b", "x" * 81])
def test_a_name_that_nobody_can_have_is_told(desk: SmallDesk, name: str) -> None:
    desk.say("a", "a person, please")
    with pytest.raises(InvalidRequestError, match="1 to 80 printable characters"):
        desk.take(1, name)


def test_a_user_may_be_told_later_and_is_not_exchanged(desk: SmallDesk) -> None:
    desk.say("a", "hello")
    desk.say("a", "it is me", "person-001")
    assert desk.conversation("a")["user"] == "person-001"
    desk.say("a", "hello")
    desk.say("a", "hello", "person-001")
    with pytest.raises(InvalidRequestError, match="'person-001', and 'person-002' was given") as refused:
        desk.say("a", "hello", "person-002")
    assert refused.value.param == "user"
    assert (desk.conversation("a")["user"], len(desk.conversation("a")["entries"])) == ("person-001", 4)


def keep_shown(desk: SmallDesk, tmp_path: Path) -> tuple[Desk, Graph]:
    """The recommender's desk over the city and its visits, with a graph, in place of the one that keeps nothing."""
    pytest.importorskip("arcadedb_embedded", reason="needs the dialogue extra")
    graph, shelf = Graph.embedded(tmp_path / "graph"), tmp_path / "shelf"
    load(graph, city())
    set_up_visits(shelf)
    desk._desk = Desk(shelf, RecommendationGraph(graph))
    desk._held.callback(graph.close)
    desk._held.callback(desk._desk.close)
    return desk._desk, graph


def kept_of(shelf: Desk, graph: Graph, user: str) -> tuple[int, int]:
    """(rows of the store, persons of the graph)"""
    rows = sum(map(len, shelf.export(user).values()))
    return rows, len(graph.read("MATCH (p:Person {id: $user}) RETURN p.id", {"user": user}))


@pytest.mark.parametrize("leave", [lambda desk: desk.forget("a"), lambda desk: desk.say("a", "it is me", "person-001")])
def test_what_nobody_who_is_known_was_shown_goes_with_the_conversation_and_with_its_namelessness(
    desk: SmallDesk, tmp_path: Path, leave: Callable[[ServiceDesk], Any]
) -> None:
    shelf, graph = keep_shown(desk, tmp_path)
    desk.say("a", "hello")
    shelf.welcome("a")
    shelf.recommend("a", 3)
    shelf.block(Refusal("a", kind="cuisine:Sichuan"))
    assert kept_of(shelf, graph, "a") == (4, 1)
    leave(desk)
    assert kept_of(shelf, graph, "a") == (0, 0)


def test_what_is_kept_of_a_person_stays_when_a_conversation_goes(desk: SmallDesk, tmp_path: Path) -> None:
    shelf, graph = keep_shown(desk, tmp_path)
    desk.say("a", "hello", "person-001")
    shelf.block(Refusal("person-001", kind="cuisine:Sichuan"))
    before = kept_of(shelf, graph, "person-001")
    assert desk.forget("a")
    assert not desk.forget("person-001")
    assert kept_of(shelf, graph, "person-001") == before
    assert all(before)
