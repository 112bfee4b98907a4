"""Names in a sentence become nodes: exactly, by alias, by what they share; close ones are left to the person."""

from __future__ import annotations

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.graph.graph import Graph

CITY = Domain.load()


def named(key: str, zh: str, en: str, *aliases: str, label: str = "Cuisine") -> Named:
    return Named(NodeValue(label, key, zh, en), aliases)


LINKER = Linker(
    [
        named("c1", "川菜", "Sichuan", "四川菜", "Szechuan"),
        named("c2", "粤菜", "Cantonese", "广东菜"),
        named("r1", "青瓦小馆", "Green Tile Kitchen", label="Restaurant"),
        named("r2", "青瓦食府", "Green Tile House", label="Restaurant"),
        named("r3", "白鹿食府", "White Deer House", label="Restaurant"),
        named("l1", "青岚科技", "Qinglan Technology", "公司", "my office", label="Landmark"),
    ]
)


@pytest.mark.parametrize(
    ("words", "label", "key", "how"),
    [
        ("川菜", "Cuisine", "c1", "exact"),
        ("sichuan", "Cuisine", "c1", "exact"),
        ("Sichuan food", "Cuisine", "c1", "exact"),
        ("四川菜", "Cuisine", "c1", "alias"),
        ("公司附近", "Landmark", "l1", "alias"),
        ("near my office", "Landmark", "l1", "alias"),
        ("Sichaun", "Cuisine", "c1", "overlap"),
        ("White Dear House", "Restaurant", "r3", "overlap"),
        ("白鹿", "Restaurant", "r3", "overlap"),
    ],
)
def test_a_name_is_linked(words: str, label: str, key: str, how: str) -> None:
    link = LINKER.link(words, [label])
    assert link.node is not None
    assert (link.node.key, link.how) == (key, how)


@pytest.mark.parametrize("words", ["青瓦", "Green Tile"])
def test_names_that_are_close_are_left_to_the_person(words: str) -> None:
    link = LINKER.link(words, ["Restaurant"])
    assert link.node is None
    assert (link.how, {node.key for node in link.nodes}) == ("close", {"r1", "r2"})


@pytest.mark.parametrize("words", ["天气", "xyz", "", "!!!"])
def test_a_name_that_nobody_has_is_unknown(words: str) -> None:
    assert LINKER.link(words, ["Cuisine", "Restaurant"]).how == "unknown"


def test_only_the_labels_of_the_slot_are_looked_through() -> None:
    assert LINKER.link("川菜", ["Restaurant"]).node is None


def test_names_in_a_sentence_are_found_with_their_places() -> None:
    text = "公司旁边的川菜馆"
    assert [(text[a:b], node.key) for a, b, node in LINKER.find(text, ["Cuisine", "Landmark"])] == [
        ("公司", "l1"),
        ("川菜", "c1"),
    ]
    assert LINKER.find("a Sichuanese thing", ["Cuisine"]) == []


def test_every_spelling_in_the_city_finds_its_node(city_graph: Graph) -> None:
    linker = Linker.from_graph(CITY, city_graph)
    cuisines = linker.names(["Cuisine"])
    assert len(cuisines) > 60
    assert all(linker.link(name, ["Cuisine"]).how in ("exact", "alias") for name in cuisines)
    office = linker.link("公司", ["District", "Landmark"])
    assert office.node is not None
    assert office.node.zh == "青岚科技"
