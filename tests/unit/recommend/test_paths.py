"""Paths over an embedded graph: each that is shown holds when it is walked by hand, and a person leaves no edge."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import ConfigError, InvalidParameterError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.graph.schema import LOAD_LABEL
from pagoda.recommend.data.city import City, draw_visits, read_city
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.data.things import write_things
from pagoda.recommend.desk import Desk
from pagoda.recommend.folder import PEOPLE, THINGS, set_up
from pagoda.recommend.paths import RecommendationGraph, graph_data
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
    load(graph, graph_data(visits, city.things))
    return RecommendationGraph(graph)


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
    desk.recommend("visitor", 2)
    assert (desk.last_shown("visitor"), desk.people().count("visitor")) == ([], 0)
    desk.welcome("guest")
    first = desk.recommend("guest", 2)
    assert desk.last_shown("guest") == [one.item for one in first]
    why = desk.why("guest", first[0].item)
    assert why is not None
    takers = {history for history, items in zip(visits.users, visits.histories, strict=True)
              if first[0].item in {visits.items[item] for item in items}}  # fmt: skip
    assert why.takers == len(takers) > 0
    desk.forget("guest")
    assert desk.last_shown("guest") == []
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


def test_why_this_one_is_answered_by_what_was_shown_and_not_this_kind_is_heard(
    filled: RecommendationGraph, city: City, visits: InteractionLog, tmp_path: Path
) -> None:
    set_up(tmp_path, visits, city.things, Recommender.train(visits))
    desk = Desk(tmp_path, filled)
    desk.recommend("person-002", 8)
    shown = desk.recommend("person-002", 4)
    assert desk.last_shown("person-002") == [one.item for one in shown]
    kinds = {thing.id: [kind.id for kind in thing.kinds] for thing in city.things}
    for one in shown:
        why = desk.why("person-002", one.item)
        assert why is not None
        assert (why.model, why.recommendation.score) == ("model-1", pytest.approx(one.score))
        assert sum(reason.value for reason in why.recommendation.reasons) == pytest.approx(one.score, abs=1e-6)
        assert list(why.recommendation.because) == [item for item in one.because if item in why.recommendation.because]
        assert {path.past for path in why.paths} <= set(why.recommendation.because)
        assert sorted(why.kinds) == sorted(kinds[one.item])
        counts = [sum(path.kind == kind for path in why.paths) for kind in why.kinds]
        assert counts == sorted(counts, reverse=True)
    assert desk.why("person-002", "film-nobody-knows") is None
    assert desk.why("person-005", shown[0].item) is None
    refused = desk.not_again("person-002", shown[0].item, kinds[shown[0].item][0])
    assert all(refused.kind not in kinds[one.item] for one in desk.recommend("person-002", 50))
    with pytest.raises(InvalidParameterError, match="is not of the kind 'opera'"):
        desk.not_again("person-002", shown[0].item, "opera")
    assert desk.unblock(refused)
    assert desk.not_again("person-002", shown[0].item) == Refusal("person-002", item=shown[0].item)
    desk.close()
    bare = Desk(tmp_path)
    with pytest.raises(ConfigError, match="there is none"):
        bare.why("person-002", shown[0].item)
    bare.close()


def test_a_graph_that_was_away_is_brought_up_to_the_store(
    filled: RecommendationGraph, graph: Graph, city: City, visits: InteractionLog, tmp_path: Path
) -> None:
    trained = Recommender.train(visits)
    set_up(tmp_path, visits, city.things, trained)
    desk = Desk(tmp_path, filled)
    desk.block(Refusal("person-004", item="film-002"))
    desk.close()
    alone = Desk(tmp_path)
    alone.record([StoredEvent("e7", Interaction("late", "film-003", 7.0))])
    alone.unblock(Refusal("person-004", item="film-002"))
    alone.block(Refusal("person-004", kind="district:Luming"))
    alone.forget("person-003")
    alone.close()
    again = Desk(tmp_path, filled)
    edges = "MATCH (p:Person {id: $id})-[r]->(x) WHERE type(r) <> 'HAS' RETURN type(r) AS type, x.id AS id"
    assert {"type": "RATED", "id": "film-003"} in graph.read(edges, {"id": "late"})
    refused = [row["id"] for row in graph.read(edges, {"id": "person-004"}) if row["type"] == "REFUSES"]
    assert refused == ["district:Luming"]
    assert graph.read("MATCH (p:Person {id: 'person-003'}) RETURN p.id AS id") == []
    set_up(tmp_path, InteractionLog.of([("newest", "film-004", 1.0)]), None, trained)
    again.recommend("late", 2)  # finds the training
    again.export("late")  # waits for what was shown
    assert {"type": "RATED", "id": "film-004"} in graph.read(edges, {"id": "newest"})
    again.close()


class Counted:
    """A graph that counts what is asked of it: rows that are put in, and other statements that write."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.rows: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)

    def write(self, text: str, parameters: Mapping[str, Any] | None = None, **given: Any) -> list[dict[str, Any]]:
        if not text.startswith("CREATE CONSTRAINT"):
            self.rows[given.get("statement_id") or text.split(" ")[0]] += len((parameters or {}).get("rows", "1"))
        return self._graph.write(text, parameters, **given)

    def taken(self) -> dict[str, int]:
        """What was counted since the last time."""
        found, self.rows = dict(self.rows), Counter()
        return found


