"""Filters of a query: a fixed table from operator to condition; there is no other way into a WHERE.

Stands inside *Cypher* on the turn's path. Each function takes the clauses so far, the filter and the value, and adds
patterns, conditions and parameters. A value that the operator cannot take is our own mistake and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagoda.dialogue.cypher import names
from pagoda.dialogue.domain.model import Filter, Label, Step
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.kinds import Band, NodeValue, Range, Value, When, stored_key
from pagoda.graph.schema import GraphSchema

ROOT, DISTANCE = "n", "distance"


@dataclass
class Clauses:
    """A statement under way. label: of what is looked for; distance: what to sort by first, "" for nothing.

    spans: (path, property, comparison) of what lies within a range, so that a column there can tell what fits alone
    """

    label: str
    labels: Mapping[str, Label]
    schema: GraphSchema
    matches: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    distance: str = ""
    spans: list[tuple[tuple[Step, ...], str, str]] = field(default_factory=list)

    def bind(self, slot: str, value: str | float | bool | list[Any]) -> str:
        """A new parameter; its name is made of a number, so that no slot's name reaches the text."""
        name = (
            f"p{len(self.parameters)}_{slot}" if slot.isidentifier() and slot.isascii() else f"p{len(self.parameters)}"
        )
        self.parameters[name] = value
        return f"${name}"

    def matched(self) -> list[str]:
        """Lines that find what passes the filters."""
        label = names.label(self.label, self.schema)
        lines = [f"MATCH ({ROOT}:{label})", *(f"MATCH {pattern}" for pattern in self.matches)]
        return [*lines, f"WHERE {' AND '.join(self.conditions)}"] if self.conditions else lines

    def walk(self, chosen: Filter) -> tuple[str, str]:
        """Adds the filter's path. Returns (variable, label) of its last node."""
        if not chosen.path:
            return ROOT, self.label
        alias = f"f{len(self.matches)}"
        self.matches.append(names.path(ROOT, self.label, chosen.path, alias, self.schema))
        return f"{alias}_{len(chosen.path) - 1}", chosen.path[-1].label

    def property(self, chosen: Filter) -> str:
        """The compared property, its path added."""
        variable, label = self.walk(chosen)
        return f"{variable}.{names.property_of(label, chosen.property, self.schema)}"


def add_filter(clauses: Clauses, chosen: Filter, value: Value) -> None:
    """Adds what a filter asks for. Raises DomainError for a name that the graph lacks or a value of another kind."""
    if isinstance(value, tuple) and chosen.operator != "in":
        for each in value:
            add_filter(clauses, chosen, each)
        return
    _OPERATORS[chosen.operator](clauses, chosen, value)


def fits(chosen: Filter, value: Value, label: str) -> bool:
    """Whether a filter is meant for a value: nodes go to the filter whose path ends at their label."""
    first = value[0] if isinstance(value, tuple) else value
    end = chosen.path[-1].label if chosen.path else label
    return not isinstance(first, NodeValue) or first.label == end


def _equals(clauses: Clauses, chosen: Filter, value: Value) -> None:
    if isinstance(value, NodeValue):
        _node(clauses, chosen, value)
    else:
        compared = clauses.property(chosen)
        clauses.conditions.append(f"{compared} = {clauses.bind(chosen.slot, _scalar(chosen, value))}")


def _in(clauses: Clauses, chosen: Filter, value: Value) -> None:
    """One of several values; where the property itself is a list, each value is in it."""
    values = [_scalar(chosen, each) for each in (value if isinstance(value, tuple) else (value,))]
    variable, label = clauses.walk(chosen)
    compared = f"{variable}.{names.property_of(label, chosen.property, clauses.schema)}"
    if clauses.schema.labels[label][chosen.property] == "list":
        clauses.conditions += [f"{clauses.bind(chosen.slot, each)} IN {compared}" for each in values]
    else:
        clauses.conditions.append(f"{compared} IN {clauses.bind(chosen.slot, values)}")


def _contains(clauses: Clauses, chosen: Filter, value: Value) -> None:
    compared = clauses.property(chosen)
    clauses.conditions.append(f"{compared} CONTAINS {clauses.bind(chosen.slot, str(_scalar(chosen, value)))}")


