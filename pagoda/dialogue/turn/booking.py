"""Bookings carried out: read out, written once, told, changed and undone, each told as the graph answered.

Middle of a turn: sentence -> understanding -> events -> *state -> policy -> Cypher -> rows -> reply*. Before anything
is written under a key, what stands there already is read: the same booking is done already, another one is a conflict
and told. Idempotent receivers: Helland 2012, "Idempotence Is Not a Medical Condition".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pagoda.dialogue.cypher import bookings
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.slots.kinds import NodeKey, NodeValue, Value, When
from pagoda.dialogue.slots.opening_hours import is_closed
from pagoda.dialogue.state import actions
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import BookingRecord
from pagoda.dialogue.turn.done import Done
from pagoda.graph.graph import Graph
from pagoda.graph.statement import Statement

Run = Callable[[Statement], list[dict[str, Any]]]


class BookingDesk:
    """Carries out what is about bookings. run: gives a statement's rows, raises GraphError."""

    def __init__(self, domain: Domain, graph: Graph, phrases: Phrasebook, run: Run, now: datetime) -> None:
        self._domain, self._graph, self._phrases, self._run = domain, graph, phrases, run
        self._at = now.isoformat(timespec="seconds")

    def confirm(self, action: actions.Confirm, language: str) -> Done:
        """A booking read out, or the opening hours, where the place is closed."""
        return self._closed(action, language) or Done(self.read_out(action, language), (ev.Proposed(),))

    def read_out(self, action: actions.Confirm, language: str) -> str:
        """What a yes would write."""
        return self._phrases.confirmation(action.intent, action.values, language, is_change=bool(action.replaces))

    def book(self, action: actions.Book, key: str, language: str) -> Done:
        """A booking written, once; the event Booked is the caller's where it was."""
        if action.replaces:
            return self._change(action, language)
        held = self._held(action, key)
        if held is not None and not bookings.is_same(self._domain, action.intent, action.values, held):
            # Nothing is written over, and nothing is joined to a second node.
            return Done(self._phrases.say("conflict", language, id=key[:8]), (ev.Cancelled(),))
        schema = self._graph.schema()
        statement = bookings.compile_booking(self._domain, action.intent, action.values, key, self._at, schema)
        return self._written(action, key, statement, language)

    def unbook(self, record: BookingRecord, language: str) -> Done:
        """A booking undone; one that was gone already is told so."""
        schema = self._graph.schema()
        statement = bookings.compile_cancellation(self._domain, record.intent, record.id, self._at, schema)
        rows = self._run(statement)
        text = self._phrases.say("unbooked" if rows else "gone", language, id=record.id[:8])
        return Done(text, (ev.Unbooked(record.id),), statement, rows)

    def told(self, records: Sequence[BookingRecord], language: str) -> str:
        """What was booked, as a numbered list."""
        if not records:
            return self._phrases.say("no_bookings", language)
        return self._phrases.bookings("bookings", [(each.id, each.values) for each in records], language)

    def which(self, records: Sequence[BookingRecord], language: str, *, is_change: bool = False) -> Done:
        """Asks which of them is to be undone, or changed."""
        template = "which_to_change" if is_change else "which_booking"
        text = self._phrases.bookings(template, [(each.id, each.values) for each in records], language)
        return Done(text, (ev.ProposedToCancel(),))

    def read_out_cancel(self, record: BookingRecord, language: str) -> str:
        """What a yes would undo."""
        values = self._phrases.values(record.values, language)
        return self._phrases.say("confirm_cancel", language, values=values, id=record.id[:8])

    def _change(self, action: actions.Book, language: str) -> Done:
        schema, key = self._graph.schema(), action.replaces
        statement = bookings.compile_change(self._domain, action.intent, action.values, key, schema)
        return self._written(action, key, statement, language)

    def _written(self, action: actions.Book, key: str, statement: Statement, language: str) -> Done:
        rows = self._run(statement)
        if not rows:
            # What was to be booked is gone; a task that cannot be done is not left open.
            return Done(self._phrases.say("not_booked", language), (ev.Cancelled(),), statement)
        is_change = bool(action.replaces)
        text = self._phrases.booked(action.intent, action.values, key, language, is_change=is_change)
        return Done(text, (ev.Booked(key),), statement, rows, tuple(_keys(action.values)))

    def _held(self, action: actions.Book, key: str) -> Mapping[str, Any] | None:
        """What stands under the key already."""
        statement = bookings.compile_held(self._domain, action.intent, key, self._graph.schema())
        if statement is None:
            # The schema is remembered, and the first booking may have been written since.
            statement = bookings.compile_held(self._domain, action.intent, key, self._graph.schema(refresh=True))
        rows = self._run(statement) if statement is not None else []
        return rows[0] if rows else None

    def _closed(self, action: actions.Confirm, language: str) -> Done | None:
        """A time when the place is closed is told, and another one asked for; None where nothing is against it."""
        booking = self._domain.intents[action.intent].booking
        statement = bookings.compile_hours(self._domain, action.intent, action.values, self._graph.schema())
        if statement is None or booking is None or booking.hours is None:
            return None
        rows = self._run(statement)
        when, place = action.values.get(booking.hours.slot), action.values[booking.target]
        opens, closes = (rows[0]["opens"], rows[0]["closes"]) if rows else (None, None)
        if not isinstance(when, When) or not isinstance(place, NodeValue) or not is_closed(opens, closes, when):
            return None
        ask = actions.Ask(booking.hours.slot, reason="closed", surface=f"{opens}-{closes}")
        text = self._phrases.closed(action.intent, ask, place, language)
        return Done(text, (ev.Asked(ask.slot),), statement, rows, (place.key,), instead=ask)


def _keys(values: Mapping[str, Value]) -> list[NodeKey]:
    return [value.key for value in values.values() if isinstance(value, NodeValue)]
