"""A folder with a recommender: what is told is kept, counts at once and once, and a person who leaves is gone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.recommend import store
from pagoda.recommend.candidates.ensemble import Ensemble
from pagoda.recommend.data.city import City, draw_visits, read_city
from pagoda.recommend.data.interactions import DAY_S, Interaction, InteractionLog
from pagoda.recommend.data.things import CatalogueItem, read_things, write_things
from pagoda.recommend.desk import Desk
from pagoda.recommend.folder import PEOPLE, save_model, set_up
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.store import EventStore, Refusal, StoredEvent
from patience import HANG_S


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


@pytest.fixture(scope="module")
def visits(city: City) -> InteractionLog:
    return draw_visits(city, users=60, seed=1)


@pytest.fixture(scope="module")
def trained(visits: InteractionLog) -> Recommender:
    return Recommender.train(visits)


@pytest.fixture
def folder(tmp_path: Path, city: City, visits: InteractionLog, trained: Recommender) -> Path:
    set_up(tmp_path, visits, city.things, trained)
    return tmp_path


def event(number: int, user: str, item: str) -> StoredEvent:
    return StoredEvent(f"e{number}", Interaction(user, item, 1_800_000_000.0 + number))


def test_the_visits_of_a_seed_are_always_the_same_and_no_place_twice(city: City, visits: InteractionLog) -> None:
    again = draw_visits(city, users=60, seed=1)
    assert list(again.events()) == list(visits.events())
    assert list(draw_visits(city, users=60, seed=2).events()) != list(visits.events())
    assert all(len(set(history)) == len(history) for history in visits.histories)


def test_a_desk_says_what_the_recommender_says(folder: Path, trained: Recommender, visits: InteractionLog) -> None:
    """But that it knows of popularity no more than the day."""
    popularity = tuple(model.by_day(DAY_S) for model in trained.ensemble.popularity)
    ensemble = replace(trained.ensemble, popularity=popularity)
    expected = Recommender(trained.catalogue, ensemble, trained.weights, trained.people)
    desk = Desk(folder)
    for user in (*visits.users[:10], "a stranger"):
        assert desk.recommend(user, 5) == expected.recommend(user, 5, now=ensemble.end)
    desk.close()


def test_an_event_counts_once_however_often_it_is_sent_and_outlives_the_desk(folder: Path) -> None:
    desk = Desk(folder)
    best = desk.recommend("person-001", 1)[0].item
    told = [event(1, "person-001", best), event(2, "newcomer", best)]
    assert desk.record(told) == 2
    assert desk.record(told) == 0
    assert best not in [one.item for one in desk.recommend("person-001", 50)]
    kept = desk.recommend("newcomer", 5)
    desk.close()
    again = Desk(folder)
    assert again.recommend("newcomer", 5) == kept
    assert len(again.export("newcomer")["event"]) == 1
    again.close()


def test_others_are_told_and_heard_while_a_list_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(folder)
    best = desk.recommend("person-001", 1)[0].item
    scored = Ensemble.features

    def slow(self: Ensemble, history: np.ndarray, now: float | None) -> np.ndarray:
        other = threading.Thread(target=desk.block, args=[Refusal("person-001", item=best)])
        other.start()
        other.join(HANG_S)
        assert not other.is_alive()
        return scored(self, history, now)

    with monkeypatch.context() as patch:
        patch.setattr(Ensemble, "features", slow)
        assert desk.recommend("person-001", 1)[0].item == best
    assert desk.recommend("person-001", 1)[0].item != best
    desk.close()


def test_blocks_outlive_the_desk_and_can_be_undone(folder: Path) -> None:
    desk = Desk(folder)
    first = desk.recommend("person-002", 1)[0].item
    kind = desk.things[first].kinds[0].id
    desk.block(Refusal("person-002", kind=kind))
    desk.close()
    again = Desk(folder)
    shown = again.recommend("person-002", 300)
    assert not any(kind in [own.id for own in again.things[one.item].kinds] for one in shown)
    assert again.unblock(Refusal("person-002", kind=kind))
    assert not again.unblock(Refusal("person-002", kind=kind))
    assert again.recommend("person-002", 1)[0].item == first
    again.close()


def test_nothing_of_a_person_who_left_stands_in_any_file(folder: Path) -> None:
    desk = Desk(folder)
    name = "unmistakable-7431"
    desk.record([event(n, name, f"restaurant-00{n}") for n in range(1, 6)])
    desk.block(Refusal(name, item="film-001"))
    desk.recommend(name, 5)
    assert set(desk.export(name)) == {"event", "block", "shown"}
    assert all(desk.export(name).values())
    assert any(name.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert desk.forget(name) == 5 + 1 + 5
    assert not any(desk.export(name).values())
    assert name not in desk.people()
    traces = [path for path in folder.rglob("*") if path.is_file() and name.encode() in path.read_bytes()]
    assert traces == []
    desk.close()


def test_the_model_files_hold_no_person(folder: Path, visits: InteractionLog) -> None:
    for path in folder.glob("model-*/*"):
        assert not any(user.encode() in path.read_bytes() for user in visits.users)


def test_a_new_model_is_found_without_a_new_desk(folder: Path, trained: Recommender) -> None:
    desk = Desk(folder)
    assert desk.facts()["model"] == "model-1"
    save_model(trained, folder)
    assert desk.recommend("person-001", 1)
    assert desk.facts()["model"] == "model-2"
    desk.close()


def test_what_another_process_tells_the_store_counts_from_the_next_question_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, other = Desk(folder), EventStore(folder / PEOPLE)
    monkeypatch.setattr(store, "_MOMENT_S", HANG_S)  # what was shown may be written for long on a busy machine
    first, second, third = (one.item for one in desk.recommend("person-001", 3))
    other.block(Refusal("person-001", item=first))
    assert desk.recommend("person-001", 1)[0].item == second
    other.append([event(1, "person-001", second), event(2, "gone", first), event(3, "back", first)])
    desk.recommend("gone", 1)
    assert {"gone", "back"} <= set(desk.people())
    assert second not in [one.item for one in desk.recommend("person-001", 50)]
    other.unblock(Refusal("person-001", item=first))
    assert desk.recommend("person-001", 2)[0].item == first
    for user in ("gone", "back"):
        other.forget(user)
    other.append([event(4, "back", second)])
    kept = desk.recommend("back", 3)
    assert "gone" not in desk.people()
    desk.close()
    other.close()
    again = Desk(folder)
    assert again.recommend("back", 3) == kept, "what was told before the deletion counts no more"
    assert third in [one.item for one in again.recommend("person-001", 3)]
    again.close()


def test_what_this_desk_writes_is_not_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(folder)
    desk.recommend("person-001", 3)

    def unexpected() -> list[Refusal]:
        raise AssertionError("what this desk wrote itself is read again")

    monkeypatch.setattr(desk.store, "blocks", unexpected)
    desk.record([event(1, "person-001", "film-001")])
    desk.block(Refusal("person-001", item="film-002"))
    assert "film-002" not in [one.item for one in desk.recommend("person-001", 300)]
    desk.close()


def test_things_are_read_as_they_were_written(tmp_path: Path, city: City) -> None:
    write_things(tmp_path / "things.jsonl", city.things)
    assert tuple(read_things(tmp_path / "things.jsonl").values()) == city.things
    (tmp_path / "own.jsonl").write_text('{"id": 1, "kinds": ["red"]}\n')
    thing = read_things(tmp_path / "own.jsonl")["1"]
    assert (thing.name, thing.kinds[0].name_en) == ("1", "red")
    (tmp_path / "own.jsonl").write_text('{"name": "no id"}\n')
    with pytest.raises(ConfigError, match=r"own\.jsonl:1 is no object"):
        read_things(tmp_path / "own.jsonl")


def test_a_folder_without_a_recommender_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pagoda recommend train"):
        Desk(tmp_path)


def test_things_that_nobody_took_get_the_end_of_a_list(folder: Path, city: City, visits: InteractionLog) -> None:
    new = CatalogueItem("restaurant-new", "新店", "A new place", city.things[0].kinds)
    taken = [thing for thing in city.things if thing.id in visits.item_numbers]
    write_things(folder / "things.jsonl", [*taken, new])

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1), dtype=np.float32)

    desk = Desk(folder, embedder=lambda: embed)
    shown = [one.item for one in desk.recommend("person-001", 10)]
    assert (len(shown), shown[-1]) == (10, "restaurant-new")
    assert "restaurant-new" not in [one.item for one in desk.recommend("person-001", 5)]
    desk.block(Refusal("person-001", kind=new.kinds[0].id))
    assert "restaurant-new" not in [one.item for one in desk.recommend("person-001", 10)]
    desk.close()