@pytest.fixture
def counted(graph: Graph) -> Counted:
    return Counted(graph)


@pytest.fixture
def followed(counted: Counted, city: City, visits: InteractionLog, tmp_path: Path) -> Path:
    """A folder that the graph has followed once."""
    set_up(tmp_path, visits, city.things, Recommender.train(visits))
    Desk(tmp_path, RecommendationGraph(counted)).close()  # type: ignore[arg-type]
    rows = counted.taken()
    assert rows["load.RATED"] == len({(one.user, one.item) for one in visits.events()})
    assert rows["load.Item"] >= len(city.things)
    return tmp_path


def restarted(counted: Counted, folder: Path) -> dict[str, int]:
    """What a start writes to the graph."""
    Desk(folder, RecommendationGraph(counted)).close()  # type: ignore[arg-type]
    return counted.taken()


def test_a_start_puts_in_what_is_new_and_no_more(counted: Counted, followed: Path) -> None:
    assert restarted(counted, followed) == {}
    alone = Desk(followed)
    alone.record([StoredEvent("n1", Interaction("late", "film-003", 7.0))])
    alone.record([StoredEvent("n2", Interaction("person-001", "film-004", 8.0))])
    alone.block(Refusal("late", item="film-005"))
    alone.block(Refusal("late", kind="district:Luming"))
    alone.close()
    found = restarted(counted, followed)
    assert (found["load.Person"], found["load.Item"], found["load.RATED"]) == (2, 2, 2)
    assert sum(count for name, count in found.items() if not name.startswith("load.")) == 3  # refusals and the mark
    assert restarted(counted, followed) == {}
    alone = Desk(followed)
    alone.unblock(Refusal("late", item="film-005"))
    alone.close()
    assert restarted(counted, followed) == {"MATCH": 1}


def test_who_left_twice_while_the_graph_was_away_is_gone_and_who_came_back_is_there(
    counted: Counted, followed: Path, graph: Graph
) -> None:
    edges = "MATCH (p:Person {id: $id})-[r:RATED]->(x) RETURN x.id AS id ORDER BY id"
    for left, kept in ((True, []), (False, ["film-009"]), (True, [])):
        alone = Desk(followed)
        if left:
            alone.forget("person-006")
        else:
            alone.record([StoredEvent("b1", Interaction("person-006", "film-009", 7.0))])
        alone.close()
        restarted(counted, followed)
        assert [row["id"] for row in graph.read(edges, {"id": "person-006"})] == kept
    alone = Desk(followed)
    alone.record([StoredEvent("b2", Interaction("person-006", "film-009", 7.0))])
    alone.forget("person-007")
    alone.close()
    restarted(counted, followed)
    assert [row["id"] for row in graph.read(edges, {"id": "person-006"})] == ["film-009"]
    assert graph.read(edges, {"id": "person-007"}) == []
    assert restarted(counted, followed) == {}


