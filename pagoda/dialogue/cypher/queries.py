"""Intents and values become Cypher: a few reviewed shapes, names from the domain that the graph confirms, parameters.

Sixth station of a turn: sentence -> understanding -> events -> state -> policy -> *Cypher* -> rows -> reply. Nothing a
person, a document or a language model says ever stands in a statement's text: names come out of the domain file, are
checked against the live schema and refused where they are odd, values are `$parameters`, the limit is a checked
integer. Every statement has DISTINCT and LIMIT and returns named scalars (or short lists of them), never nodes.

Columns of every row: key, name_zh, name_en (as far as the label has names), the query's columns (with _zh and _en where
the property goes by language), and distance where something near was looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagoda.dialogue.cypher import names
from pagoda.dialogue.cypher.filters import DISTANCE, ROOT, Clauses, add_wish
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import MOST_ROWS, Column, GraphQuery, Label, Order
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.kinds import Except, NodeKey, NodeValue, Value, key_of, name_text, stored_key
from pagoda.errors import InvalidParameterError
from pagoda.graph.schema import GraphSchema
from pagoda.graph.statement import KEY, NAME, Statement, named_statement

MAX_LIMIT = MOST_ROWS
# Names are read at a start, by nobody who waits for a reply.
NAMES_AT_ONCE = 10_000


@dataclass(frozen=True)
class Relaxed:
    """Filters with some given up. slots: those that were; given: what of them was."""

    filters: Mapping[str, Value]
    slots: tuple[str, ...]
    given: Mapping[str, Value] = field(default_factory=dict)


def compile_query(
    domain: Domain,
    intent: str,
    filters: Mapping[str, Value],
    schema: GraphSchema,
    limit: int | None = None,
    order: Order | None = None,
    columns: Sequence[str] = (),
) -> Statement:
    """What fits the filters, best first. limit: rows at most, None for the domain's; order: what comes first of all.

    columns: names of some that are not told in lists, to be told this time

    Raises DomainError where the graph lacks what the domain names or a value does not suit its slot's filter.
    """
    query = _query(domain, intent)
    clauses = _filtered(domain, query, filters, schema)
    shown = _Shown.of(domain.labels[query.label], listed(query, order, columns))
    size = _checked(query.limit if limit is None else limit)
    distance = f", min({clauses.distance}) AS {DISTANCE}" if clauses.distance else ""
    first = f"{ROOT}.{names.quoted(domain.labels[query.label].key)}"
    sorting = _Sorting(query, order, bool(distance))
    by = sorting.written(first, with_aliases=False)
    head = [*clauses.matched(), f"WITH {'' if distance else 'DISTINCT '}{ROOT}{distance}", by, f"LIMIT {size}"]
    tail = shown.returned(clauses, with_distance=bool(distance))
    by = sorting.written(KEY, with_aliases=True)
    columns = (*shown.aliases, *([DISTANCE] if distance else []))
    return named_statement(intent, [*head, *tail, by, f"LIMIT {size}"], clauses.parameters, columns)


def listed(query: GraphQuery, order: Order | None = None, asked: Sequence[str] = ()) -> list[Column]:
    """The columns that are told of each result in a list: what it is sorted by is one of them, and what was asked."""
    named = {*asked, *([order.column] if order else [])}
    return [column for column in query.columns if column.in_list or column.name in named]


def compile_property(domain: Domain, intent: str, column: str, key: NodeKey, schema: GraphSchema) -> Statement:
    """One column of one result, for a question about it. Raises DomainError."""
    query = _query(domain, intent)
    wanted = query.column(column)
    if wanted is None:
        raise DomainError(f"intent {intent} has no column {column!r}")
    return _one(domain, intent, query, (wanted,), key, schema)


def compile_result(domain: Domain, intent: str, key: NodeKey, schema: GraphSchema) -> Statement:
    """All columns of one result. Raises DomainError."""
    query = _query(domain, intent)
    return _one(domain, intent, query, query.columns, key, schema)


def compile_choices(
    domain: Domain, intent: str, slot: str, filters: Mapping[str, Value], schema: GraphSchema, limit: int = 5
) -> Statement | None:
    """Nodes that would fill a slot and leave something to be found; None for a slot that is not filled by nodes.

    Rows are as of `compile_names`, those with the most results first. filters: what is known already
    """
    found = domain.intents[intent]
    if found.booking is not None and found.booking.target == slot:
        return _named(domain, found.booking.target_label, schema, limit)
    if found.query is None:
        return None
    chosen = next(
        (each for each in found.query.filters if each.slot == slot and each.operator in ("node", "near")), None
    )
    if chosen is None:
        named = domain.slots[slot].labels
        return _named(domain, named[0], schema, limit) if named else None
    known = {name: value for name, value in filters.items() if name != slot}
    clauses = _filtered(domain, found.query, known, schema)
    variable, label = clauses.walk(chosen)
    shown = _Shown.of(domain.labels[label], ())
    size = _checked(limit)
    lines = [*clauses.matched(), f"WITH {variable} AS c, count(DISTINCT {ROOT}) AS num"]
    lines += [
        f"RETURN DISTINCT {', '.join(shown.plain(clauses, 'c'))}, num",
        f"ORDER BY num DESC, {KEY}",
        f"LIMIT {size}",
    ]
    return named_statement(f"{intent}.choices", lines, clauses.parameters, (*shown.aliases, "num"))


def compile_names(domain: Domain, label: str, schema: GraphSchema, passed: int = 0, limit: int = 0) -> Statement:
    """Keys, names and aliases of a label's nodes in the order of their keys, from behind the first `passed` ones.

    limit: 0 for NAMES_AT_ONCE. Keys of different types have no order that a condition could go by; a number has.
    """
    return _named(domain, label, schema, limit or NAMES_AT_ONCE, passed, most=NAMES_AT_ONCE)


def relaxations(domain: Domain, intent: str, filters: Mapping[str, Value]) -> list[Relaxed]:
    """What to try, in order, when nothing is found: each slot of the query's `relax` alone, then ever more of them.

    Of several values that are to hold together one is given up before all of them.
    """
    order = [slot for slot in _query(domain, intent).relax if slot in filters]
    tried = [_without(filters, (slot,)) for slot in order]
    parts = [each for slot in order for each in _less_by_one(filters, slot)]
    return [*parts, *tried, *(_without(filters, tuple(order[: size + 1])) for size in range(1, len(order)))]


def _without(filters: Mapping[str, Value], slots: tuple[str, ...]) -> Relaxed:
    kept = {slot: value for slot, value in filters.items() if slot not in slots}
    return Relaxed(kept, slots, {slot: filters[slot] for slot in slots})


def _less_by_one(filters: Mapping[str, Value], slot: str) -> list[Relaxed]:
    """A slot's values without one of them, the last one first; what is excluded is one of them."""
    value = filters[slot]
    wanted, out = (value.kept, value.values) if isinstance(value, Except) else (value, ())
    parts = wanted if isinstance(wanted, tuple) else () if wanted is None else (wanted,)
    if len(parts) + bool(out) < 2:
        return []
    left = [(_held(parts[:row] + parts[row + 1 :], out), parts[row]) for row in reversed(range(len(parts)))]
    if out:
        left.append((_held(parts, ()), Except(out)))
    return [Relaxed({**filters, slot: kept}, (slot,), {slot: given}) for kept, given in left]


