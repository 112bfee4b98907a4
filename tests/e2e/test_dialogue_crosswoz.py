"""A second domain, with Chinese labels, over the embedded graph: nothing is wired to the first."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.cypher.domain_check import check
from pagoda.dialogue.cypher.queries import compile_query
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.slots.kinds import NodeValue, Range, Value
from pagoda.graph.errors import GraphLoadError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import GraphData, load

EXAMPLE = Path(__file__).parents[2] / "examples" / "crosswoz"
NUM_RECORDS = 100
"""Of each database: the whole would take the suite's time, and is what the example's own command loads."""


@pytest.fixture(scope="module")
def loader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crosswoz_load", EXAMPLE / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def beijing(loader: ModuleType, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    records = loader.read_records(shared_data / "dev")
    with Graph.embedded(tmp_path_factory.mktemp("beijing"), timeout_s=60.0) as graph:
        load(graph, loader.graph_data({label: rows[:NUM_RECORDS] for label, rows in records.items()}))
        yield graph


def test_the_loader_joins_what_it_knows_and_leaves_out_what_it_does_not(loader: ModuleType) -> None:
    records = {
        "景点": [
            {
                "领域": "景点",
                "名称": "塔",
                "门票": 5,
                "地铁": "东门地铁站B口",
                "电话": None,
                "周边餐馆": ["面馆", "无名"],
            }
        ],
        "酒店": [{"名称": "旅舍", "酒店类型": "经济型", "酒店设施": ["热水"], "周边景点": ["塔"]}],
        "餐馆": [{"名称": "面馆", "推荐菜": ["面", "面"]}, {"名称": "面馆", "推荐菜": ["饭"]}],
    }
    data: GraphData = loader.graph_data(records)
    nodes = {table.label: [dict(row) for row in table.rows] for table in data.nodes}
    assert nodes["景点"] == [{"名称": "塔", "门票": 5.0, "地铁": "东门地铁站B口"}]
    assert nodes["餐馆"] == [{"名称": "面馆"}]
    assert nodes["地铁站"] == [{"名称": "东门地铁站"}]
    assert {(table.type, *row[:2]) for table in data.relations for row in table.rows} == {
        ("周边餐馆", "塔", "面馆"),
        ("周边景点", "旅舍", "塔"),
        ("推荐菜", "面馆", "面"),
        ("酒店设施", "旅舍", "热水"),
        ("属于", "旅舍", "经济型"),
        ("邻近", "塔", "东门地铁站"),
    }


def test_a_folder_without_the_databases_is_named(loader: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(GraphLoadError, match=r"crosswoz_db_attraction\.jsonl cannot be read"):
        loader.read_records(tmp_path)


def test_the_example_s_domain_loads_and_speaks_both_languages() -> None:
    domain = Domain.load(EXAMPLE / "crosswoz.yaml")
    languages = {example.get("language") for example in domain.examples()} - {None}
    assert {"找餐馆", "找景点", "找酒店"} <= {example["intent"] for example in domain.examples()}
    assert languages <= {"zh", "en"}


@pytest.mark.shared_data
def test_the_domain_fits_the_graph_and_another_domain_does_not(beijing: Graph) -> None:
    check(Domain.load(EXAMPLE / "crosswoz.yaml"), beijing.schema())
    with pytest.raises(DomainError, match="is no label of the graph"):
        check(Domain.load(), beijing.schema())


@pytest.mark.shared_data
def test_its_questions_become_statements_whose_rows_meet_them(beijing: Graph) -> None:
    domain = Domain.load(EXAMPLE / "crosswoz.yaml")
    palace = NodeValue("景点", "故宫", "故宫")
    filters: dict[str, Value] = {"附近": palace, "价格": Range(None, 60)}
    statement = compile_query(domain, "找餐馆", filters, beijing.schema())
    assert "故宫" not in statement.text
    rows = beijing.read(statement.text, statement.parameters)
    assert len(rows) == 5
    near = beijing.read("MATCH (:`景点` {`名称`: $name})-[:`周边餐馆`]->(r) RETURN r.`名称` AS name", {"name": "故宫"})
    assert {row["key"] for row in rows} <= {row["name"] for row in near}


@pytest.mark.shared_data
def test_an_agent_of_the_second_domain_answers_from_its_graph(beijing: Graph, tmp_path: Path) -> None:
    domain = Domain.load(EXAMPLE / "crosswoz.yaml")
    with DialogueAgent(domain, beijing, folder=tmp_path, settings=AgentSettings(draws=False)) as agent:
        found = agent.reply("guest", "故宫附近有什么好吃的")
        assert found.understanding.intent == "找餐馆"
        assert found.rows
        assert str(found.rows[0]["key"]) in found.text
        phone = agent.reply("guest", "第一家的电话多少")
        (row,) = beijing.read(
            "MATCH (r:`餐馆` {`名称`: $name}) RETURN r.`电话` AS phone", {"name": found.rows[0]["key"]}
        )
        assert row["phone"] in phone.text
