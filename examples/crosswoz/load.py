"""Puts the three databases of CrossWOZ into a graph: sights, restaurants and hotels of Beijing, with Chinese labels.

    python examples/crosswoz/load.py FOLDER --into beijing-graph

FOLDER holds crosswoz_db_attraction.jsonl, crosswoz_db_hotel.jsonl and crosswoz_db_restaurant.jsonl, one record a line,
as `database/` of thu-coai/CrossWOZ (Apache-2.0) has them. Stands before a turn's path: databases -> *graph* -> the
Cypher that `crosswoz.yaml`, beside this file, declares.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pagoda.graph.errors import GraphLoadError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import GraphData, NodeTable, RelationTable, load

Record = Mapping[str, Any]
FILES = {
    "景点": "crosswoz_db_attraction.jsonl",
    "酒店": "crosswoz_db_hotel.jsonl",
    "餐馆": "crosswoz_db_restaurant.jsonl",
}
NEAR = {"周边景点": "景点", "周边餐馆": "餐馆", "周边酒店": "酒店"}
"""List of names -> label that they belong to."""
PARTS = {"推荐菜": ("餐馆", "菜品"), "酒店设施": ("酒店", "设施")}
"""List -> label that has it, label of what it lists; the list's name is the relation's."""
NAME, ALIASES = "名称", "别名"
OTHER_WORDS = {
    "经济型": ["经济"], "舒适型": ["舒适"], "高档型": ["高档"], "豪华型": ["豪华"],
    "24小时热水": ["24小时供热水", "24小时供应热水", "全天热水"], "中式餐厅": ["中餐厅"], "西式餐厅": ["西餐厅"],
    "国际长途电话": ["国际长途"], "看护小孩服务": ["看护小孩"], "早餐服务免费": ["免费早餐"], "早餐服务": ["早餐"],
    "公共区域和部分房间提供wifi": ["公共区域提供wifi"], "接机服务": ["接机"], "接站服务": ["接站"],
    "洗衣服务": ["洗衣"], "行李寄存": ["寄存行李"], "叫醒服务": ["叫醒"], "健身房": ["健身"], "吹风机": ["电吹风"],
}  # fmt: skip
"""Further words for kinds of hotels and for facilities."""
# "灯市口地铁站A口": the station is what a person asks for.
_STATION_END = "地铁站"


def read_records(folder: str | Path) -> dict[str, list[Record]]:
    """{label: records} of the three files. Raises GraphLoadError for a file that is missing or no JSON lines."""
    return {label: _read(Path(folder) / name) for label, name in FILES.items()}


def graph_data(records: Mapping[str, Iterable[Record]]) -> GraphData:
    """Nodes and relations. A name that only a list of neighbours knows becomes no node: nothing could be told of it."""
    named = {label: _unique(rows) for label, rows in records.items()}
    nodes = [NodeTable(label, [_properties(row) for row in rows.values()], key=NAME) for label, rows in named.items()]
    relations = [
        RelationTable(slot, label, target, list(_near(rows.values(), slot, named[target])))
        for label, rows in named.items()
        for slot, target in NEAR.items()
    ]
    for slot, (label, part) in PARTS.items():
        pairs = sorted({(row[NAME], value) for row in named[label].values() for value in row.get(slot) or ()})
        nodes.append(_vocabulary(part, {value for _, value in pairs}))
        relations.append(RelationTable(slot, label, part, [(name, value, {}) for name, value in pairs]))
    kinds = {name: row["酒店类型"] for name, row in named["酒店"].items() if row.get("酒店类型")}
    nodes.append(_vocabulary("酒店类型", set(kinds.values())))
    relations.append(RelationTable("属于", "酒店", "酒店类型", [(name, kind, {}) for name, kind in kinds.items()]))
    hours = {name: row["游玩时间"] for name, row in named["景点"].items() if row.get("游玩时间")}
    nodes.append(_vocabulary("时长", set(hours.values())))
    relations.append(RelationTable("游玩", "景点", "时长", [(name, span, {}) for name, span in hours.items()]))
    return _with_stations(named, nodes, relations)


def _vocabulary(label: str, values: Iterable[str]) -> NodeTable:
    """Values that entities share, as nodes with what else people call them: a span of hours with other signs in it."""
    rows = [{NAME: value, ALIASES: [*OTHER_WORDS.get(value, []), *_spellings(value)]} for value in sorted(values)]
    return NodeTable(label, rows, key=NAME)


def _spellings(value: str) -> list[str]:
    """ "1小时 - 2小时" as people write it."""
    half = value.replace("0.5小时", "半小时")
    other = (
        [half, half.replace("半小时", "半个小时"), *(_spellings(half) if " - " in half else [])]
        if half != value
        else []
    )
    low, dash, high = value.partition(" - ")
    if not dash:
        return other
    number, unit = high.rstrip("小时天"), high.lstrip("0123456789.")
    short = [f"{low.removesuffix(unit)}{sign}{number}{unit}" for sign in ("-", "到", "至", "~")]
    return [*(f"{low}{sign}{high}" for sign in ("-", "到", "至", "~")), *(short if low.endswith(unit) else []), *other]


def _with_stations(
    named: Mapping[str, Mapping[str, Record]], nodes: list[NodeTable], relations: list[RelationTable]
) -> GraphData:
    """The metro stations, as nodes that entities are near."""
    stations: set[str] = set()
    for label, rows in named.items():
        pairs: list[tuple[str, str, dict[str, Any]]] = [
            (name, _station(row), {}) for name, row in rows.items() if _station(row)
        ]
        stations |= {station for _, station, _ in pairs}
        relations.append(RelationTable("邻近", label, "地铁站", pairs))
    nodes.append(NodeTable("地铁站", [{NAME: station} for station in sorted(stations)], key=NAME))
    return GraphData(nodes, [relation for relation in relations if relation.rows])


def _read(path: Path) -> list[Record]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise GraphLoadError(
            f"{path} cannot be read as JSON lines: name the folder of the CrossWOZ databases"
        ) from error


def _unique(rows: Iterable[Record]) -> dict[str, Record]:
    """By name; of two records of one name the first, as the dialogues know entities by name alone."""
    found: dict[str, Record] = {}
    for row in rows:
        found.setdefault(row[NAME], row)
    return found


def _properties(row: Record) -> dict[str, Any]:
    """Plain properties: lists are relations, numbers are floats so that 4 and 4.5 compare, and unknown is left out."""
    return {
        name: float(value) if isinstance(value, int | float) else value
        for name, value in row.items()
        if name not in ("领域", *NEAR, *PARTS) and isinstance(value, str | int | float) and value != ""
    }


def _near(
    rows: Iterable[Record], slot: str, targets: Mapping[str, Record]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for row in rows:
        for name in dict.fromkeys(row.get(slot) or ()):
            if name in targets:
                yield row[NAME], name, {}


def _station(row: Record) -> str:
    station, found, _ = str(row.get("地铁") or "").partition(_STATION_END)
    return station + _STATION_END if found and station else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--into", type=Path, default=Path("beijing-graph"), help="folder of the embedded graph")
    given = parser.parse_args()
    data = graph_data(read_records(given.folder))
    with Graph.embedded(given.into, timeout_s=30.0) as graph:
        counts = load(graph, data, lambda done, total: print(f"\r{done}/{total}", end="", flush=True))
    print(f"\n{counts.num_nodes} nodes, {counts.num_relations} relations in {given.into}")


if __name__ == "__main__":
    main()