def _range(clauses: Clauses, chosen: Filter, value: Value) -> None:
    """Both ends that there are; a moment of time opens a stretch, `within` minutes long where the filter says so."""
    low, high = _ends(chosen, value)
    compared = clauses.property(chosen)
    above = ">" if isinstance(value, Range) and value.is_above else ">="
    below = "<" if isinstance(value, Range) and value.is_below else "<="
    for sign, end in ((above, low), (below, high)):
        if end is not None:
            comparison = f"{sign} {clauses.bind(chosen.slot, end)}"
            clauses.conditions.append(f"{compared} {comparison}")
            clauses.spans.append((chosen.path, chosen.property, comparison))


def _ends(chosen: Filter, value: Value) -> tuple[Any, Any]:
    if isinstance(value, Band):
        if value.name not in chosen.bands:
            raise DomainError(f"the filter of {chosen.slot} does not say what {value.name!r} means")
        value = Range(*chosen.bands[value.name])
    if isinstance(value, When):
        return _times(chosen, value)
    low, high = (value.low, value.high) if isinstance(value, Range) else (_scalar(chosen, value),) * 2
    return (None if chosen.operator == "<=" else low), (None if chosen.operator == ">=" else high)


def _times(chosen: Filter, value: When) -> tuple[str | None, str | None]:
    """Clock times compare as strings within one day; a stretch past midnight ends with the day."""
    if not chosen.clock:
        return value.start, value.end or None
    crosses = value.end[:10] > value.start[:10]
    return value.start[11:16], ("23:59" if crosses else value.end[11:16]) or None


def _node(clauses: Clauses, chosen: Filter, value: Value) -> str:
    if not isinstance(value, NodeValue):
        raise DomainError(f"slot {chosen.slot} holds {value!r:.60}, where its filter expects a node of the graph")
    variable, label = clauses.walk(chosen)
    key = names.property_of(label, clauses.labels[label].key, clauses.schema)
    clauses.conditions.append(f"{variable}.{key} = {clauses.bind(chosen.slot, stored_key(value.key))}")
    return variable


def _near(clauses: Clauses, chosen: Filter, value: Value) -> None:
    """Joined to the node; the nearest come first, and `within` is the farthest."""
    variable = _node(clauses, chosen, value)
    last = chosen.path[-1]
    relation = f"{variable.rsplit('_', 1)[0]}_r{len(chosen.path) - 1}"
    distance = f"{relation}.{names.relation_property(last.relation, chosen.distance, clauses.schema)}"
    clauses.distance = distance
    if chosen.within is not None:
        clauses.conditions.append(f"{distance} <= {clauses.bind(chosen.slot, chosen.within)}")


def _has(clauses: Clauses, chosen: Filter, value: Value) -> None:
    """Joined to one certain node, or not, as a yes or a no asks."""
    if not isinstance(value, bool):
        raise DomainError(f"slot {chosen.slot} holds {value!r:.60}, where its filter expects yes or no")
    label = chosen.path[-1].label
    key = names.property_of(label, chosen.property, clauses.schema)
    bound = clauses.bind(chosen.slot, chosen.node)
    if value:
        variable, _ = clauses.walk(chosen)
        clauses.conditions.append(f"{variable}.{key} = {bound}")
        return
    pattern = names.path(ROOT, clauses.label, chosen.path, "e", clauses.schema)
    clauses.conditions.append(f"NOT EXISTS {{ MATCH {pattern} WHERE e_{len(chosen.path) - 1}.{key} = {bound} }}")


def _scalar(chosen: Filter, value: Value) -> Any:
    if isinstance(value, NodeValue):
        return stored_key(value.key)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, When):
        return value.start[11:16] if chosen.clock else value.start
    raise DomainError(f"slot {chosen.slot} holds {value!r:.60}, which operator {chosen.operator} cannot compare")


_OPERATORS: Mapping[str, Callable[[Clauses, Filter, Value], object]] = {
    "=": _equals,
    "in": _in,
    "contains": _contains,
    "<=": _range,
    ">=": _range,
    "range": _range,
    "node": _node,
    "near": _near,
    "has": _has,
}
OPERATORS: Sequence[str] = tuple(_OPERATORS)
