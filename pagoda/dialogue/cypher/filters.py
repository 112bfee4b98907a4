"""Filters of a query: a fixed table from operator to condition; there is no other way into a WHERE.

Stands inside *Cypher* on the turn's path. Of a plain value a filter's operator makes a test of the node at the end of
its path; several values of which one will do are tests with OR between them, and what is excluded is a test with NOT
before it. A value that the operator cannot take is our own mistake and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagoda.dialogue.cypher import names
from pagoda.dialogue.domain.model import Filter, Label, Step
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.kinds import Band, Except, NodeValue, OneOf, Range, Value, When, stored_key
from pagoda.graph.schema import GraphSchema

ROOT, DISTANCE = "n", "distance"


@dataclass(frozen=True)
class Span:
    """What a property at the end of a path is to be. choices: comparisons that hold together; one of them will do."""

    path: tuple[Step, ...]
    property: str
    choices: tuple[tuple[str, ...], ...]

    def condition(self, compared: str) -> str:
        """Of the property, as it is written there."""
        return _any_of([" AND ".join(f"{compared} {each}" for each in held) for held in self.choices])


@dataclass
class Clauses:
    """A statement under way. label: of what is looked for; distance: what to sort by first, "" for nothing.

    spans: of what lies within a range, so that a column there can tell what fits alone
    ends: (path, comparison of the key) of nodes that were named, for columns of the relations that lead there
    """

    label: str
    labels: Mapping[str, Label]
    schema: GraphSchema
    matches: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    distance: str = ""
    spans: list[Span] = field(default_factory=list)
    ends: list[tuple[tuple[Step, ...], str]] = field(default_factory=list)
    num_branches: int = 0

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

    def branch(self, chosen: Filter, test: Callable[[str, str], str]) -> str:
        """A condition of its own for a filter: that some node at the end of its path, (variable, label), passes."""
        if not chosen.path:
            return test(ROOT, self.label)
        self.num_branches += 1
        alias = f"e{self.num_branches}" if self.num_branches > 1 else "e"
        pattern = names.path(ROOT, self.label, chosen.path, alias, self.schema)
        return f"EXISTS {{ MATCH {pattern} WHERE {test(f'{alias}_{len(chosen.path) - 1}', chosen.path[-1].label)} }}"


def add_wish(clauses: Clauses, slot: str, filters: Sequence[Filter], value: Value) -> None:
    """Adds what a slot holds: a value, all of several, one of several, none of several.

    filters: those of the slot, of which each value takes the one that is meant for it
    Raises DomainError for a name that the graph lacks, or a value that no filter takes or its operator cannot.
    """
    match value:
        case Except(values, kept):
            if kept is not None:
                add_wish(clauses, slot, filters, kept)
            pairs = _pairs(clauses, slot, filters, values)
            clauses.conditions += [_without(clauses, chosen, each) for chosen, each in pairs]
        case OneOf(values):
            _add_one_of(clauses, _pairs(clauses, slot, filters, values))
        case tuple() if not any(each.operator == "in" for each in filters):
            for each in value:
                add_wish(clauses, slot, filters, each)
        case _:
            (pair,) = _pairs(clauses, slot, filters, (value,))
            _add(clauses, *pair)


def _pairs(
    clauses: Clauses, slot: str, filters: Sequence[Filter], values: Iterable[Value]
) -> list[tuple[Filter, Value]]:
    found = []
    for value in values:
        chosen = next((each for each in filters if fits(each, value, clauses.label)), None)
        if chosen is None:
            raise DomainError(
                f"the query for {clauses.label} has no filter for slot {slot} with the value {value!r:.60}"
            )
        found.append((chosen, value))
    return found


def _add(clauses: Clauses, chosen: Filter, value: Value) -> None:
    if chosen.operator == "has":
        _has(clauses, chosen, value)
        return
    variable, label = clauses.walk(chosen)
    clauses.conditions.append(_test(clauses, chosen, value, variable, label))
    _note(clauses, chosen, variable)
    if chosen.operator == "near" and chosen.within is not None:
        clauses.conditions.append(f"{clauses.distance} <= {clauses.bind(chosen.slot, chosen.within)}")


def _add_one_of(clauses: Clauses, pairs: Sequence[tuple[Filter, Value]]) -> None:
    """One walk where all values take one filter; else a branch for each of them."""
    filters = {id(chosen): chosen for chosen, _ in pairs}
    if len(filters) == 1:
        chosen = pairs[0][0]
        variable, label = clauses.walk(chosen)
        num_spans = len(clauses.spans)
        clauses.conditions.append(_any_of([_test(clauses, chosen, value, variable, label) for _, value in pairs]))
        _join_spans(clauses, num_spans)
        _note(clauses, chosen, variable)
        return
    clauses.conditions.append(_any_of([_branch(clauses, chosen, value) for chosen, value in pairs]))


def _branch(clauses: Clauses, chosen: Filter, value: Value) -> str:
    """A condition of its own; what it looks at tells nothing about the columns."""
    num_spans, num_ends = len(clauses.spans), len(clauses.ends)
    condition = clauses.branch(chosen, lambda variable, label: _test(clauses, chosen, value, variable, label))
    del clauses.spans[num_spans:], clauses.ends[num_ends:]
    return condition


def _without(clauses: Clauses, chosen: Filter, value: Value) -> str:
    """Whatever does not pass. What the graph knows nothing of is no number, but it is none of the excluded words."""
    condition = f"NOT {_branch(clauses, chosen, value)}" if chosen.path else f"NOT ({_branch(clauses, chosen, value)})"
    if chosen.path or chosen.operator in ("range", "<=", ">="):
        return condition
    return f"({ROOT}.{names.property_of(clauses.label, chosen.property, clauses.schema)} IS NULL OR {condition})"


def _join_spans(clauses: Clauses, start: int) -> None:
    """The spans from here on are of one value each, and one of them will do."""
    spans = clauses.spans[start:]
    if len(spans) > 1:
        choices = tuple(held for span in spans for held in span.choices)
        clauses.spans[start:] = [Span(spans[0].path, spans[0].property, choices)]


def _any_of(conditions: Sequence[str]) -> str:
    if len(conditions) == 1:
        return conditions[0]
    return "(" + " OR ".join(f"({each})" if " AND " in each else each for each in conditions) + ")"


def _note(clauses: Clauses, chosen: Filter, variable: str) -> None:
    """What is near is sorted by its distance, the nearest first."""
    if chosen.operator == "near":
        last = chosen.path[-1]
        relation = f"{variable.rsplit('_', 1)[0]}_r{len(chosen.path) - 1}"
        clauses.distance = f"{relation}.{names.relation_property(last.relation, chosen.distance, clauses.schema)}"


def fits(chosen: Filter, value: Value, label: str) -> bool:
    """Whether a filter is meant for a value: nodes go to the filter whose path ends at their label."""
    first = value[0] if isinstance(value, tuple) else value
    end = chosen.path[-1].label if chosen.path else label
    return not isinstance(first, NodeValue) or first.label == end


def _test(clauses: Clauses, chosen: Filter, value: Value, variable: str, label: str) -> str:
    """What a plain value asks of the node at the end of the path."""
    return _TESTS[chosen.operator](clauses, chosen, value, variable, label)


def _equals(clauses: Clauses, chosen: Filter, value: Value, variable: str, label: str) -> str:
    if isinstance(value, NodeValue):
        return _node(clauses, chosen, value, variable, label)
    compared = _held(clauses, chosen, variable, label)
    return f"{compared} = {clauses.bind(chosen.slot, _scalar(chosen, value))}"


def _in(clauses: Clauses, chosen: Filter, value: Value, variable: str, label: str) -> str:
    """One of several values; where the property itself is a list, each value is in it."""
    values = [_scalar(chosen, each) for each in (value if isinstance(value, tuple) else (value,))]
    compared = _held(clauses, chosen, variable, label)
    if clauses.schema.labels[label][chosen.property] == "list":
        return " AND ".join(f"{clauses.bind(chosen.slot, each)} IN {compared}" for each in values)
    return f"{compared} IN {clauses.bind(chosen.slot, values)}"


def _contains(clauses: Clauses, chosen: Filter, value: Value, variable: str, label: str) -> str:
    compared = _held(clauses, chosen, variable, label)
    return f"{compared} CONTAINS {clauses.bind(chosen.slot, str(_scalar(chosen, value)))}"


def _range(clauses: Clauses, chosen: Filter, value: Value, variable: str, label: str) -> str:
    """Both ends that there are; a moment of time opens a stretch, `within` minutes long where the filter says so."""
    low, high = _ends(chosen, value)
    compared = _held(clauses, chosen, variable, label)
    above = ">" if isinstance(value, Range) and value.is_above else ">="
    below = "<" if isinstance(value, Range) and value.is_below else "<="
    ends = [(sign, end) for sign, end in ((above, low), (below, high)) if end is not None]
    comparisons = tuple(f"{sign} {clauses.bind(chosen.slot, end)}" for sign, end in ends)
    clauses.spans.append(Span(chosen.path, chosen.property, (comparisons,)))
    return " AND ".join(f"{compared} {each}" for each in comparisons)


def _held(clauses: Clauses, chosen: Filter, variable: str, label: str) -> str:
    return f"{variable}.{names.property_of(label, chosen.property, clauses.schema)}"


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


def _node(clauses: Clauses, chosen: Filter, value: Value, variable: str, label: str) -> str:
    if not isinstance(value, NodeValue):
        raise DomainError(f"slot {chosen.slot} holds {value!r:.60}, where its filter expects a node of the graph")
    comparison = f"= {clauses.bind(chosen.slot, stored_key(value.key))}"
    key = names.property_of(label, clauses.labels[label].key, clauses.schema)
    clauses.ends.append((chosen.path, comparison))
    return f"{variable}.{key} {comparison}"


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
    clauses.conditions.append(f"NOT {clauses.branch(chosen, lambda variable, _: f'{variable}.{key} = {bound}')}")


def _scalar(chosen: Filter, value: Value) -> Any:
    if isinstance(value, NodeValue):
        return stored_key(value.key)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, When):
        return value.start[11:16] if chosen.clock else value.start
    raise DomainError(f"slot {chosen.slot} holds {value!r:.60}, which operator {chosen.operator} cannot compare")


_TESTS: Mapping[str, Callable[[Clauses, Filter, Value, str, str], str]] = {
    "=": _equals,
    "in": _in,
    "contains": _contains,
    "<=": _range,
    ">=": _range,
    "range": _range,
    "node": _node,
    "near": _node,
}
OPERATORS: Sequence[str] = (*_TESTS, "has")
