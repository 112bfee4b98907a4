"""A domain against the live graph: every label, property and relation that it names, all problems at once.

Stands before the turn's path: `assembly` asks once, when an agent starts. What a booking writes may be new
to the graph; everything that is read must be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pagoda.dialogue.cypher.names import arrow, quoted
from pagoda.dialogue.domain.consistency import Problem
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import NUMBER_TYPES, Booking, Column, Filter, GraphQuery, Hours, Label, Slot, Step
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.normalise import normalise
from pagoda.errors import nearest
from pagoda.graph.schema import LOAD_LABEL, GraphSchema

_NUMBERS = ("integer", "float")
# Whatever is said fills these, or the graph decides.
_FREE_TYPES = ("name", "person", "text")
# "Tonight at six" is no offer at midnight, but it is a good one.
_A_MORNING = datetime(2026, 1, 5, 9, 0)


def check(domain: Domain, schema: GraphSchema) -> None:
    """Holds every name of the domain against the live graph. Raises DomainError with a line for each problem."""
    domain.refuse([*_problems(domain, schema)])


def _problems(domain: Domain, schema: GraphSchema) -> Iterator[Problem]:
    """Everything that the graph does not confirm: labels first, then intents, in the order of the file."""
    written = {intent.booking.label for intent in domain.intents.values() if intent.booking}
    if not schema.labels.keys() - written:
        yield "labels", "are none of the graph's, which is empty: load data into it first, with `pagoda graph load`"
        return
    for slot in domain.slots.values():
        yield from _of_offers(slot)
    for label in domain.labels.values():
        yield from _of_label(label, schema, label.name in written)
    for intent in domain.intents.values():
        if intent.query is not None:
            yield from _of_query(intent.query, f"intents.{intent.name}.query", domain.slots, schema)
        if intent.booking is not None:
            yield from _of_booking(intent.booking, f"intents.{intent.name}.booking", schema)


def _of_offers(slot: Slot) -> Iterator[Problem]:
    """An answer that is proposed must be understood when it is taken up."""
    if slot.type in _FREE_TYPES:
        return
    for language, texts in slot.offers.items():
        for row, text in enumerate(texts):
            if normalise(slot, text, _A_MORNING) is None:
                told = f'is "{text}", which is not understood as a value of type {slot.type} within its limits'
                yield f"slots.{slot.name}.offers.{language}.{row}", told


def _of_label(label: Label, schema: GraphSchema, is_written: bool) -> Iterator[Problem]:
    place = f"labels.{label.name}"
    if label.name == LOAD_LABEL:
        yield place, "is a reserved name, by which loads are remembered: use another label"
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
        held = schema.labels[label.name].get(label.aliases, "list")
        if held not in ("list", "string"):
            yield f"{place}.aliases", f'is "{label.aliases}", a {held} in the graph; expected a list of texts, or one'


def _of_query(query: GraphQuery, place: str, slots: Mapping[str, Slot], schema: GraphSchema) -> Iterator[Problem]:
    for row, chosen in enumerate(query.filters):
        yield from _of_filter(chosen, slots[chosen.slot], f"{place}.filters.{row}", query.label, schema)
    for column in query.columns:
        yield from _of_column(column, f"{place}.columns.{column.name}", query.label, schema)


def _of_filter(chosen: Filter, slot: Slot, place: str, label: str, schema: GraphSchema) -> Iterator[Problem]:
    yield from _of_path(chosen.path, f"{place}.path", label, schema)
    end = chosen.path[-1].label if chosen.path else label
    if chosen.property:
        yield from _of_property(f"{place}.property", end, chosen.property, schema)
    held = schema.labels.get(end, {}).get(chosen.property, "")
    if held and not slot.labels and held not in (wanted := _comparable(chosen, slot)):
        told = f'is a {held} in the graph; operator {chosen.operator} compares slot "{slot.name}" of type {slot.type}'
        yield f"{place}.property", f"{told} with a {' or '.join(wanted)}"
    elif chosen.operator == "range" and chosen.bands and held == "string":
        yield f"{place}.property", "is a string in the graph, but the bands are numbers"
    if chosen.distance and chosen.path:
        yield from _of_distance(chosen, f"{place}.distance", schema)


def _comparable(chosen: Filter, slot: Slot) -> tuple[str, ...]:
    """The types of property that an operator can hold a slot's values against."""
    if chosen.operator == "contains":
        return ("string",)
    # A list is asked whether it has the value.
    several = ("list",) if chosen.operator == "in" else ()
    if slot.type in NUMBER_TYPES:
        return (*_NUMBERS, *several)
    return ("boolean",) if slot.type == "boolean" and chosen.operator != "has" else ("string", *several)


def _of_distance(chosen: Filter, place: str, schema: GraphSchema) -> Iterator[Problem]:
    relation = chosen.path[-1].relation
    known = schema.relation_properties.get(relation, {})
    if chosen.distance not in known:
        yield place, f'relations {relation} have no "{chosen.distance}": {nearest(chosen.distance, known)}'
    elif known[chosen.distance] not in _NUMBERS:
        told = f'is "{chosen.distance}", a {known[chosen.distance]} in the graph; a distance is a number'
        yield place, told


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
    for name in (*booking.properties, *filter(None, (booking.created, booking.cancelled))):
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
