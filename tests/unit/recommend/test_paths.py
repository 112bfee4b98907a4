"""Paths over an embedded graph: each that is shown holds when it is walked by hand, and a person leaves no edge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pagoda.graph.graph import Graph
from pagoda.recommend.data.city import City, draw_visits, read_city
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.desk import Desk
from pagoda.recommend.folder import set_up
from pagoda.recommend.paths import RecommendationGraph
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.store import Refusal, StoredEvent

pytest.importorskip("arcadedb_embedded", reason="needs the dialogue extra")


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


@pytest.fixture(scope="module")
def visits(city: City) -> InteractionLog:
    return draw_visits(city, users=30, seed=2)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    with Graph.embedded(tmp_path_factory.mktemp("paths")) as opened:
        yield opened


@pytest.fixture(scope="module")
def filled(graph: Graph, city: City, visits: InteractionLog) -> RecommendationGraph:
    made = RecommendationGraph(graph)
    made.fill(visits, city.things)
    return made


def test_every_path_holds_in_the_log_and_among_the_contributions(
    filled: RecommendationGraph, city: City, visits: InteractionLog
) -> None:
    recommender = Recommender.train(visits)
    kinds = {thing.id: {kind.id for kind in thing.kinds} for thing in city.things}
    taken = {
        user: {visits.items[i] for i in history} for user, history in zip(visits.users, visits.histories, strict=True)
    }
    count = 0
    for user in visits.users[:8]:
        for one in recommender.recommend(user, 3):
            for path in filled.paths(user, one):
                count += 1
                assert path.past in one.because
                assert path.past in taken[user]
                if path.kind:
                    assert path.kind in kinds[path.past] & kinds[one.item]
                else:
                    both = [other for other in taken if other != user and {path.past, one.item} <= taken[other]]
                    assert path.people == len(both) > 0
    assert count > 20


def test_what_was_shown_and_refused_is_in_the_graph_and_goes_with_the_person(
    filled: RecommendationGraph, graph: Graph, visits: InteractionLog
) -> None:
    shown = Recommender.train(visits).recommend("person-001", 3)
    filled.note_shown("person-001", shown, "model-1")
    filled.note_refused(Refusal("person-001", kind="district:Luming"))
    filled.note_rated("person-001", shown[0].item, 5.0)
    edges = "MATCH (p:Person {id: 'person-001'})-[r]->(x) RETURN type(r) AS type, x.id AS id"
    rows = graph.read(edges)
    assert {row["id"] for row in rows if row["type"] == "RECOMMENDED"} == {one.item for one in shown}
    assert {"type": "REFUSES", "id": "district:Luming"} in rows
    assert {"type": "RATED", "id": shown[0].item} in rows
    filled.take_back(Refusal("person-001", kind="district:Luming"))
    assert not [row for row in graph.read(edges) if row["type"] == "REFUSES"]
    filled.forget("person-001")
    assert graph.read(edges) == []
    assert graph.read("MATCH (p:Person {id: 'person-001'}) RETURN p.id AS id") == []


def test_a_desk_tells_the_graph_and_forgets_there_too(
    filled: RecommendationGraph, graph: Graph, city: City, visits: InteractionLog, tmp_path: Path
) -> None:
    set_up(tmp_path, visits, city.things, Recommender.train(visits))
    desk = Desk(tmp_path, filled)
    desk.record([StoredEvent("e1", Interaction("visitor", "film-001", 9.0))])
    shown = desk.recommend("visitor", 2)
    desk.block(Refusal("visitor", item=shown[0].item))
    desk.export("visitor")  # waits for what was shown
    edges = "MATCH (p:Person {id: 'visitor'})-[r]->(x) RETURN type(r) AS type, x.id AS id"
    assert {(row["type"], row["id"]) for row in graph.read(edges)} == {
        ("RATED", "film-001"), ("REFUSES", shown[0].item), *(("RECOMMENDED", one.item) for one in shown),
    }  # fmt: skip
    assert desk.unblock(Refusal("visitor", item=shown[0].item))
    assert desk.forget("visitor") == 3
    assert graph.read("MATCH (p:Person {id: 'visitor'}) RETURN p.id AS id") == []
    desk.close()