def _held(parts: tuple[Value, ...], out: tuple[Value, ...]) -> Value:
    """Values that are to hold together and values that are excluded, as a slot holds them."""
    wanted = parts if len(parts) > 1 else next(iter(parts), None)
    if out:
        return Except(out, wanted)
    assert wanted is not None, "nothing is left of a slot that holds one value"
    return wanted


def node_of(row: Mapping[str, Any], label: str) -> NodeValue:
    """The node that a row of any read statement is about."""
    return NodeValue(label, key_of(row[KEY]), name_text(row.get(f"{NAME}_zh")), name_text(row.get(f"{NAME}_en")))


def _query(domain: Domain, intent: str) -> GraphQuery:
    query = domain.intents[intent].query
    if query is None:
        raise DomainError(f"intent {intent} has no query")
    return query


def _filtered(domain: Domain, query: GraphQuery, filters: Mapping[str, Value], schema: GraphSchema) -> Clauses:
    clauses = Clauses(query.label, domain.labels, schema)
    for slot, value in filters.items():
        add_wish(clauses, slot, [each for each in query.filters if each.slot == slot], value)
    return clauses


@dataclass(frozen=True)
class _Sorting:
    """What rows are sorted by. asked: what a person wants first, None for the order of the domain."""

    query: GraphQuery
    asked: Order | None
    has_distance: bool

    def written(self, last: str, *, with_aliases: bool) -> str:
        """What was asked for, the nearest, what the domain says, then `last`, so that the same rows come every time."""
        keys = self._keys(self.asked, with_aliases=with_aliases) if self.asked is not None else []
        keys += [DISTANCE] if self.has_distance else []
        for order in self.query.order:
            if self.asked is None or order.column != self.asked.column:
                keys += self._keys(order, with_aliases=with_aliases)
        return "ORDER BY " + ", ".join([*keys, last])

    def _keys(self, order: Order, *, with_aliases: bool) -> list[str]:
        column = self.query.column(order.column)
        if column is None or not column.can_sort():
            raise DomainError(f"the query for {self.query.label} cannot be sorted by {order.column}")
        held = names.quoted(column.name) if with_aliases else f"{ROOT}.{names.quoted(column.property[''])}"
        # Both Neo4j and ArcadeDB put null first when descending.
        return [f"{held} IS NULL", f"{held}{' DESC' if order.descending else ''}"]


