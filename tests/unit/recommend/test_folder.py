"""Trainings and a running desk, deletions and what stays in files, stores and graphs that fail."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.errors import CheckpointError
from pagoda.recommend.candidates.popularity import WindowedPopularity
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.data.things import CatalogueItem, KindOfThing, read_things
from pagoda.recommend.desk import Desk
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.errors import RecommendStoreError
from pagoda.recommend.folder import load_model, save_model, set_up, without_forgotten
from pagoda.recommend.people import Audience
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.store import EventStore, Refusal, StoredEvent

EVENTS = [
    (f"u{user}", f"i{(user * 7 + step * step) % 30}", 86_400.0 * step + user) for user in range(60) for step in range(8)
]
KINDS = [KindOfThing(f"k{number}", f"k{number}", f"k{number}") for number in range(3)]


def thing(item: str, kind: int) -> CatalogueItem:
    return CatalogueItem(item, item, item, (KINDS[kind],))


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    return InteractionLog.of(EVENTS)


@pytest.fixture(scope="module")
def trained(log: InteractionLog) -> Recommender:
    return Recommender.train(log)


@pytest.fixture(scope="module")
def things(log: InteractionLog) -> list[CatalogueItem]:
    return [thing(item, int(item[1:]) % 3) for item in log.items]


@pytest.fixture
def folder(tmp_path: Path, log: InteractionLog, things: list[CatalogueItem], trained: Recommender) -> Path:
    set_up(tmp_path, log, things, trained)
    return tmp_path


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    made = Desk(folder)
    yield made
    made.close()


def told(number: int, user: str, item: str) -> StoredEvent:
    return StoredEvent(f"web-{number}", Interaction(user, item, 1_000_000.0 + number))


def test_a_running_desk_takes_up_a_trainings_events_and_things(
    folder: Path, desk: Desk, things: list[CatalogueItem]
) -> None:
    desk.block(Refusal("u1", kind="k1"))
    taken = [one.item for one in desk.recommend("u1", 4)]
    more = [*EVENTS, *(("u1", item, 2e6) for item in taken), *(("u2", f"z{n}", 2e6) for n in range(3))]
    log = InteractionLog.of(more)
    set_up(folder, log, [*things, *(thing(f"z{n}", 1) for n in range(3))], Recommender.train(log))
    shown = {one.item for one in desk.recommend("u1", 40)}
    assert desk.model == "model-2"
    assert not shown & {*taken, "z0", "z1", "z2"}
    assert {one.item for one in desk.recommend("u5", 40)} >= {"z0", "z1", "z2"}


def test_a_broken_new_model_is_told_once_and_the_old_one_answers(
    folder: Path, desk: Desk, trained: Recommender, caplog: pytest.LogCaptureFixture
) -> None:
    before = desk.recommend("u1", 5)
    name = save_model(trained, folder)
    (folder / name / "popularity.npz").write_bytes(b"")
    with caplog.at_level(logging.ERROR):
        assert [desk.recommend("u1", 5) for _ in range(3)] == [before] * 3
    assert (desk.model, desk.facts()["model"]) == ("model-1", "model-1")
    assert len([one for one in caplog.records if "model-1 goes on" in one.getMessage()]) == 1
    save_model(trained, folder)
    assert desk.recommend("u1", 5) == before
    assert desk.model == "model-3"


@pytest.mark.parametrize("name", ["popularity.npz", "matrix-0.npy", "models.json"])
@pytest.mark.parametrize("bytes_", [b"", b"PKxx", b"[]", b"{}"])
def test_broken_files_are_an_error_by_name(folder: Path, name: str, bytes_: bytes) -> None:
    (folder / "model-1" / name).write_bytes(bytes_)
    with pytest.raises(CheckpointError, match="no whole model"):
        load_model(folder / "model-1", Audience())


def test_the_newest_two_models_are_kept_and_trainings_at_once_get_names_of_their_own(
    folder: Path, trained: Recommender
) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(save_model(trained, folder))) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(names)) == 6
    for _ in range(2):
        last = save_model(trained, folder)
    assert sorted(path.name for path in folder.glob("model-*")) == [f"model-{int(last[6:]) - 1}", last]


def test_a_training_without_things_keeps_them(folder: Path, log: InteractionLog, trained: Recommender) -> None:
    kept = read_things(folder / "things.jsonl")
    set_up(folder, log, None, trained)
    assert read_things(folder / "things.jsonl") == kept
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_deleted_people_leave_no_byte_in_whatever_order_they_come_and_go(tmp_path: Path) -> None:
    rng = random.Random(0)
    store = EventStore(tmp_path / "people.db")
    users = [f"person-{rng.getrandbits(40):010x}-x" for _ in range(150)]
    for _ in range(120):
        store.append(
            StoredEvent(f"{rng.getrandbits(96):024x}", Interaction(rng.choice(users), f"i{rng.randrange(500)}", 1.0))
            for _ in range(20)
        )
        store.note_shown((rng.choice(users), f"i{rng.randrange(500)}", "model-1") for _ in range(10))
        store.block(Refusal(rng.choice(users), item=f"i{rng.randrange(500)}"))
    for user in users[:30]:
        store.forget(user)
        assert not any(user.encode() in path.read_bytes() for path in tmp_path.iterdir())
    assert store.forgotten(users) == set(users[:30])
    store.close()


def test_a_reader_of_the_old_state_is_told_and_the_next_deletion_ends_it(
    folder: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pagoda.recommend.store._PAUSE_S", 0.0)
    name = "unmistakable-7431"
    desk.record([told(1, name, "i1")])
    reader = sqlite3.connect(folder / "people.db")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchall()
    with pytest.raises(RecommendStoreError, match="read by another process"):
        desk.forget(name)
    assert name not in desk.people()
    reader.close()
    assert desk.forget(name) == 0
    assert not any(name.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_who_was_deleted_does_not_come_back_with_the_file(
    folder: Path, desk: Desk, log: InteractionLog, trained: Recommender
) -> None:
    assert desk.forget("u5") == 8
    assert "u5" not in without_forgotten(folder, log).users
    set_up(folder, log, None, trained)
    desk.recommend("u1")
    assert "u5" not in desk.people()
    assert desk.export("u5")["event"] == []
    assert desk.record([told(1, "u5", "i1")]) == 1, "but may begin anew"


def test_a_model_holds_no_single_visits_time(folder: Path, log: InteractionLog) -> None:
    with np.load(folder / "model-1" / "popularity.npz") as file:
        assert not set(file["times"].tolist()) & {when for _, _, when in EVENTS if when % 86_400}
        assert file["counts"].sum() == log.num_events


def test_popularity_by_day_is_popularity() -> None:
    log = InteractionLog.of(EVENTS)
    exact = WindowedPopularity.of(log, 0.0)
    np.testing.assert_allclose(exact.by_day(86_400.0).scores(), exact.scores())
    fading = WindowedPopularity.of(log, 4 * 86_400.0)
    np.testing.assert_allclose(fading.by_day(86_400.0).scores(), fading.scores(), atol=0.01)


def test_events_of_files_do_not_collide(tmp_path: Path) -> None:
    log = InteractionLog.of([("a/b", "c", 1), ("a", "b/c", 1), ("x", "y", 2), ("x", "y", 2)])
    for _ in range(2):
        set_up(tmp_path, log, None, Recommender.train(log))
    store = EventStore(tmp_path / "people.db")
    assert sorted(store.events()) == sorted(log.events())
    store.close()


def test_a_store_of_before_is_taken_over(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "people.db")
    old.execute(
        "CREATE TABLE event (id TEXT PRIMARY KEY, user TEXT NOT NULL, item TEXT NOT NULL, timestamp REAL NOT NULL)"
    )
    old.execute("CREATE INDEX event_user ON event (user, timestamp)")
    old.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", [("a/b/1.0/0", "a", "b", 1.0), ("web-1", "a", "c", 2.0)])
    old.commit()
    old.close()
    log = InteractionLog.of([("a", "b", 1.0)])
    set_up(tmp_path, log, None, Recommender.train(log))
    store = EventStore(tmp_path / "people.db")
    assert store.events() == [Interaction("a", "b", 1.0), Interaction("a", "c", 2.0)]
    store.close()


class Slow:
    """A graph that writes down what it is told, and waits or fails if it is told so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.is_away = False
        self.inside, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def follow(self, store: EventStore, things: Any) -> None:
        """What a desk has it do when it opens; what is counted here comes afterwards."""

    def note_rated(self, *event: Any) -> None:
        self.inside.set()
        self.gate.wait()
        if self.is_away:
            raise RuntimeError("the graph is away")
        self.calls.append(("rated", *event))

    def note_shown(self, *shown: Any) -> None:
        if self.is_away:
            raise RuntimeError("the graph is away")

    def forget(self, user: str) -> None:
        self.calls.append(("forget", user))


