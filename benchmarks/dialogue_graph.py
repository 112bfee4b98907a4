"""What the embedded graph costs: start, load, point query, the query of a turn, drawing, and coming back from a kill.

    python benchmarks/dialogue_graph.py [--rounds 500] [--output benchmarks/results/dialogue_graph.md]

Over the shipped city, and over a synthetic graph of 9,000 nodes and 30,000 relations of the size of CrossWOZ's. Each
query runs `rounds` times after a warm-up, from one thread, through the same Graph that a dialogue uses.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from machine import provenance

from pagoda.dialogue.domain.city import city
from pagoda.graph.graph import Graph
from pagoda.graph.loading import GraphData, NodeTable, RelationTable, load

NUM_NODES, NUM_RELATIONS, NUM_KINDS = 9000, 30_000, 12
POINT = "MATCH (r:Restaurant {id: $id}) RETURN r.name AS name LIMIT 1"
TURN = (
    "MATCH (r:Restaurant)-[:HAS_CUISINE]->(c:Cuisine {name: $cuisine}) "
    "MATCH (r)-[near:NEAR]->(l:Landmark {name: $place}) WHERE r.price <= $price "
    "RETURN DISTINCT r.name AS name, r.price AS price, near.distance_m AS distance_m ORDER BY distance_m LIMIT 5"
)
LARGE_POINT = "MATCH (p:Place {id: $id}) RETURN p.name AS name LIMIT 1"
LARGE_TURN = (
    "MATCH (p:Place)-[:OF_KIND]->(k:Kind {name: $kind}) MATCH (p)-[:NEAR]->(q:Place) WHERE p.price <= $price "
    "RETURN DISTINCT p.name AS name, p.price AS price ORDER BY price LIMIT 5"
)


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    what: str
    figure: str


def main() -> None:
    """Measure, print the table, and write it where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    where = provenance()
    with tempfile.TemporaryDirectory() as folder:
        lines = [*_of_the_city(Path(folder) / "city", options.rounds), *_of_a_large_graph(Path(folder), options.rounds)]
    table = "\n".join(["| | |", "|---|---|", *(f"| {line.what} | {line.figure} |" for line in lines), "", where, ""])
    print(table)
    if options.output is not None:
        options.output.write_text(table, encoding="utf-8")


def _of_the_city(folder: Path, rounds: int) -> list[Line]:
    first = _seconds(lambda: Graph.embedded(folder).close())
    began = time.perf_counter()
    with Graph.embedded(folder) as graph:
        lines = [Line("start in a new folder, and stop", first), Line("start again", _since(began))]
        lines.append(Line("load of the city: 720 nodes, 2,690 relations", _seconds(lambda: load(graph, city()))))
        lines.append(Line("load of what is there already", _seconds(lambda: load(graph, city()))))
        lines.append(Line("schema, read anew", _seconds(lambda: graph.schema(refresh=True))))
        asked = {"cuisine": "川菜", "place": "青岚科技", "price": 60}
        lines.append(Line("point query", _milliseconds(lambda n: graph.read(POINT, _restaurant(n)), rounds)))
        lines.append(Line("query of a turn, two hops", _milliseconds(lambda _: graph.read(TURN, asked), rounds)))
        lines.append(Line("subgraph of three", _milliseconds(lambda _: graph.subgraph(_three()), rounds // 5)))
        lines.append(Line("a booking", _milliseconds(lambda n: _book(graph, n), rounds // 5)))
        lines.append(Line("memory of the server", f"{_resident_mib(graph)} MiB"))
        assert graph.server_process_id
        os.kill(graph.server_process_id, signal.SIGKILL)
        lines.append(Line("first answer after kill -9 of the server", _seconds(lambda: graph.read("RETURN 1 AS one"))))
    return lines


def _of_a_large_graph(folder: Path, rounds: int) -> list[Line]:
    data = _synthetic(random.Random(0))
    size = f"{NUM_NODES:,} nodes, {NUM_RELATIONS:,} relations"
    with Graph.embedded(folder / "large") as graph:
        lines = [Line(f"load of {size}", _seconds(lambda: load(graph, data)))]
        point = _milliseconds(lambda n: graph.read(LARGE_POINT, {"id": f"place-{n % 8000}"}), rounds)
        lines.append(Line(f"point query over {size}", point))
        asked = {"kind": "kind 3", "price": 60}
        turn = _milliseconds(lambda _: graph.read(LARGE_TURN, asked), rounds // 5)
        lines.append(Line(f"query of a turn over {size}, some 700 candidates", turn))
        return lines


def _synthetic(chance: random.Random) -> GraphData:
    kinds = [{"id": f"kind-{n}", "name": f"kind {n}"} for n in range(NUM_KINDS)]
    places = [
        {"id": f"place-{n}", "name": f"地方{n}", "name_en": f"Place {n}", "price": chance.randint(10, 500)}
        for n in range(NUM_NODES - NUM_KINDS)
    ]
    ids = [place["id"] for place in places]
    of_kind = [(name, f"kind-{chance.randrange(NUM_KINDS)}", {}) for name in ids]
    near = {(chance.choice(ids), chance.choice(ids)) for _ in range(2 * NUM_RELATIONS)}
    pairs = [(a, b, {"distance_m": chance.randint(50, 2000)}) for a, b in sorted(near)[: NUM_RELATIONS - len(of_kind)]]
    return GraphData(
        [NodeTable("Kind", kinds), NodeTable("Place", places)],
        [RelationTable("OF_KIND", "Place", "Kind", of_kind), RelationTable("NEAR", "Place", "Place", pairs)],
    )


def _restaurant(number: int) -> dict[str, str]:
    return {"id": f"restaurant-{number % 126 + 1:03d}"}


def _three() -> list[str]:
    return ["restaurant-001", "restaurant-002", "restaurant-003"]


def _book(graph: Graph, number: int) -> None:
    graph.write(
        "MATCH (r:Restaurant {id: $id}) MERGE (b:Booking {id: $key}) SET b.people = 4 MERGE (b)-[:FOR]->(r)",
        {"id": "restaurant-001", "key": f"booking-{number}"},
    )


def _resident_mib(graph: Graph) -> int:
    pages = int(Path(f"/proc/{graph.server_process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 2**20


def _since(began: float) -> str:
    return f"{time.perf_counter() - began:.2f} s"


def _seconds(work: Callable[[], object]) -> str:
    began = time.perf_counter()
    work()
    return _since(began)


def _milliseconds(work: Callable[[int], object], rounds: int) -> str:
    """Median and 99th percentile, after a tenth of the rounds to warm up."""
    times = []
    for number in range(-rounds // 10, rounds):
        began = time.perf_counter()
        work(abs(number))
        if number >= 0:
            times.append(1e3 * (time.perf_counter() - began))
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


if __name__ == "__main__":
    main()