def test_another_store_and_other_things_are_put_in_whole(
    counted: Counted, followed: Path, city: City, visits: InteractionLog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    set_up(other, visits, city.things, Recommender.train(visits))
    assert restarted(counted, other)["load.RATED"] == len({(one.user, one.item) for one in visits.events()})
    assert restarted(counted, followed) == {}
    write_things(followed / THINGS, [replace(city.things[0], name_en="Renamed"), *city.things[1:]])
    found = restarted(counted, followed)
    assert (found["load.Item"], found.get("load.RATED", 0)) == (len(city.things), 0)
    names = counted.read("MATCH (i:Item {id: $id}) RETURN i.name_en AS name", {"id": city.things[0].id})
    assert names == [{"name": "Renamed"}]


def test_a_store_that_was_put_back_is_read_from_its_beginning(counted: Counted, followed: Path) -> None:
    before = (followed / PEOPLE).read_bytes()
    alone = Desk(followed)
    alone.record([StoredEvent(f"s{number}", Interaction("late", "film-003", 7.0)) for number in range(3)])
    alone.close()
    restarted(counted, followed)
    (followed / PEOPLE).write_bytes(before)
    assert restarted(counted, followed)["load.RATED"] > 100
    assert restarted(counted, followed) == {}


def put_back(counted: Counted, folder: Path, before: bytes) -> None:
    """Let the graph follow a store that somebody then puts a backup in the place of."""
    restarted(counted, folder)
    (folder / PEOPLE).write_bytes(before)


def test_who_left_after_a_backup_was_put_back_is_gone_though_the_counts_are_the_same(
    counted: Counted, followed: Path, graph: Graph
) -> None:
    person = "MATCH (p:Person {id: $id}) RETURN p.id AS id"
    edges = "MATCH (p:Person {id: $id})-[r:RATED]->(x) RETURN x.id AS id ORDER BY id"
    taken = graph.read(edges, {"id": "person-010"})
    before = (followed / PEOPLE).read_bytes()
    alone = Desk(followed)
    alone.forget("person-010")
    alone.close()
    put_back(counted, followed, before)
    alone = Desk(followed)
    alone.forget("person-011")
    alone.close()
    restarted(counted, followed)
    assert graph.read(person, {"id": "person-011"}) == []
    assert graph.read(edges, {"id": "person-010"}) == taken != []
    assert restarted(counted, followed) == {}


def test_a_store_that_was_put_back_and_written_on_is_held_as_it_is(
    counted: Counted, followed: Path, graph: Graph
) -> None:
    edges = "MATCH (p:Person {id: $id})-[r:RATED]->(x) RETURN x.id AS id"
    before = (followed / PEOPLE).read_bytes()
    alone = Desk(followed)
    alone.record([StoredEvent(f"lost-{n}", Interaction("lost", "film-003", 7.0 + n)) for n in range(3)])
    alone.close()
    put_back(counted, followed, before)
    alone = Desk(followed)
    alone.record([StoredEvent(f"new-{n}", Interaction("new", f"film-00{n + 1}", 7.0)) for n in range(3)])
    alone.close()
    restarted(counted, followed)
    assert {row["id"] for row in graph.read(edges, {"id": "new"})} == {"film-001", "film-002", "film-003"}
    assert graph.read("MATCH (p:Person {id: 'lost'}) RETURN p.id AS id") == []
    assert restarted(counted, followed) == {}


def test_a_store_and_a_mark_of_the_version_before_are_taken_over(
    counted: Counted, followed: Path, graph: Graph
) -> None:
    alone = Desk(followed)
    alone.forget("person-012")
    alone.close()
    restarted(counted, followed)
    with closing(sqlite3.connect(followed / PEOPLE)) as old:
        old.execute("ALTER TABLE deletion DROP COLUMN token")
        old.commit()
    graph.write("MATCH (n:Load) REMOVE n.digest".replace("Load", LOAD_LABEL))
    assert restarted(counted, followed)["load.RATED"] > 100
    assert restarted(counted, followed) == {}
