"""The city that ships: made again it is the same, nothing dangles, and every slot has something to find."""

from __future__ import annotations

import importlib.util
import json
from collections import defaultdict
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pagoda.graph.graph import Graph

ROOT = Path(__file__).resolve().parents[4]
DATA = resources.files("pagoda.dialogue").joinpath("data")
Table = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_city", ROOT / "examples" / "city" / "make_city.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "make_city", module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(DATA.joinpath("city.json").read_text(encoding="utf-8"))
    return tables


@pytest.fixture(scope="module")
def nodes(shipped: dict[str, Any]) -> Table:
    table: Table = shipped["nodes"]
    return table


@pytest.fixture(scope="module")
def pairs(shipped: dict[str, Any]) -> dict[tuple[str, str], list[list[Any]]]:
    """Rows by (relation, label it leaves)."""
    return {(table["type"], table["from"]): table["rows"] for table in shipped["relations"]}


def test_the_generator_makes_the_very_bytes_that_ship(generator: ModuleType) -> None:
    text = DATA.joinpath("city.json").read_text(encoding="utf-8")
    assert generator.make_city().as_json() == text
    assert len(text.encode()) < 400_000


def test_every_name_is_there_in_both_languages_and_is_nobody_elses(nodes: Table) -> None:
    for label, rows in nodes.items():
        if label == "Screening":
            continue
        for key in ("name", "name_en"):
            names = [row[key] for row in rows]
            assert all(names)
            assert len(set(names)) == len(names), label
        assert all(row["name_en"].isascii() and not row["name"].isascii() for row in rows)


def test_no_spelling_of_a_vocabulary_means_two_things(nodes: Table) -> None:
    for label in ("Cuisine", "Genre", "Facility", "District", "Landmark"):
        spellings = [s.casefold() for row in nodes[label] for s in (row["name"], row["name_en"], *row["aliases"])]
        within = [{s.casefold() for s in (row["name"], row["name_en"], *row["aliases"])} for row in nodes[label]]
        assert len(set(spellings)) == sum(map(len, within)), label


def test_every_relation_ends_at_nodes_that_exist(shipped: dict[str, Any], nodes: Table) -> None:
    ids = {label: {row["id"] for row in rows} for label, rows in nodes.items()}
    for table in shipped["relations"]:
        assert {row[0] for row in table["rows"]} <= ids[table["from"]]
        assert {row[1] for row in table["rows"]} <= ids[table["to"]]


def test_every_cuisine_is_to_be_had_in_every_price_band_and_in_many_districts(
    nodes: Table, pairs: dict[tuple[str, str], list[list[Any]]]
) -> None:
    prices = {row["id"]: row["price"] for row in nodes["Restaurant"]}
    district = {row[0]: row[1] for row in pairs["IN_DISTRICT", "Restaurant"]}
    served = defaultdict(list)
    for restaurant, cuisine in pairs["HAS_CUISINE", "Restaurant"]:
        served[cuisine].append(restaurant)
    assert len(served) == len(nodes["Cuisine"])
    for restaurants in served.values():
        assert sum(prices[r] <= 60 for r in restaurants) >= 2
        assert sum(60 < prices[r] <= 150 for r in restaurants) >= 2
        assert sum(prices[r] > 150 for r in restaurants) >= 1
        assert len({district[r] for r in restaurants}) >= 5


def test_every_place_is_in_one_district_and_near_something(
    nodes: Table, pairs: dict[tuple[str, str], list[list[Any]]]
) -> None:
    for label in ("Restaurant", "Hotel", "Cinema"):
        ids = sorted(row["id"] for row in nodes[label])
        assert sorted(row[0] for row in pairs["IN_DISTRICT", label]) == ids
        assert {row[0] for row in pairs["NEAR", label]} == set(ids)
        assert all(50 <= row[2]["distance_m"] <= 2000 for row in pairs["NEAR", label])


def test_every_genre_has_films_that_are_shown(nodes: Table, pairs: dict[tuple[str, str], list[list[Any]]]) -> None:
    films_of = defaultdict(set)
    for film, genre in pairs["HAS_GENRE", "Film"]:
        films_of[genre].add(film)
    assert min(map(len, films_of.values())) >= 5
    assert len(films_of) == len(nodes["Genre"])
    assert {row[1] for row in pairs["OF", "Screening"]} == {row["id"] for row in nodes["Film"]}
    assert all(row["time"] == f"{int(row['time'][:2]):02d}:{row['time'][3:]}" for row in nodes["Screening"])


def test_the_description_says_how_many_there_are(nodes: Table) -> None:
    lines = DATA.joinpath("SCHEMA.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in lines if line.startswith("| `")]
    told = {cell[0]: int(cell[1]) for cell in cells if cell[1].isdigit()}
    assert told == {label: len(rows) for label, rows in nodes.items()}


def test_a_cheap_sichuan_place_near_the_office_is_found(city_graph: Graph) -> None:
    rows = city_graph.read(
        "MATCH (r:Restaurant)-[:HAS_CUISINE]->(c:Cuisine {name: $cuisine}) "
        "MATCH (r)-[near:NEAR]->(l:Landmark) WHERE r.price <= $price AND $place IN l.aliases "
        "RETURN DISTINCT r.name AS name, near.distance_m AS distance_m ORDER BY distance_m LIMIT 3",
        {"cuisine": "川菜", "price": 60, "place": "公司"},
    )
    assert rows[0] == {"name": "青瓦小馆", "distance_m": 540}