@dataclass(frozen=True)
class _Shown:
    """The columns of a statement, and what they are called."""

    label: Label
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, label: Label, columns: Sequence[Column]) -> _Shown:
        return cls(label, tuple(columns))

    @property
    def aliases(self) -> tuple[str, ...]:
        named = [f"{NAME}_{language or 'zh'}" for language in self.label.names]
        return (KEY, *named, *(alias for column in self.columns for alias, _ in _aliases(column)))

    def plain(self, clauses: Clauses, variable: str) -> list[str]:
        """Key and names of the node."""
        held = [
            (KEY, self.label.key),
            *((f"{NAME}_{language or 'zh'}", name) for language, name in self.label.names.items()),
        ]
        return [
            f"{variable}.{names.property_of(self.label.name, name, clauses.schema)} AS {alias}" for alias, name in held
        ]

    def returned(self, clauses: Clauses, *, with_distance: bool) -> list[str]:
        """Lines from behind the filters to RETURN: columns at the end of a path are gathered one after the other."""
        lines: list[str] = []
        kept = [ROOT, *([DISTANCE] if with_distance else [])]
        out = self.plain(clauses, ROOT)
        for number, column in enumerate(self.columns):
            if column.path:
                lines += self._gathered(clauses, column, f"c{number}", kept)
                kept += [alias for alias, _ in _quoted_aliases(column)]
            out += self._given(clauses, column)
        return [*lines, f"RETURN DISTINCT {', '.join([*out, *([DISTANCE] if with_distance else [])])}"]

    def _gathered(self, clauses: Clauses, column: Column, alias: str, kept: Sequence[str]) -> list[str]:
        """Lines that add a column at the end of a path; sorted, so that the same values come every time.

        Where a filter looks at the same values, only those that fit are told: of tonight's films, tonight's showings.
        """
        pattern = names.path(ROOT, self.label.name, column.path, alias, clauses.schema)
        row = len(column.path) - 1
        node, last = f"{alias}_{row}", f"{alias}_r{row}" if column.of == "relation" else f"{alias}_{row}"
        size = _checked(column.limit if column.many else 1)
        gathered = []
        for given, name in _quoted_aliases(column):
            values = f"collect(DISTINCT {last}.{_owned(column, name, clauses.schema)})"
            gathered.append(f"{values}[0..{size}] AS {given}" if column.many else f"head({values}) AS {given}")
        first = names.quoted(next(iter(column.property.values())))
        ordered = f"WITH {', '.join([*kept, last])} ORDER BY {last}.{first}"
        fitting = self._fitting(clauses, column, node)
        where = f" WHERE {' AND '.join(fitting)}" if fitting else ""
        return [f"OPTIONAL MATCH {pattern}{where}", ordered, f"WITH {', '.join([*kept, *gathered])}"]

    def _fitting(self, clauses: Clauses, column: Column, node: str) -> list[str]:
        """What filters say of the end of the column's path: of a relation's column which node it leads to."""
        owner = column.path[-1].label
        if column.of == "relation":
            key = names.property_of(owner, clauses.labels[owner].key, clauses.schema)
            return [f"{node}.{key} {comparison}" for path, comparison in clauses.ends if path == column.path]
        return [
            span.condition(f"{node}.{names.property_of(owner, span.property, clauses.schema)}")
            for span in clauses.spans
            if span.path == column.path and span.property in column.property.values()
        ]

    def _given(self, clauses: Clauses, column: Column) -> list[str]:
        if column.path:
            return [alias for alias, _ in _quoted_aliases(column)]
        label = self.label.name
        return [
            f"{ROOT}.{names.property_of(label, name, clauses.schema)} AS {alias}"
            for alias, name in _quoted_aliases(column)
        ]


