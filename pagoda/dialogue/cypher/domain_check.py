"""A domain against the live graph: every label, property and relation that it names, all problems at once.

Stands before the turn's path: `assembly` asks once, when an agent starts. What a booking writes may be new
to the graph; everything that is read must be there.
"""

from __future__ import annotations

from collections.abc import Iterator

from pagoda.dialogue.cypher.names import arrow, quoted
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Booking, Column, Filter, GraphQuery, Hours, Label, Step
from pagoda.dialogue.errors import DomainError
from pagoda.errors import nearest
from pagoda.graph.schema import GraphSchema

_NUMBERS = ("integer", "float")
Problem = tuple[str, str]
"""(dotted path of the entry, what is wrong with it)."""


def check(domain: Domain, schema: GraphSchema) -> None:
    """Holds every name of the domain against the live graph. Raises DomainError with a line for each problem."""
    found = list(_problems(domain, schema))
    if found:
        told = [f"{domain.file}:{domain.line(place)}: {place} {problem}" for place, problem in found]
        raise DomainError("\n".join(told))


def _problems(domain: Domain, schema: GraphSchema) -> Iterator[Problem]:
    """Everything that the graph does not confirm: labels first, then intents, in the order of the file."""
    written = {intent.booking.label for intent in domain.intents.values() if intent.booking}
    for label in domain.labels.values():
        yield from _of_label(label, schema, label.name in written)
    for intent in domain.intents.values():
        if intent.query is not None:
            yield from _of_query(intent.query, f"intents.{intent.name}.query", schema)
        if intent.booking is not None:
            yield from _of_booking(intent.booking, f"intents.{intent.name}.booking", schema)


def _of_label(label: Label, schema: GraphSchema, is_written: bool) -> Iterator[Problem]:
    place = f"labels.{label.name}"
    if is_written:
        yield from _odd(place, label.name)
        return
    if label.name not in schema.labels:
        yield place, f"is no label of the graph: {nearest(label.name, schema.labels)}"
        return
    yield from _of_property(f"{place}.key", label.name, label.key, schema)
    for name in label.names.values():
        yield from _of_property(f"{place}.names", label.name, name, schema)
    if label.aliases:
        yield from _of_property(f"{place}.aliases", label.name, label.aliases, schema)


def _of_query(query: GraphQuery, place: str, schema: GraphSchema) -> Iterator[Problem]:
    for row, chosen in enumerate(query.filters):
        yield from _of_filter(chosen, f"{place}.filters.{row}", query.label, schema)
    for column in query.columns:
        yield from _of_column(column, f"{place}.columns.{column.name}", query.label, schema)


def _of_filter(chosen: Filter, place: str, label: str, schema: GraphSchema) -> Iterator[Problem]:
    yield from _of_path(chosen.path, f"{place}.path", label, schema)
    end = chosen.path[-1].label if chosen.path else label
    if chosen.property:
        yield from _of_property(f"{place}.property", end, chosen.property, schema)
    held = schema.labels.get(end, {}).get(chosen.property, "")
    if chosen.operator in ("range", "<=", ">=") and held and held not in (*_NUMBERS, "string"):
        yield f"{place}.property", f"is a {held} in the graph; operator {chosen.operator} compares numbers or times"
    if chosen.operator == "range" and chosen.bands and held == "string":
        yield f"{place}.property", "is a string in the graph, but the bands are numbers"
    if chosen.distance and chosen.path:
        yield from _of_relation(f"{place}.distance", chosen.path[-1].relation, chosen.distance, schema)


def _of_column(column: Column, place: str, label: str, schema: GraphSchema) -> Iterator[Problem]:
    yield from _odd(place, column.name)
    yield from _of_path(column.path, f"{place}.path", label, schema)
    end = column.path[-1].label if column.path else label
    for name in column.property.values():
        if column.of == "relation":
            yield from _of_relation(f"{place}.property", column.path[-1].relation, name, schema)
        else:
            yield from _of_property(f"{place}.property", end, name, schema)


def _of_booking(booking: Booking, place: str, schema: GraphSchema) -> Iterator[Problem]:
    yield from _odd(f"{place}.key", booking.key)
    yield from _odd(f"{place}.relation", booking.relation)
    for name in (*booking.properties, *([booking.created] if booking.created else [])):
        yield from _odd(f"{place}.properties.{name}", name)
    if booking.hours is not None:
        yield from _of_hours(booking.hours, f"{place}.hours", booking.target_label, schema)


def _of_hours(hours: Hours, place: str, label: str, schema: GraphSchema) -> Iterator[Problem]:
    for end, name in (("opens", hours.opens), ("closes", hours.closes)):
        yield from _of_property(f"{place}.{end}", label, name, schema)
        held = schema.labels.get(label, {}).get(name, "string")
        if held != "string":
            yield f"{place}.{end}", f'is a {held} in the graph, expected a string such as "11:30"'


def _of_path(path: tuple[Step, ...], place: str, owner: str, schema: GraphSchema) -> Iterator[Problem]:
    for row, step in enumerate(path):
        ends = (owner, step.relation, step.label) if step.is_outward else (step.label, step.relation, owner)
        if ends not in schema.relations:
            known = [arrow(*each) for each in schema.relations]
            yield f"{place}.{row}", f'is "{arrow(*ends)}", which the graph lacks: {nearest(arrow(*ends), known)}'
            return
        owner = step.label


def _of_property(place: str, label: str, name: str, schema: GraphSchema) -> Iterator[Problem]:
    known = schema.labels.get(label, {})
    if name not in known:
        yield place, f'is "{name}", which nodes {label} of the graph lack: {nearest(name, known)}'
    else:
        yield from _odd(place, name)


def _of_relation(place: str, relation: str, name: str, schema: GraphSchema) -> Iterator[Problem]:
    known = schema.relation_properties.get(relation, {})
    if name not in known:
        yield place, f'relations {relation} have no "{name}": {nearest(name, known)}'


def _odd(place: str, name: str) -> Iterator[Problem]:
    try:
        quoted(name)
    except DomainError as error:
        yield place, str(error)