def test_the_graph_hears_a_deletion_after_what_was_told_before_it(folder: Path) -> None:
    graph = Slow()
    graph.gate.clear()
    desk = Desk(folder, graph=graph)  # type: ignore[arg-type]
    telling = threading.Thread(target=lambda: desk.record([told(1, "leaver", "i1")]))
    telling.start()
    graph.inside.wait()
    leaving = threading.Thread(target=lambda: desk.forget("leaver"))
    leaving.start()
    assert desk.recommend("u1", 3), "answers do not wait for the graph"
    graph.gate.set()
    telling.join()
    leaving.join()
    assert [call[:2] for call in graph.calls] == [("rated", "leaver"), ("forget", "leaver")]
    desk.close()


def test_what_the_graph_missed_is_sent_again_and_answers_do_without_it(folder: Path) -> None:
    graph = Slow()
    graph.is_away = True
    desk = Desk(folder, graph=graph)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="away"):
        desk.record([told(1, "x", "i1")])
    assert len(desk.recommend("x", 3)) == 3
    assert len(desk.export("x")["shown"]) == 3
    graph.is_away = False
    assert desk.record([told(1, "x", "i1")]) == 0
    assert [call[:3] for call in graph.calls] == [("rated", "x", "i1")]
    desk.close()


def test_a_store_that_cannot_be_written_is_an_error_by_name_and_changes_nothing(folder: Path, desk: Desk) -> None:
    desk.store._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(folder / "people.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    before = desk.recommend("u1", 5)
    for attempt in (
        lambda: desk.record([told(1, "newcomer", before[0].item)]),
        lambda: desk.block(Refusal("u1", item=before[0].item)),
        lambda: desk.forget("u1"),
    ):
        with pytest.raises(RecommendStoreError, match="cannot be used just now"):
            attempt()
    assert desk.recommend("u1", 5) == before
    assert "newcomer" not in desk.people()
    other.execute("ROLLBACK")
    other.close()
    assert desk.record([told(1, "newcomer", before[0].item)]) == 1


def test_taking_back_what_nobody_said_makes_nobody_known(desk: Desk) -> None:
    assert not desk.unblock(Refusal("ghost", item="i1"))
    assert "ghost" not in desk.people()


def embed(texts: Sequence[str]) -> np.ndarray:
    return np.ones((len(texts), 1), dtype=np.float32)


def test_new_items_count_for_the_caps_and_do_not_vanish_with_their_first_event(
    folder: Path, log: InteractionLog, things: list[CatalogueItem], trained: Recommender
) -> None:
    set_up(folder, log, [*things, thing("new", 0)], trained)
    desk = Desk(folder, embedder=lambda: embed)
    capped = [one.item for one in desk.recommend("u1", 10, limits=ListLimits(per_kind=1))]
    assert "new" in capped
    kinds = [kind.id for item in capped for kind in desk.things[item].kinds]
    assert len(kinds) == len(set(kinds)) == 3
    desk.record([told(1, "u9", "new")])
    desk.close()
    again = Desk(folder, embedder=lambda: embed)
    assert "new" in [one.item for one in again.recommend("u1", 10)]
    assert "new" not in [one.item for one in again.recommend("u9", 10)]
    again.close()


def test_milliseconds_are_seen_and_seconds_become_them(tmp_path: Path) -> None:
    start = 1_700_000_000.0
    by_unit = {
        unit: Recommender.train([(user, item, (start + 40 * when) * unit) for user, item, when in EVENTS])
        for unit in (1.0, 1000.0)
    }
    assert [one.unit for one in by_unit.values()] == [1.0, 1000.0]
    for user in ("u1", "u2", "a stranger"):
        seconds, milliseconds = (one.recommend(user, 10) for one in by_unit.values())
        assert [one.item for one in seconds] == [one.item for one in milliseconds]
    log = InteractionLog.of((user, item, (start + when) * 1000) for user, item, when in EVENTS)
    set_up(tmp_path, log, None, Recommender.train(log))
    desk = Desk(tmp_path)
    desk.record(
        [StoredEvent("1", Interaction("n", "i1", start)), StoredEvent("2", Interaction("n", "i2", start * 1000))]
    )
    assert [row["timestamp"] for row in desk.export("n")["event"]] == [start * 1000] * 2
    desk.close()
