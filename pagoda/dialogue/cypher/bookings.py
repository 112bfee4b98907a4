"""Bookings in Cypher: the one statement that writes, and the opening hours that speak for it or against it.

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
    booking = domain.intents[intent].booking
    target = values.get(booking.target) if booking else None
    if booking is None or not isinstance(target, NodeValue) or target.label != booking.target_label:
        raise DomainError(f"intent {intent} books {target!r:.60}, which is no node of the label that it books")
    source = domain.labels[booking.target_label]
    node_key = names.property_of(source.name, source.key, schema)
    parameters: dict[str, Any] = {"target": stored_key(target.key), "booking_key": key}
    settings = []
    for number, (name, slot) in enumerate(booking.properties.items()):
        if slot in values:
            parameters[f"v{number}"] = _stored(values[slot])
            settings.append(f"b.{names.quoted(name)} = $v{number}")
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


def booking_key(session_id: str, task_number: int) -> str:
    """The idempotency key of a task of a session: the same however often it is tried, no other task's.

    >>> booking_key("s", 1) == booking_key("s", 1) != booking_key("s", 2)
    True
    """
    return hashlib.sha256(f"{len(session_id)}:{session_id}:{task_number}".encode()).hexdigest()[:32]


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
