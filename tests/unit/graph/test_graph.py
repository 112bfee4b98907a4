"""Statements over the embedded graph: rows, values that look like Cypher, accounts, conflicts, schema, drawing."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from pagoda.errors import InvalidParameterError
from pagoda.graph.errors import GraphConflictError, GraphError, GraphQueryError, GraphReadOnlyError
from pagoda.graph.graph import Graph
from pagoda.graph.schema import quoted

HOSTILE = [
    "O'Brien's \"place\"",
    "`back` ``ticks``",
    "two\nlines\r\nand\ttabs",
    "\U0001f962 川菜 \U0001f336\ufe0f",
    "'}) DETACH DELETE n //",
    "$value {name: 1} \\u0027 \\",
    "x' OR 1=1 WITH 1 AS a MATCH (n) DETACH DELETE n RETURN '",
    "\u202ereversed\u202c\x00nul",
    "",
    "长" * 20_000,
]


def test_a_row_is_a_dictionary_that_json_can_hold(city_graph: Graph) -> None:
    rows = city_graph.read(
        "MATCH (r:Restaurant {id: $id})-[near:NEAR]->(l) "
        "RETURN r, near, [r.price, {inner: r.name}] AS both, datetime('2026-11-21T19:00:00Z') AS at LIMIT 1",
        {"id": "restaurant-001"},
    )
    assert rows[0]["r"]["name"] == "青瓦小馆"
    assert rows[0]["near"]["distance_m"] > 0
    assert rows[0]["both"] == [19, {"inner": "青瓦小馆"}]
    assert rows[0]["at"].startswith("2026-11-21T19:00")
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_with_cypher_in_it_is_stored_and_found_as_it_is(city_graph: Graph, value: str) -> None:
    key, before = uuid.uuid4().hex, _num_restaurants(city_graph)
    city_graph.write(
        "MERGE (b:Booking {id: $key}) SET b.contact = $value, b.all = [$value]", {"key": key, "value": value}
    )
    found = city_graph.read(
        "MATCH (b:Booking {id: $key}) WHERE b.contact = $value RETURN b.contact AS contact, b.all AS all",
        {"key": key, "value": value},
    )
    assert found == [{"contact": value, "all": [value]}]
    assert _num_restaurants(city_graph) == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE (:Restaurant {id: 'intruder'})",
        "MERGE (:Restaurant {id: 'intruder'})",
        "MATCH (r:Restaurant) SET r.price = 1",
        "MATCH (r:Restaurant) REMOVE r.price",
        "MATCH (r:Restaurant) DETACH DELETE r",
        "MATCH (:Restaurant)-[near:NEAR]->() DELETE near",
        "MATCH (r:Restaurant {id: 'restaurant-001'}) MATCH (d:District) CREATE (r)-[:IN_DISTRICT]->(d)",
        "CREATE (:NoSuchLabel {id: 1})",
        "CREATE INDEX intruder IF NOT EXISTS FOR (r:Restaurant) ON (r.rating)",
        "MATCH (r:Restaurant) FOREACH (x IN [1] | SET r.price = 1)",
        "CALL { CREATE (:Restaurant {id: 'intruder'}) } RETURN 1 AS one",
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    ],
)
def test_what_is_read_cannot_write(city_graph: Graph, statement: str) -> None:
    before = _contents(city_graph)
    with pytest.raises(GraphQueryError):
        city_graph.read(statement, statement_id="intruder")
    assert _contents(city_graph) == before


def test_a_refused_write_says_that_it_may_only_read(city_graph: Graph) -> None:
    with pytest.raises(GraphReadOnlyError, match=r'"find\.9".*Graph\.write') as caught:
        city_graph.read("CREATE (:Restaurant {id: 'intruder'})", statement_id="find.9")
    assert caught.value.statement_id == "find.9"


def test_a_faulty_statement_is_named_and_the_server_is_not_quoted(city_graph: Graph) -> None:
    with pytest.raises(GraphQueryError) as caught:
        city_graph.read("MATC (n RETURN n", statement_id="find.3")
    assert str(caught.value) == 'the graph server refused the statement "find.3": the log has its reason'


@pytest.mark.parametrize(
    "value",
    [2**70, "\ud800", {1, 2}, {1: "x"}, object()],
    ids=["too large", "half a character", "set", "key that is no text", "object"],
)
def test_a_value_that_no_graph_can_hold_is_refused_and_the_graph_goes_on(city_graph: Graph, value: object) -> None:
    with pytest.raises(GraphQueryError, match=r"find\.5"):
        city_graph.read("RETURN $value AS value", {"value": value}, statement_id="find.5")
    assert city_graph.read("RETURN $value AS value", {"value": 1}) == [{"value": 1}]


def test_threads_that_merge_one_key_make_one_node(city_graph: Graph) -> None:
    key = uuid.uuid4().hex
    statement = "MERGE (b:Booking {id: $key}) SET b.people = $people RETURN b.people AS people"
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: city_graph.write(statement, {"key": key, "people": n}), range(24)))
    assert [row[0]["people"] for row in written] == list(range(24))
    assert city_graph.read("MATCH (b:Booking {id: $key}) RETURN count(b) AS n", {"key": key}) == [{"n": 1}]


def test_a_second_node_with_the_key_of_another_is_refused(city_graph: Graph) -> None:
    key = uuid.uuid4().hex
    city_graph.write("CREATE (:Booking {id: $key})", {"key": key})
    with pytest.raises(GraphConflictError, match="nothing was written"):
        city_graph.write("CREATE (:Booking {id: $key})", {"key": key})


def test_many_threads_read_through_one_graph(city_graph: Graph) -> None:
    statement = "MATCH (r:Restaurant {id: $id}) RETURN r.id AS id"
    names = [f"restaurant-{n:03d}" for n in range(1, 101)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda name: city_graph.read(statement, {"id": name}), names))
    assert [row[0]["id"] for row in rows] == names


def test_the_schema_has_labels_properties_with_types_and_relations(city_graph: Graph) -> None:
    schema = city_graph.schema(refresh=True)
    assert schema.labels["Restaurant"].items() >= {"price": "integer", "rating": "float", "name_en": "string"}.items()
    assert schema.labels["Cuisine"]["aliases"] == "list"
    assert ("Cinema", "SHOWS", "Screening") in schema.relations
    assert ("Screening", "SHOWS", "Cinema") not in schema.relations
    assert schema.relation_properties["NEAR"] == {"distance_m": "integer"}
    assert "PagodaLoad" not in schema.labels


def test_a_subgraph_joins_what_was_asked_for_to_what_is_next_to_it(city_graph: Graph) -> None:
    drawn = city_graph.subgraph(["restaurant-001", "East Lake Guesthouse"])
    ids = {node.id for node in drawn.nodes}
    assert [node.name for node in drawn.nodes[:2]] == ["青瓦小馆", "东湖客栈"]
    assert {"cuisine-001", "district-001"} <= ids
    assert all(edge.source in ids and edge.target in ids for edge in drawn.edges)
    cuisine = [e for e in drawn.edges if e.type == "HAS_CUISINE" and e.target == "cuisine-001"]
    assert [(edge.source, edge.properties) for edge in cuisine] == [("restaurant-001", {})]


def test_a_relation_between_two_nodes_that_were_asked_for_is_drawn_once(city_graph: Graph) -> None:
    drawn = city_graph.subgraph(["restaurant-001", "cuisine-001"])
    joins = [e for e in drawn.edges if (e.source, e.target) == ("restaurant-001", "cuisine-001")]
    assert len(joins) == 1


def test_a_subgraph_of_nothing_or_of_cypher_is_empty(city_graph: Graph) -> None:
    assert city_graph.subgraph([]).nodes == ()
    assert city_graph.subgraph(["no such place", "') DETACH DELETE n //"]).nodes == ()


def test_a_subgraph_has_no_more_edges_than_the_limit(city_graph: Graph) -> None:
    assert len(city_graph.subgraph(["district-001"], limit=5).edges) == 5


@pytest.mark.parametrize("name", ["", "a`b", "a\nb", "a\\b", "\x00"])
def test_a_name_that_could_leave_its_back_ticks_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="cannot name"):
        quoted(name)


def test_a_closed_graph_says_so(city_graph: Graph) -> None:
    # Another Graph on the same folder shares the server, and closing it leaves the server to the first.
    server = city_graph._server
    assert server is not None
    with Graph.embedded(server.folder, timeout_s=60.0) as other:
        assert other.server_process_id == city_graph.server_process_id
    with pytest.raises(GraphError, match="closed"):
        other.read("RETURN 1 AS one")
    other.close()
    assert city_graph.read("RETURN 1 AS one") == [{"one": 1}]


def _num_restaurants(graph: Graph) -> int:
    return int(graph.read("MATCH (r:Restaurant) RETURN count(r) AS n")[0]["n"])


def _contents(graph: Graph) -> list[dict[str, object]]:
    """What an intruder would have changed."""
    return graph.read("MATCH (r:Restaurant) RETURN count(r) AS n, sum(r.price) AS prices") + graph.read(
        "MATCH (:Restaurant)-[r]->() RETURN count(r) AS relations"
    )