def _owned(column: Column, name: str, schema: GraphSchema) -> str:
    """A property of what the column's path ends at, or ends with."""
    last = column.path[-1]
    if column.of == "relation":
        return names.relation_property(last.relation, name, schema)
    return names.property_of(last.label, name, schema)


def _aliases(column: Column) -> list[tuple[str, str]]:
    """(alias, property) of a column: one, or one for each language."""
    return [
        (f"{column.name}_{language}" if language else column.name, name) for language, name in column.property.items()
    ]


def _quoted_aliases(column: Column) -> list[tuple[str, str]]:
    return [(names.quoted(alias), name) for alias, name in _aliases(column)]


def _one(
    domain: Domain, intent: str, query: GraphQuery, columns: tuple[Column, ...], key: NodeKey, schema: GraphSchema
) -> Statement:
    label = domain.labels[query.label]
    clauses = Clauses(query.label, domain.labels, schema)
    clauses.conditions.append(
        f"{ROOT}.{names.property_of(label.name, label.key, schema)} = {clauses.bind('', stored_key(key))}"
    )
    shown = _Shown.of(label, columns)
    lines = [*clauses.matched(), *shown.returned(clauses, with_distance=False), "LIMIT 1"]
    return named_statement(f"{intent}.one", lines, clauses.parameters, shown.aliases)


def _named(
    domain: Domain, name: str, schema: GraphSchema, limit: int, passed: int = 0, *, most: int = MAX_LIMIT
) -> Statement:
    label = domain.labels[name]
    clauses = Clauses(name, domain.labels, schema)
    shown = _Shown.of(label, ())
    out, columns = shown.plain(clauses, ROOT), shown.aliases
    if label.aliases:
        out.append(f"{ROOT}.{names.property_of(name, label.aliases, schema)} AS aliases")
        columns = (*columns, "aliases")
    skipped = [f"SKIP {clauses.bind('passed', passed)}"] if passed else []
    lines = [*clauses.matched(), f"RETURN DISTINCT {', '.join(out)}", f"ORDER BY {KEY}", *skipped]
    lines.append(f"LIMIT {_checked(limit, most)}")
    return named_statement(f"names.{name}", lines, clauses.parameters, columns)


def _checked(limit: int, most: int = MAX_LIMIT) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        raise InvalidParameterError(f"limit is {limit!r}, expected an integer from 1 to {most}", param="limit")
    return limit
