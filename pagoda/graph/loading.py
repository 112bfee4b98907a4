"""Puts a whole graph into the server: constraints first, then nodes, then relations, in batches, and counts them.

Stands before a statement's path: data -> *load* -> the graph that statements ask. MERGE by key makes every step one
that can be taken twice, so an interrupted load is simply run again; without the constraint, two writers that MERGE the
same node would make two. A mark in the graph remembers what was loaded, and a second load of the same data ends there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pagoda.graph.errors import GraphLoadError
from pagoda.graph.schema import LOAD_LABEL, quoted

if TYPE_CHECKING:
    from pagoda.graph.graph import Graph

BATCH_ROWS = 1000
# Making an index over what is there, or a batch on a slow disk, may take longer than a question may.
_BATCH_TIMEOUT_S = 60.0
_NODES = "UNWIND $rows AS row MERGE (n:{label} {{{key}: row.key}}) SET n += row.properties RETURN count(*) AS rows"
_RELATIONS = (
    "UNWIND $rows AS row "
    "MATCH (a:{source} {{{source_key}: row.source}}) MATCH (b:{target} {{{target_key}: row.target}}) "
    "MERGE (a)-[r:{type}]->(b) SET r += row.properties RETURN count(*) AS rows"
)


@dataclass(frozen=True)
class NodeTable:
    """Nodes of one label. rows: their properties; `key` is unique among them and never missing."""

    label: str
    rows: Sequence[Mapping[str, Any]]
    key: str = "id"


@dataclass(frozen=True)
class RelationTable:
    """Relations of one type between two labels. rows: (key of the source, key of the target, properties)"""

    type: str
    source: str
    target: str
    rows: Sequence[tuple[Any, Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class GraphData:
    """A whole graph. constraints: further labels that have no nodes yet, and their unique property."""

    nodes: Sequence[NodeTable]
    relations: Sequence[RelationTable] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str, constraints: Mapping[str, str] | None = None) -> GraphData:
        """The form of city.json (see SCHEMA.md beside it). Raises GraphLoadError for any other."""
        try:
            tables = json.loads(text)
            nodes = [NodeTable(label, rows) for label, rows in tables["nodes"].items()]
            relations = [
                RelationTable(
                    t["type"], t["from"], t["to"], [(r[0], r[1], r[2] if len(r) > 2 else {}) for r in t["rows"]]
                )
                for t in tables["relations"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise GraphLoadError(
                f"this is no graph in JSON ({type(error).__name__}): it needs nodes by label, and relations with type, "
                "from, to and rows"
            ) from error
        return cls(nodes, relations, dict(constraints or {}))

    def fingerprint(self) -> str:
        """Equal for equal data; 16 hexadecimal digits."""
        tables = [[t.label, t.key, list(t.rows)] for t in self.nodes]
        edges = [[t.type, t.source, t.target, list(t.rows)] for t in self.relations]
        whole = json.dumps([tables, edges, dict(self.constraints)], sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LoadCounts:
    """Rows that were put in; was_loaded: nothing was done, for all of it was there."""

    num_nodes: int
    num_relations: int
    was_loaded: bool = False


def load(graph: Graph, data: GraphData, on_progress: Callable[[int, int], None] | None = None) -> LoadCounts:
    """Put a whole graph in, or go on with a load that was interrupted; nothing happens where it is in already.

    on_progress(rows done, rows in all)

    Raises GraphLoadError and what `Graph.write` does.
    """
    _check(data)
    mark = data.fingerprint()
    if _is_marked(graph, mark):
        return replace(_counts(data), was_loaded=True)
    counts = _put_in(graph, data, on_progress)
    _check_counts(graph, data)
    _mark(graph, mark)
    graph.schema(refresh=True)
    return counts


def merge(graph: Graph, data: GraphData, on_progress: Callable[[int, int], None] | None = None) -> LoadCounts:
    """Put rows in beside what is there, without a mark: for a graph that grows, whose owner knows what is in it.

    on_progress(rows done, rows in all). Raises as `load` does.
    """
    _check(data)
    return _put_in(graph, data, on_progress)


def _put_in(graph: Graph, data: GraphData, on_progress: Callable[[int, int], None] | None) -> LoadCounts:
    _make_constraints(graph, data)
    counts = _counts(data)
    done, total = 0, counts.num_nodes + counts.num_relations
    for statement, name, rows in _batches(data):
        written = graph.write(statement, {"rows": rows}, timeout_s=_BATCH_TIMEOUT_S, statement_id=f"load.{name}")
        if written[0]["rows"] != len(rows):
            raise GraphLoadError(f"{written[0]['rows']} of {len(rows)} rows of {name} were taken: are both ends there?")
        done += len(rows)
        if on_progress is not None:
            on_progress(done, total)
    return counts


def _counts(data: GraphData) -> LoadCounts:
    return LoadCounts(sum(len(t.rows) for t in data.nodes), sum(len(t.rows) for t in data.relations))


def _check(data: GraphData) -> None:
    """Every key there and single, every end of a relation there: said before anything is written."""
    keys: dict[str, set[Any]] = {}
    for table in data.nodes:
        own = [row.get(table.key) for row in table.rows]
        if None in own or len(set(own)) != len(own) or not keys.keys().isdisjoint([table.label]):
            raise GraphLoadError(
                f"each node of {table.label} needs a {table.key} of its own, in one table of the label"
            )
        keys[table.label] = set(own)
    for relation in data.relations:
        for end, label in enumerate((relation.source, relation.target)):
            lost = next((row[end] for row in relation.rows if row[end] not in keys.get(label, ())), None)
            if lost is not None:
                raise GraphLoadError(f"a relation {relation.type} names {lost!r}, but no {label} has this key")


def _make_constraints(graph: Graph, data: GraphData) -> None:
    """One statement each: neither server makes a schema and writes data in one transaction."""
    unique = {table.label: table.key for table in data.nodes} | dict(data.constraints)
    for label, key in unique.items():
        _define(graph, f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{quoted(label)}) REQUIRE n.{quoted(key)} IS UNIQUE")


def _define(graph: Graph, statement: str) -> None:
    graph.write(statement, timeout_s=_BATCH_TIMEOUT_S, statement_id="load.schema")


def _batches(data: GraphData) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """(statement, what it loads, rows), nodes before the relations between them."""
    for table in data.nodes:
        text = _NODES.format(label=quoted(table.label), key=quoted(table.key))
        for batch in _cut(table.rows):
            yield text, table.label, [{"key": row[table.key], "properties": dict(row)} for row in batch]
    keys = {table.label: quoted(table.key) for table in data.nodes}
    for relation in data.relations:
        text = _RELATIONS.format(
            type=quoted(relation.type),
            source=quoted(relation.source),
            target=quoted(relation.target),
            source_key=keys[relation.source],
            target_key=keys[relation.target],
        )
        for batch in _cut(relation.rows):
            yield text, relation.type, [{"source": a, "target": b, "properties": dict(p)} for a, b, p in batch]


def _cut(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS))


def _check_counts(graph: Graph, data: GraphData) -> None:
    """At least as many as were loaded: the graph may hold others besides."""
    for table in data.nodes:
        found = graph.read(f"MATCH (n:{quoted(table.label)}) RETURN count(n) AS found", statement_id="load.count")
        _expect(found[0]["found"], len(table.rows), table.label)
    for relation in data.relations:
        pattern = f"(:{quoted(relation.source)})-[r:{quoted(relation.type)}]->(:{quoted(relation.target)})"
        found = graph.read(f"MATCH {pattern} RETURN count(r) AS found", statement_id="load.count")
        _expect(found[0]["found"], len({(a, b) for a, b, _ in relation.rows}), relation.type)


def _expect(found: int, wanted: int, name: str) -> None:
    if found < wanted:
        raise GraphLoadError(f"{found} {name} are in the graph after {wanted} were loaded: load it again")


def _is_marked(graph: Graph, mark: str) -> bool:
    text = f"MATCH (n:{quoted(LOAD_LABEL)}) WHERE n.id = $mark RETURN count(n) AS found"
    return LOAD_LABEL in _labels(graph) and graph.read(text, {"mark": mark}, statement_id="load.mark")[0]["found"] > 0


def _labels(graph: Graph) -> set[str]:
    rows = graph.read("CALL db.labels() YIELD label RETURN label", statement_id="schema.labels")
    return {row["label"] for row in rows}


def _mark(graph: Graph, mark: str) -> None:
    _define(graph, f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{quoted(LOAD_LABEL)}) REQUIRE n.id IS UNIQUE")
    graph.write(f"MERGE (:{quoted(LOAD_LABEL)} {{id: $mark}})", {"mark": mark}, statement_id="load.mark")
