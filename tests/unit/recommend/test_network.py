"""The network among the models: its summand is named, the engine serves it for one token an event, and it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pagoda.engine.engine import LLMEngine
from pagoda.errors import CheckpointError, PagodaError
from pagoda.recommend import Recommender, RecommenderSettings
from pagoda.recommend.data.city import City, draw_visits, read_city
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.desk import Desk
from pagoda.recommend.folder import current_model, load_model, save_model, set_up
from pagoda.recommend.people import Audience
from pagoda.recommend.sequence.network import SequenceSettings
from pagoda.recommend.sequence.serving import SequenceServer
from pagoda.recommend.store import StoredEvent

SMALL = SequenceSettings(width=16, layers=1, heads=1, length=16, epochs=2, tokens=512, warmup_steps=5)


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


@pytest.fixture(scope="module")
def visits(city: City) -> InteractionLog:
    return draw_visits(city, users=40, seed=3)


@pytest.fixture(scope="module")
def trained(visits: InteractionLog) -> Recommender:
    return Recommender.train(visits, RecommenderSettings(network=SMALL, ranked=50))


@pytest.fixture
def folder(tmp_path: Path, city: City, visits: InteractionLog, trained: Recommender) -> Path:
    set_up(tmp_path, visits, city.things, trained)
    return tmp_path


def test_its_summand_is_named_and_all_of_them_are_the_score(trained: Recommender, visits: InteractionLog) -> None:
    assert trained.ensemble.names[-1] == "network"
    for user in visits.users[:5]:
        for one in trained.recommend(user, 5):
            assert sum(reason.value for reason in one.reasons) == pytest.approx(one.score, abs=1e-6)
            assert [reason.kind for reason in one.reasons].count("network") == 1


def test_what_is_kept_answers_by_an_engine_as_the_network_does(folder: Path, trained: Recommender) -> None:
    kept = load_model(folder / "model-1", Audience())
    network, engine = trained.ensemble.network, kept.ensemble.network
    assert network is not None
    assert isinstance(engine, SequenceServer)
    for history in (np.array([5, 2, 9]), np.arange(40), np.zeros(0, dtype=np.int64)):
        np.testing.assert_allclose(engine(history), network(history), atol=1e-4)
    kept.close()


def test_an_event_costs_the_desk_one_token(folder: Path, visits: InteractionLog) -> None:
    desk = Desk(folder)
    engine = desk._served.recommender.ensemble.network
    assert isinstance(engine, SequenceServer)
    user = min(visits.users, key=lambda user: len(visits.histories[visits.user_numbers[user]]))
    best = desk.recommend(user, 1)[0].item
    queried, hit = engine.prefix_cache
    desk.record([StoredEvent("e1", Interaction(user, best, 2e9))])
    assert best not in [one.item for one in desk.recommend(user, 5)]
    now_queried, now_hit = engine.prefix_cache
    desk.close()
    assert now_queried - queried > 2
    assert (now_queried - queried) - (now_hit - hit) == 1


def test_a_new_training_is_taken_up_with_a_network_or_without(folder: Path, trained: Recommender) -> None:
    desk = Desk(folder)
    before = desk.recommend("person-001", 5)
    first = engine_of(desk)
    with desk._answering() as answering:
        save_model(Recommender.train(trained_log(folder)), folder)
        assert "network" not in desk.facts()["models"]
        assert len(answering.recommender.recommend("person-001", 5)) == 5
    assert first.is_closed
    save_model(trained, folder)
    assert desk.facts()["model"] == "model-3"
    again = desk.recommend("person-001", 5)
    last = engine_of(desk)
    assert not last.is_closed
    desk.close()
    assert last.is_closed
    assert [one.item for one in again] == [one.item for one in before]
    assert [one.score for one in again] == pytest.approx([one.score for one in before], abs=1e-4)


def test_what_cannot_be_loaded_whole_leaves_no_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[SequenceServer] = []
    usual = SequenceServer.__init__

    def noted(self: SequenceServer, *given: object, **options: object) -> None:
        usual(self, *given, **options)  # type: ignore[arg-type]
        opened.append(self)

    monkeypatch.setattr(SequenceServer, "__init__", noted)
    things = (folder / "things.jsonl").read_bytes()
    (folder / "things.jsonl").write_bytes(b"no things")
    with pytest.raises(PagodaError):
        Desk(folder)
    (folder / "things.jsonl").write_bytes(things)
    (folder / "people.db").write_bytes(b"no database, but long enough to be looked at" * 99)
    with pytest.raises(PagodaError):
        Desk(folder)
    assert [server.engine.is_closed for server in opened] == [True, True]
    path = folder / current_model(folder) / "popularity.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "weights": arrays["weights"][:-1]})
    with pytest.raises(CheckpointError, match="weights of"):
        load_model(path.parent, Audience())
    assert all(server.engine.is_closed for server in opened)


def engine_of(desk: Desk) -> LLMEngine:
    network = desk._served.recommender.ensemble.network
    assert isinstance(network, SequenceServer)
    return network.engine


def test_a_network_of_other_things_or_without_weights_is_refused(folder: Path) -> None:
    directory = folder / current_model(folder)
    (directory / "network" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no weights of a sequence model"):
        load_model(directory, Audience())
    (directory / "network" / "items.json").unlink()
    with pytest.raises(CheckpointError, match="ids of its things"):
        load_model(directory, Audience())


def trained_log(folder: Path) -> InteractionLog:
    from pagoda.recommend.folder import events_of

    return events_of(folder)
