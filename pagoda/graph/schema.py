"""What a graph holds: labels, properties with their types, and which relations join what.

Stands before a statement's path: whoever writes Cypher takes no name that is not in it. Read from the live data, with
statements that both Neo4j and ArcadeDB understand, since their schema procedures differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pagoda.errors import InvalidParameterError

# Marks what has been loaded (`loading`); no business of those who ask.
LOAD_LABEL = "PagodaLoad"
_NAMES = "CALL db.labels() YIELD label RETURN label ORDER BY label"
_PROPERTIES = (
    "MATCH (n:{label}) UNWIND keys(n) AS key WITH key, n[key] AS value "
    "RETURN key, head(collect(value)) AS value ORDER BY key"
)
_RELATIONS = (
    "MATCH (a)-[r]->(b) RETURN DISTINCT labels(a) AS sources, type(r) AS type, labels(b) AS targets, keys(r) AS keys"
)
_RELATION_PROPERTIES = (
    "MATCH ()-[r:{type}]->() UNWIND keys(r) AS key WITH key, r[key] AS value "
    "RETURN key, head(collect(value)) AS value ORDER BY key"
)
# bool before int: it is one.
_TYPES = ((bool, "boolean"), (int, "integer"), (float, "float"), (str, "string"), (list, "list"))


@dataclass(frozen=True)
class GraphSchema:
    """Types are "string", "integer", "float", "boolean", "list" or "other".

    labels: {label: {property: type}}; a label without nodes has no properties that can be seen
    relations: {(label it leaves, type, label it enters)}
    relation_properties: {relation type: {property: type}}
    """

    labels: Mapping[str, Mapping[str, str]]
    relations: frozenset[tuple[str, str, str]]
    relation_properties: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_schema(read: Callable[..., list[dict[str, Any]]]) -> GraphSchema:
    """The schema of the graph that `read(text, statement_id=...)` asks. Raises what `read` does."""
    found = [row["label"] for row in read(_NAMES, statement_id="schema.labels")]
    labels = {
        label: _typed(read(_PROPERTIES.format(label=quoted(label)), statement_id="schema.properties"))
        for label in found
        if label != LOAD_LABEL
    }
    rows = read(_RELATIONS, statement_id="schema.relations")
    relations = frozenset((a, row["type"], b) for row in rows for a in row["sources"] for b in row["targets"])
    with_properties = sorted({row["type"] for row in rows if row["keys"]})
    return GraphSchema(
        labels,
        relations,
        {
            kind: _typed(read(_RELATION_PROPERTIES.format(type=quoted(kind)), statement_id="schema.properties"))
            for kind in with_properties
        },
    )


def quoted(name: str) -> str:
    """A label, type or property between back-ticks. Raises InvalidParameterError for one that could end them.

    >>> quoted("IN_DISTRICT")
    '`IN_DISTRICT`'
    """
    if not name or not name.isprintable() or "`" in name or "\\" in name:
        raise InvalidParameterError(
            f"{name!r} cannot name a label, relation or property: use letters, digits, spaces and underscores"
        )
    return f"`{name}`"


def _typed(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["key"]: _type_name(row["value"]) for row in rows}


def _type_name(value: object) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "other")
