"""A domain of one's own over a graph of one's own: loaded from tables, talked over, changed while it is talked over.

The example that the docs load, from its files on; keys are numbers, one bicycle is called 1984, and the graph holds
values of every type that a property can have.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.state.events import GraphFailed
from pagoda.dialogue.turn.turn import Turn
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.graph.tables import read_tables
from patience import HANG_S

BIKES = Path(__file__).parents[2] / "examples" / "bikes"
MORNING = datetime(2026, 11, 28, 10, 0)
Say = Callable[..., Turn]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    with Graph.embedded(tmp_path_factory.mktemp("bikes") / "graph", timeout_s=60.0) as opened:
        load(opened, read_tables([BIKES / "tables"]))
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("understanding")


@pytest.fixture(scope="module")
def agent(graph: Graph, folder: Path) -> Iterator[DialogueAgent]:
    settings = AgentSettings(clock=lambda: MORNING)
    with DialogueAgent(BIKES / "bikes.yaml", graph, folder=folder, settings=settings) as opened:
        opened._parts._names._every_s, opened._parts._names._patience_s = 0.0, HANG_S  # every turn looks, and waits
        yield opened


@pytest.fixture
def say(agent: DialogueAgent) -> Say:
    """A conversation of its own."""
    session = uuid.uuid4().hex
    return lambda text: agent.reply(session, text)


def test_what_the_tables_hold_is_found_and_booked_by_a_key_that_is_a_number(say: Say, graph: Graph) -> None:
    found = say("do you have a mountain bike")
    assert [row["key"] for row in found.rows] == [103, 104]
    say("hire the first one")
    say("tomorrow at 9 am")
    booked = say("yes")
    assert booked.rows, booked.text
    hired = graph.read(
        "MATCH (h:Hire {id: $id})-[:OF]->(b:Bike) RETURN b.number AS number", {"id": booked.rows[0]["key"]}
    )
    assert hired == [{"number": 103}]


def test_a_name_that_is_a_number_names_its_node(say: Say) -> None:
    say("我要租1984")
    assert say("明天上午九点").facts["slots"]["bike"] == "1984"


@pytest.mark.parametrize(
    ("text", "names"),
    [("钟楼站的通勤车", ["燕子", "1984"]), ("a cheap city bike", ["Egret", "Swallow", "1984"])],
)
def test_both_languages_find_the_same_graph(say: Say, text: str, names: list[str]) -> None:
    reply = say(text).text
    assert all(name in reply for name in names), reply


def test_a_node_that_comes_while_the_agent_runs_is_known_in_the_next_turn(say: Say, graph: Graph) -> None:
    graph.write("MERGE (b:Bike {number: 107}) SET b.name = 'Otter', b.name_zh = '水獭', b.price = 4.5")
    try:
        say("I would like to hire Otter")
        assert say("tomorrow at 9 am").facts["slots"]["bike"] == "Otter"
    finally:
        graph.write("MATCH (b:Bike {number: 107}) DETACH DELETE b")


def test_a_property_of_a_relation_is_told_when_it_is_asked_for(say: Say) -> None:
    say("do you have a mountain bike")
    say("the first one")
    assert "9" in say("which dock is it at").text
    assert say("几号桩").rows[0]["dock"] == 9


ODD: dict[str, dict[str, Any]] = {
    "a list for a name": {"number": 201, "name": ["Twin", "Double"], "name_zh": "双人车"},
    "no names": {"number": 202},
    "no key": {"name": "Keyless", "name_zh": "无号"},
    "a text for a key": {"number": "203", "name": "Text Key", "name_zh": "文字号"},
    "a list for a key": {"number": [2, 4], "name": "List Key", "name_zh": "列表号"},
    "nothing in a list": {"number": 205, "name": [], "name_zh": "空"},
    "odd values": {
        "number": 206,
        "name": "Odd",
        "name_zh": "怪",
        "price": "free",
        "gears": [1, 2],
        "electric": "maybe",
    },
    "a name that is a flag": {"number": 207, "name": True, "name_zh": False},
    "a name like a template": {"number": 208, "name": '{name} `x` $p0 "q" \'); DROP', "name_zh": "a\nb<script>"},
    "a huge number": {"number": 2**62, "name": "Huge", "name_zh": "巨", "price": 1e300},
    "the same name": {"number": 210, "name": "Egret", "name_zh": "白鹭"},
}


@pytest.mark.parametrize("name", ODD)
def test_no_value_of_a_property_ends_a_turn(say: Say, graph: Graph, name: str) -> None:
    mark = uuid.uuid4().hex
    graph.write(
        "MATCH (s:Station {id: 's3'}) MATCH (k:Kind {id: 'cargo'}) CREATE (b:Bike {mark: $mark}) SET b += $values "
        "CREATE (b)-[:STANDS_AT]->(s) CREATE (b)-[:IS_A]->(k)",
        {"mark": mark, "values": ODD[name]},
    )
    try:
        turns = [say(text) for text in ("cargo bikes at The Pier", "the first one", "how much is it", "有几档")]
        turns += [say("hire the first one"), say("tomorrow at 9 am"), say("no")]
        assert len(turns[0].rows) == 2
        assert all(turn.text and json.loads(json.dumps(turn.as_dict(), allow_nan=False)) for turn in turns)
        assert not [event for turn in turns for event in turn.taken.events if isinstance(event, GraphFailed)]
    finally:
        graph.write("MATCH (b:Bike {mark: $mark}) DETACH DELETE b", {"mark": mark})


def test_dates_and_points_are_told_and_end_no_turn(say: Say, graph: Graph) -> None:
    graph.write(
        "MATCH (b:Bike {number: 105}) SET b.gears = date('2026-01-02'), b.checked = datetime('2026-01-02T10:00:00Z')"
    )
    try:
        say("find me a cargo bike")
        say("the first one")
        assert "2026-01-02" in say("how many gears has it").text
    finally:
        graph.write("MATCH (b:Bike {number: 105}) SET b.gears = 8, b.checked = '2026-03-30'")


def test_a_restart_learns_nothing_again_even_with_other_names(graph: Graph, folder: Path) -> None:
    learned: list[str] = []
    settings = AgentSettings(clock=lambda: MORNING, on_progress=lambda what, done, total: learned.append(what))
    graph.write("MERGE (b:Bike {number: 108}) SET b.name = 'Lynx', b.name_zh = '猞猁'")
    try:
        with DialogueAgent(BIKES / "bikes.yaml", graph, folder=folder, settings=settings) as again:
            again.reply("s", "I would like to hire Lynx")
            assert again.reply("s", "tomorrow at 9 am").facts["slots"]["bike"] == "Lynx"
    finally:
        graph.write("MATCH (b:Bike {number: 108}) DETACH DELETE b")
    assert not learned


def test_loading_the_same_tables_again_changes_nothing_and_changed_ones_change_it(graph: Graph, tmp_path: Path) -> None:
    data = read_tables([BIKES / "tables"])
    assert load(graph, data).was_loaded
    for table in (BIKES / "tables").iterdir():
        (tmp_path / table.name).write_text(table.read_text(encoding="utf-8").replace("Egret", "Little Egret"))
    assert not load(graph, read_tables([tmp_path])).was_loaded
    found = graph.read("MATCH (b:Bike {number: 101}) RETURN count(b) AS num, head(collect(b.name)) AS name")
    assert found == [{"num": 1, "name": "Little Egret"}]
    graph.write("MATCH (b:Bike {number: 101}) SET b.name = 'Egret'")
