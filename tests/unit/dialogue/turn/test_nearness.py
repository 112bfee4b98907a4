"""Searches near what is on the table: which node is meant, what is looked for, and what the graph is asked."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.cypher.nearness import compile_place, shared_place
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.turn.nearness import Nearness
from pagoda.dialogue.turn.values import ValueReader
from pagoda.graph.schema import GraphSchema
from pagoda.nlu.understanding import Act, SlotValue, Understanding

CITY = Domain.load()
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
HALL = NodeValue("Restaurant", "restaurant-002", "金灯酒楼", "Golden Lantern Hall")
INN = NodeValue("Hotel", "hotel-001", "新湖客栈", "New Lake Guesthouse")
VALUES = ValueReader(CITY, Linker([Named(node) for node in (TILE, HALL, INN)]), datetime(2026, 11, 21, 12))
ONE = (ev.UserSaid("川菜", "zh"), ev.Switched("find_restaurant"), ev.Offered((TILE,)))
TWO = (*ONE[:2], ev.Offered((TILE, HALL)))
STAY = (*ONE, ev.UserSaid("酒店", "zh"), ev.Switched("find_hotel"), ev.Offered((INN,)))


def wanted(
    text: str, before: tuple[ev.Event, ...], intent: str, *slots: SlotValue, acts: tuple[Act, ...] = ()
) -> tuple[str, str] | None:
    """(intent of the search, English name of what things are wanted near to)."""
    read = Understanding(text, "en", intent, 0.95, slots, acts)
    found = Nearness(CITY, VALUES).wanted(read, fold(before, CITY))
    return None if found is None else (found[0], found[1].node.en)


@pytest.mark.parametrize(
    ("text", "before", "intent", "meant"),
    [
        ("any hotels near it?", ONE, "find_hotel", "Green Tile Kitchen"),
        ("这家附近有什么酒店", ONE, "out_of_scope", "Green Tile Kitchen"),
        ("周边有什么酒店", ONE, "find_hotel", "Green Tile Kitchen"),
        ("a hotel in the same area as the restaurant", STAY, "find_restaurant", "Green Tile Kitchen"),
        ("hotels near Golden Lantern Hall", (), "find_hotel", "Golden Lantern Hall"),
        ("金灯酒楼附近的酒店", ONE, "find_hotel", "Golden Lantern Hall"),
    ],
)
def test_what_is_near_something_is_looked_for_near_what_is_meant(
    text: str, before: tuple[ev.Event, ...], intent: str, meant: str
) -> None:
    assert wanted(text, before, intent) == ("find_hotel", meant)


def test_a_row_and_a_fragment_are_understood() -> None:
    second = (Act("choose", value="2"),)
    assert wanted("第二家附近的酒店", TWO, "find_hotel", acts=second) == ("find_hotel", "Golden Lantern Hall")
    assert wanted("这附近的呢", ONE, "out_of_scope") == ("find_restaurant", "Green Tile Kitchen")


def test_a_place_in_words_of_its_own_or_nothing_on_the_table_is_no_nearness() -> None:
    near_station = SlotValue("location", "鹿鸣站", 0, 3)
    assert wanted("鹿鸣站附近的酒店", ONE, "find_hotel", near_station) is None
    assert wanted("附近有没有火锅", (), "find_restaurant") is None
    assert wanted("is there a metro station nearby?", ONE, "out_of_scope") is None


def test_the_place_is_what_both_searches_can_look_in() -> None:
    place = shared_place(CITY, "find_hotel", TILE)
    assert place is not None
    assert (place.slot, place.path[-1].label) == ("location", "District")
    assert shared_place(CITY, "find_film", TILE) is None, "films are nowhere"
    schema = GraphSchema(
        {"Restaurant": {"id": "STRING"}, "District": {"id": "STRING", "name": "STRING", "name_en": "STRING"}},
        frozenset({("Restaurant", "IN_DISTRICT", "District")}),
    )
    statement = compile_place(CITY, place, TILE, schema)
    assert "-[p_r0:`IN_DISTRICT`]->(p_0:`District`)" in statement.text
    assert "restaurant-001" not in statement.text
    assert list(statement.parameters.values()) == ["restaurant-001"]
