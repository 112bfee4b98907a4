"""Bookings in Cypher: the statements that write, change and undo one, and what speaks for it or against it.

Sixth station of a turn: sentence -> understanding -> events -> state -> policy -> *Cypher* -> rows -> reply. The rules
are those of `cypher`: names from the domain, values as parameters. MERGE on an idempotency key makes a booking that is
sent twice one booking (Helland 2012, "Idempotence Is Not a Medical Condition").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pagoda.dialogue.cypher import names
from pagoda.dialogue.cypher.filters import ROOT, Clauses
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Booking
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.slots.kinds import NodeValue, Range, Value, When, stored_key
from pagoda.graph.schema import GraphSchema
from pagoda.graph.statement import KEY, Statement, named_statement


def compile_booking(
    domain: Domain, intent: str, values: Mapping[str, Value], key: str, created: str, schema: GraphSchema
) -> Statement:
    """Writes a booking once: a second run with the same key changes nothing and returns the same row.

    key: from `booking_key`; created: ISO 8601. No row comes back where the target node is gone. Raises DomainError.
    """
    booking, target = _booking(domain, intent), _target(domain, intent, values)
    source = domain.labels[booking.target_label]
    node_key = names.property_of(source.name, source.key, schema)
    settings, parameters = _settings(booking, values)
    parameters |= {"target": stored_key(target.key), "booking_key": key}
    if booking.created:
        parameters["created"] = created
        settings.append(f"b.{names.quoted(booking.created)} = $created")
    set_clause = f" ON CREATE SET {', '.join(settings)}" if settings else ""
    lines = [
        f"MATCH (t:{names.label(source.name, schema)}) WHERE t.{node_key} = $target",
        f"MERGE (b:{names.quoted(booking.label)} {{{names.quoted(booking.key)}: $booking_key}}){set_clause}",
        f"MERGE (b)-[:{names.quoted(booking.relation)}]->(t)",
        f"RETURN DISTINCT b.{names.quoted(booking.key)} AS {KEY} LIMIT 1",
    ]
    return named_statement(intent, lines, parameters, (KEY,), writes=True)


def compile_change(
    domain: Domain, intent: str, values: Mapping[str, Value], key: str, schema: GraphSchema
) -> Statement:
    """Writes other values into a booking and joins it to the node that they name, and to that one alone.

    No row comes back where the booking or the node is gone. Raises DomainError.
    """
    booking, target = _booking(domain, intent), _target(domain, intent, values)
    source = domain.labels[booking.target_label]
    node_key = names.property_of(source.name, source.key, schema)
    settings, parameters = _settings(booking, values)
    relation, own_key = names.quoted(booking.relation), names.quoted(booking.key)
    lines = [
        f"MATCH (t:{names.label(source.name, schema)}) WHERE t.{node_key} = $target",
        f"MATCH (b:{names.quoted(booking.label)})-[r:{relation}]->(o) WHERE b.{own_key} = $booking_key",
        *([f"SET {', '.join(settings)}"] if settings else []),
        "DELETE r",
        f"CREATE (b)-[:{relation}]->(t)",
        f"RETURN DISTINCT b.{names.quoted(booking.key)} AS {KEY} LIMIT 1",
    ]
    parameters |= {"target": stored_key(target.key), "booking_key": key}
    return named_statement(f"{intent}.change", lines, parameters, (KEY,), writes=True)


def compile_cancellation(domain: Domain, intent: str, key: str, at: str, schema: GraphSchema) -> Statement:
    """Undoes a booking: marks it with the time, where the domain says how, or takes its node out of the graph.

    No row comes back where it is gone. Raises DomainError.
    """
    booking = _booking(domain, intent)
    name = names.quoted(booking.key)
    lines = [f"MATCH (b:{names.quoted(booking.label)}) WHERE b.{name} = $booking_key"]
    parameters: dict[str, Any] = {"booking_key": key}
    if booking.cancelled:
        parameters["cancelled"] = at
        lines += [f"SET b.{names.quoted(booking.cancelled)} = $cancelled", f"RETURN DISTINCT b.{name} AS {KEY} LIMIT 1"]
    else:
        lines += [f"WITH b, b.{name} AS {KEY}", "DETACH DELETE b", f"RETURN DISTINCT {KEY} LIMIT 1"]
    return named_statement(f"{intent}.cancel", lines, parameters, (KEY,), writes=True)


def compile_held(domain: Domain, intent: str, key: str, schema: GraphSchema) -> Statement | None:
    """What stands under a key: columns key, target and v0, v1 ... of the domain's properties, a row for each target.

    None where the graph has no such node at all. Raises DomainError.
    """
    booking = _booking(domain, intent)
    known = schema.labels.get(booking.label)
    if known is None or booking.key not in known:
        return None
    source = domain.labels[booking.target_label]
    node_key = names.property_of(source.name, source.key, schema)
    held = [
        f"{f'b.{names.quoted(name)}' if name in known else 'null'} AS v{number}"
        for number, name in enumerate(booking.properties)
    ]
    match = f"MATCH (b:{names.quoted(booking.label)}) WHERE b.{names.quoted(booking.key)} = $booking_key"
    if any(relation == booking.relation for _, relation, _ in schema.relations):
        target = f"t.{node_key} AS target"
        joined = [f"OPTIONAL MATCH (b)-[:{names.quoted(booking.relation)}]->(t:{names.label(source.name, schema)})"]
    else:
        target, joined = "null AS target", []
    told = ", ".join([f"b.{names.quoted(booking.key)} AS {KEY}", target, *held])
    lines = [match, *joined, f"RETURN DISTINCT {told}", f"ORDER BY {KEY}", "LIMIT 2"]
    columns = (KEY, "target", *(f"v{number}" for number in range(len(held))))
    return named_statement(f"{intent}.held", lines, {"booking_key": key}, columns)


def is_same(domain: Domain, intent: str, values: Mapping[str, Value], held: Mapping[str, Any]) -> bool:
    """Whether a row of `compile_held` is the booking of these values; one that lost its node is not finished."""
    booking = _booking(domain, intent)
    if held["target"] not in (None, stored_key(_target(domain, intent, values).key)):
        return False
    wanted = [_stored(values[slot]) if slot in values else None for slot in booking.properties.values()]
    return all(held[f"v{number}"] == value for number, value in enumerate(wanted))


def compile_hours(domain: Domain, intent: str, values: Mapping[str, Value], schema: GraphSchema) -> Statement | None:
    """When what is to be booked opens and closes, columns "opens" and "closes"; None where the domain does not say."""
    booking = domain.intents[intent].booking
    target = values.get(booking.target) if booking else None
    if booking is None or booking.hours is None or not isinstance(target, NodeValue):
        return None
    label = domain.labels[booking.target_label]
    clauses = Clauses(label.name, domain.labels, schema)
    clauses.conditions.append(
        f"{ROOT}.{names.property_of(label.name, label.key, schema)} = {clauses.bind('', stored_key(target.key))}"
    )
    ends = (("opens", booking.hours.opens), ("closes", booking.hours.closes))
    told = [f"{ROOT}.{names.property_of(label.name, name, schema)} AS {column}" for column, name in ends]
    lines = [*clauses.matched(), f"RETURN DISTINCT {', '.join(told)}", "LIMIT 1"]
    return named_statement(f"{intent}.hours", lines, clauses.parameters, ("opens", "closes"))


def booking_key(conversation: str, task_number: int) -> str:
    """The idempotency key of a task of a conversation: the same however often it is tried, no other task's.

    >>> booking_key("s", 1) == booking_key("s", 1) != booking_key("s", 2)
    True
    """
    return hashlib.sha256(f"{len(conversation)}:{conversation}:{task_number}".encode()).hexdigest()[:32]


def _booking(domain: Domain, intent: str) -> Booking:
    booking = domain.intents[intent].booking
    if booking is None:
        raise DomainError(f"intent {intent} books nothing")
    return booking


def _target(domain: Domain, intent: str, values: Mapping[str, Value]) -> NodeValue:
    booking = _booking(domain, intent)
    target = values.get(booking.target)
    if not isinstance(target, NodeValue) or target.label != booking.target_label:
        raise DomainError(f"intent {intent} books {target!r:.60}, which is no node of the label that it books")
    return target


def _settings(booking: Booking, values: Mapping[str, Value]) -> tuple[list[str], dict[str, Any]]:
    """(assignments, parameters) of what a booking keeps."""
    held = [(row, name, slot) for row, (name, slot) in enumerate(booking.properties.items()) if slot in values]
    settings = [f"b.{names.quoted(name)} = $v{row}" for row, name, _ in held]
    return settings, {f"v{row}": _stored(values[slot]) for row, _, slot in held}


def _stored(value: Value) -> Any:
    """As a booking keeps it."""
    if isinstance(value, When):
        return value.start
    if isinstance(value, NodeValue):
        return stored_key(value.key)
    if isinstance(value, Range):
        return value.high if value.high is not None else value.low
    if isinstance(value, str | int | float):
        return value
    raise DomainError(f"{value!r:.60} cannot be written into a booking")
