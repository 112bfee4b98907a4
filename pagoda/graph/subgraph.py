"""A piece of the graph around what was found, for drawing.

Stands after rows: rows -> keys -> *subgraph* -> whoever draws it. One reviewed statement for the nodes and one for the
edges; names go in as parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagoda.graph.schema import LOAD_LABEL

_NODES = (
    "MATCH (n) WHERE n.`id` IN $keys OR n.`name` IN $keys OR n.`name_en` IN $keys "
    "RETURN DISTINCT elementId(n) AS element, labels(n) AS labels, properties(n) AS properties LIMIT $limit"
)
_EDGES = (
    "MATCH (n)-[r]-(m) WHERE n.`id` IN $keys OR n.`name` IN $keys OR n.`name_en` IN $keys "
    "RETURN DISTINCT elementId(r) AS edge, type(r) AS type, properties(r) AS properties, "
    "elementId(startNode(r)) AS source, elementId(endNode(r)) AS target, "
    "elementId(m) AS element, labels(m) AS labels, properties(m) AS node_properties LIMIT $limit"
)
# Vectors are lists too, and nobody can see one in a drawing.
_LONGEST_LIST = 16


@dataclass(frozen=True)
class GraphNode:
    """id: the node's own `id`, or the server's where it has none."""

    id: str
    label: str
    name: str
    name_en: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphEdge:
    """source and target: ids of nodes of the same Subgraph."""

    source: str
    type: str
    target: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subgraph:
    """Nodes, those asked for first and in that order, and the edges between them."""

    nodes: tuple[GraphNode, ...] = ()
    edges: tuple[GraphEdge, ...] = ()


def read_subgraph(read: Callable[..., list[dict[str, Any]]], keys: Sequence[Any], limit: int) -> Subgraph:
    """The nodes with these ids or names and their neighbours, `limit` edges at most. Raises what `read` does."""
    if not keys:
        return Subgraph()
    parameters = {"keys": list(keys), "limit": limit}
    found = [row for row in read(_NODES, parameters, statement_id="subgraph.nodes") if LOAD_LABEL not in row["labels"]]
    found.sort(key=lambda row: _place(row["properties"], keys))
    nodes = {row["element"]: _node(row["element"], row["labels"], row["properties"]) for row in found}
    edges = []
    for row in read(_EDGES, parameters, statement_id="subgraph.edges"):
        nodes.setdefault(row["element"], _node(row["element"], row["labels"], row["node_properties"]))
        edges.append(row)
    return Subgraph(tuple(nodes.values()), _distinct(edges, nodes))


def _place(properties: Mapping[str, Any], keys: Sequence[Any]) -> int:
    """Where among the keys a node was asked for."""
    own = [properties.get(name) for name in ("id", "name", "name_en")]
    return min((keys.index(key) for key in own if key in keys), default=len(keys))


def _distinct(rows: list[dict[str, Any]], nodes: Mapping[str, GraphNode]) -> tuple[GraphEdge, ...]:
    """Each relation once, though both of its ends may have been asked for."""
    edges = {
        row["edge"]: GraphEdge(nodes[row["source"]].id, row["type"], nodes[row["target"]].id, row["properties"])
        for row in rows
        if row["source"] in nodes and row["target"] in nodes
    }
    return tuple(edges.values())


def _node(element: str, labels: Sequence[str], properties: Mapping[str, Any]) -> GraphNode:
    shown = {k: v for k, v in properties.items() if not (isinstance(v, list) and len(v) > _LONGEST_LIST)}
    name = str(properties.get("name") or properties.get("time") or properties.get("id") or element)
    return GraphNode(
        id=str(properties.get("id") or element),
        label=labels[0] if labels else "",
        name=name,
        name_en=str(properties.get("name_en") or name),
        properties=shown,
    )
