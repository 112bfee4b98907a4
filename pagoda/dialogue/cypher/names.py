"""Names in a statement: only those that the domain gives and the live graph has, between back-ticks.

Stands inside *Cypher* on the turn's path. A name that could end its back-ticks is refused, not escaped: a domain file
that needs one is wrong. Complaints that this answers: labels pasted into Cypher (llama_index 22518, mcp-neo4j 285).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pagoda.dialogue.domain.model import Step
from pagoda.dialogue.errors import DomainError
from pagoda.errors import InvalidParameterError, nearest
from pagoda.graph import schema as graph_schema
from pagoda.graph.schema import GraphSchema

MAX_NAME = 100


def quoted(name: str) -> str:
    """A name between back-ticks. Raises DomainError for an odd one.

    >>> quoted("酒店设施-叫醒服务")
    '`酒店设施-叫醒服务`'
    """
    try:
        if len(name) > MAX_NAME or unicodedata.normalize("NFC", name) != name or name.strip() != name:
            raise InvalidParameterError(f"{name!r:.120} cannot name anything in the graph")
        return graph_schema.quoted(name)
    except InvalidParameterError as error:
        raise DomainError(f"{error}; it stands in the domain file") from error


def label(name: str, schema: GraphSchema) -> str:
    """A label that the graph has. Raises DomainError."""
    if name not in schema.labels:
        raise DomainError(f'the graph has no label "{name}": {nearest(name, schema.labels)}')
    return quoted(name)


def property_of(owner: str, name: str, schema: GraphSchema) -> str:
    """A property that nodes of the label have. Raises DomainError."""
    known = schema.labels.get(owner, {})
    if name not in known:
        raise DomainError(f'nodes {owner} of the graph have no property "{name}": {nearest(name, known)}')
    return quoted(name)


def relation_property(relation: str, name: str, schema: GraphSchema) -> str:
    """A property that relations of the type have. Raises DomainError."""
    known = schema.relation_properties.get(relation, {})
    if name not in known:
        raise DomainError(f'relations {relation} of the graph have no property "{name}": {nearest(name, known)}')
    return quoted(name)


def path(start: str, first: str, steps: Sequence[Step], alias: str, schema: GraphSchema) -> str:
    """A pattern from variable `start`, of label `first`; its nodes are alias_0, alias_1 ..., its relations alias_r0 ...

    Raises DomainError for a step that the graph does not have.
    """
    pattern, owner = f"({start})", first
    for number, step in enumerate(steps):
        ends = (owner, step.relation, step.label) if step.is_outward else (step.label, step.relation, owner)
        if ends not in schema.relations:
            raise DomainError(_no_relation(ends, schema))
        left, right = ("-", "->") if step.is_outward else ("<-", "-")
        relation = f"[{alias}_r{number}:{quoted(step.relation)}]"
        pattern += f"{left}{relation}{right}({alias}_{number}:{label(step.label, schema)})"
        owner = step.label
    return pattern


def _no_relation(ends: tuple[str, str, str], schema: GraphSchema) -> str:
    arrows = {arrow(*known): known for known in schema.relations}
    return f"the graph has no relation {arrow(*ends)}: {nearest(arrow(*ends), arrows)}"


def arrow(source: str, relation: str, target: str) -> str:
    """As people write it.

    >>> arrow("Film", "HAS_GENRE", "Genre")
    'Film -HAS_GENRE-> Genre'
    """
    return f"{source} -{relation}-> {target}"
