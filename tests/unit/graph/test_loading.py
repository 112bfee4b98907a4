"""Loading: what is checked before, what is counted after, and what a second or interrupted load does."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from pagoda.dialogue.domain.city import city
from pagoda.graph import loading as graph_load
from pagoda.graph.errors import GraphLoadError, GraphUnavailableError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import GraphData, LoadCounts, NodeTable, RelationTable, load, merge


class Recorder:
    """Stands in for a Graph whose writes fail after some statements, or which loses rows."""

    def __init__(self, graph: Graph, *, fails_after: int = 10**9, loses_rows: bool = False) -> None:
        self._graph = graph
        self._writes_left = fails_after
        self._loses_rows = loses_rows
        self.num_writes = 0

    def read(self, text: str, parameters: Mapping[str, Any] | None = None, **named: Any) -> list[dict[str, Any]]:
        if self._loses_rows and "count(" in text and "PagodaLoad" not in text:
            return [{"found": 0}]
        return self._graph.read(text, parameters, **named)

    def write(self, text: str, parameters: Mapping[str, Any] | None = None, **named: Any) -> list[dict[str, Any]]:
        if not self._writes_left:
            raise GraphUnavailableError("gone")
        self._writes_left -= 1
        self.num_writes += 1
        return self._graph.write(text, parameters, **named)


@pytest.fixture
def village() -> GraphData:
    """A small graph under labels of its own, so that tests do not meet."""
    mark = uuid.uuid4().hex[:8]
    houses = NodeTable(f"House{mark}", [{"id": f"h{n}", "name": f"屋{n}", "n": n} for n in range(25)])
    wells = NodeTable(f"Well {mark}", [{"code": "w0", "depth": 4.5}], key="code")
    draws = RelationTable("DRAWS_FROM", houses.label, wells.label, [(f"h{n}", "w0", {"m": n}) for n in range(25)])
    return GraphData([houses, wells], [draws], {f"Visit{mark}": "id"})


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_load, "BATCH_ROWS", 10)


def test_a_load_puts_everything_in_and_tells_how_far_it_is(city_graph: Graph, village: GraphData) -> None:
    told: list[tuple[int, int]] = []
    assert load(city_graph, village, lambda done, total: told.append((done, total))) == LoadCounts(26, 25)
    assert told == [(10, 51), (20, 51), (25, 51), (26, 51), (36, 51), (46, 51), (51, 51)]
    house, well = (table.label for table in village.nodes)
    rows = city_graph.read(
        f"MATCH (h:{house})-[d:DRAWS_FROM]->(w:`{well}`) RETURN h.n AS n, d.m AS m, w.depth AS depth"
    )
    assert sorted((row["n"], row["m"], row["depth"]) for row in rows) == [(n, n, 4.5) for n in range(25)]


def test_a_load_checks_its_rows_once_and_so_does_a_merge(
    city_graph: Graph, village: GraphData, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[GraphData] = []
    monkeypatch.setattr(graph_load, "_check", checked.append)
    load(city_graph, village)
    assert len(checked) == 1
    merge(city_graph, village)
    assert len(checked) == 2


def test_a_second_load_of_the_same_data_writes_nothing(city_graph: Graph, village: GraphData) -> None:
    load(city_graph, village)
    recorder = Recorder(city_graph)
    assert load(recorder, village) == LoadCounts(26, 25, was_loaded=True)  # type: ignore[arg-type]
    assert recorder.num_writes == 0


def test_a_changed_row_is_loaded_over_the_old_one(city_graph: Graph, village: GraphData) -> None:
    load(city_graph, village)
    house = village.nodes[0]
    changed = NodeTable(house.label, [{**row, "n": row["n"] + 100} for row in house.rows])
    load(city_graph, GraphData([changed, village.nodes[1]], village.relations, village.constraints))
    rows = city_graph.read(f"MATCH (h:{house.label}) RETURN count(h) AS houses, min(h.n) AS least")
    assert rows == [{"houses": 25, "least": 100}]


@pytest.mark.parametrize("num_writes", [0, 3, 6, 9])
def test_a_load_that_was_interrupted_is_finished_by_the_next(
    city_graph: Graph, village: GraphData, num_writes: int
) -> None:
    with pytest.raises(GraphUnavailableError):
        load(Recorder(city_graph, fails_after=num_writes), village)  # type: ignore[arg-type]
    assert load(city_graph, village) == LoadCounts(26, 25)
    house = village.nodes[0].label
    assert city_graph.read(f"MATCH (h:{house}) RETURN count(h) AS n") == [{"n": 25}]
    assert city_graph.read(f"MATCH (:{house})-[d]->() RETURN count(d) AS n") == [{"n": 25}]


def test_every_label_has_its_constraint_before_the_first_row(city_graph: Graph, village: GraphData) -> None:
    load(city_graph, village)
    rows = city_graph.read("SHOW CONSTRAINTS YIELD labelsOrTypes, properties RETURN labelsOrTypes, properties")
    unique = {(row["labelsOrTypes"][0], row["properties"][0]) for row in rows}
    assert unique >= {(table.label, table.key) for table in village.nodes} | set(village.constraints.items())


def test_rows_that_did_not_arrive_are_missed(city_graph: Graph, village: GraphData) -> None:
    with pytest.raises(GraphLoadError, match=r"0 House\w+ are in the graph after 25"):
        load(Recorder(city_graph, loses_rows=True), village)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nodes", "relations", "message"),
    [
        ([NodeTable("A", [{"id": 1}, {"id": 1}])], [], "each node of A needs a id of its own"),
        ([NodeTable("A", [{"name": "x"}])], [], "each node of A needs a id of its own"),
        ([NodeTable("A", [{"id": 1}]), NodeTable("A", [{"id": 2}])], [], "in one table"),
        ([NodeTable("A", [{"id": 1}])], [RelationTable("R", "A", "A", [(1, 2, {})])], "names 2, but no A"),
        ([NodeTable("A", [{"id": 1}])], [RelationTable("R", "A", "B", [(1, 1, {})])], "names 1, but no B"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused_before_anything_is_written(
    city_graph: Graph, nodes: list[NodeTable], relations: list[RelationTable], message: str
) -> None:
    recorder = Recorder(city_graph)
    with pytest.raises(GraphLoadError, match=message):
        load(recorder, GraphData(nodes, relations))  # type: ignore[arg-type]
    assert recorder.num_writes == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nodes": [], "relations": []}', '{"nodes": {}, "relations": [{}]}'])
def test_a_file_that_is_no_graph_is_refused(text: str) -> None:
    with pytest.raises(GraphLoadError, match="no graph in JSON"):
        GraphData.from_json(text)


def test_equal_data_have_equal_fingerprints_and_others_do_not(village: GraphData) -> None:
    other = GraphData(village.nodes, village.relations[:0], village.constraints)
    assert city().fingerprint() == city().fingerprint()
    assert len({city().fingerprint(), village.fingerprint(), other.fingerprint()}) == 3
