"""Bookings that stand in the graph: read before anything is written under their key, changed whole, and undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pagoda.dialogue.cypher.bookings import (
    booking_key,
    compile_booking,
    compile_cancellation,
    compile_change,
    compile_held,
    is_same,
)
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.kinds import NodeValue, Value, When
from pagoda.graph.graph import Graph
from pagoda.graph.schema import GraphSchema
from pagoda.graph.statement import Statement

CITY = Domain.load()
BOOK = "book_restaurant"
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
DEER = NodeValue("Restaurant", "restaurant-002", "白鹿食府", "White Deer House")
VALUES: dict[str, Value] = {"name": TILE, "time": When("2026-11-21T19:00"), "people": 4}


def run(graph: Graph, statement: Statement | None) -> list[dict[str, Any]]:
    assert statement is not None
    return (graph.write if statement.writes else graph.read)(statement.text, statement.parameters)


def written(graph: Graph, name: str, values: Mapping[str, Value] = VALUES) -> str:
    key = booking_key(name, 1)
    run(graph, compile_booking(CITY, BOOK, values, key, "2026-11-21T10:00", graph.schema()))
    graph.schema(refresh=True)
    return key


def held(graph: Graph, key: str) -> list[dict[str, Any]]:
    return run(graph, compile_held(CITY, BOOK, key, graph.schema()))


def test_what_stands_under_a_key_is_read_and_compared(city_graph: Graph) -> None:
    key = written(city_graph, "held")
    (row,) = held(city_graph, key)
    assert row == {"key": key, "target": "restaurant-001", "v0": "2026-11-21T19:00", "v1": 4}
    assert is_same(CITY, BOOK, VALUES, row)
    for other in ({"name": DEER}, {"people": 5}, {"time": When("2026-11-21T20:00")}):
        assert not is_same(CITY, BOOK, {**VALUES, **other}, row)
    assert held(city_graph, booking_key("nobody", 1)) == []


def test_a_graph_without_any_booking_is_not_asked() -> None:
    bare = GraphSchema({"Restaurant": {"id": "string"}}, frozenset(), {})
    assert compile_held(CITY, BOOK, "k", bare) is None


def test_a_change_joins_the_booking_to_the_new_node_alone(city_graph: Graph) -> None:
    key = written(city_graph, "changed")
    values: dict[str, Value] = {**VALUES, "name": DEER, "people": 6}
    statement = compile_change(CITY, BOOK, values, key, city_graph.schema())
    assert statement.writes
    for _ in range(2):
        assert run(city_graph, statement) == [{"key": key}]
        assert [(row["target"], row["v1"]) for row in held(city_graph, key)] == [("restaurant-002", 6)]
    gone = compile_change(CITY, BOOK, {**values, "name": replace(DEER, key="restaurant-999")}, key, city_graph.schema())
    assert run(city_graph, gone) == []
    assert [row["target"] for row in held(city_graph, key)] == ["restaurant-002"]
    assert run(city_graph, compile_change(CITY, BOOK, values, "no such key", city_graph.schema())) == []


def test_a_cancellation_takes_one_booking_out_and_says_when_it_was_gone(city_graph: Graph) -> None:
    key, other = written(city_graph, "undone"), written(city_graph, "kept")
    statement = compile_cancellation(CITY, BOOK, key, "2026-11-21T11:00", city_graph.schema())
    assert statement.writes
    assert run(city_graph, statement) == [{"key": key}]
    assert run(city_graph, statement) == []
    assert (held(city_graph, key), len(held(city_graph, other))) == ([], 1)


def test_a_domain_may_mark_a_cancelled_booking_instead(city_graph: Graph) -> None:
    key = written(city_graph, "marked")
    intent = CITY.intents[BOOK]
    assert intent.booking is not None
    marking = replace(intent, booking=replace(intent.booking, cancelled="cancelled_at"))
    domain = replace(CITY, intents={**CITY.intents, BOOK: marking})
    statement = compile_cancellation(domain, BOOK, key, "2026-11-21T11:00", city_graph.schema())
    assert run(city_graph, statement) == [{"key": key}]
    found = city_graph.read("MATCH (b:Booking {id: $key}) RETURN b.cancelled_at AS at LIMIT 1", {"key": key})
    assert found == [{"at": "2026-11-21T11:00"}]


@pytest.mark.parametrize("intent", ["find_hotel", "greet"])
def test_what_books_nothing_has_nothing_to_undo(intent: str, city_graph: Graph) -> None:
    with pytest.raises(DomainError, match="books nothing"):
        compile_cancellation(CITY, intent, "k", "now", city_graph.schema())
