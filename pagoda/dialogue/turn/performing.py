"""One turn performed: the policy decides, the graph answers, the phrasebook speaks, until the turn ends.

Middle of a turn: sentence -> understanding -> events -> *state -> policy -> Cypher -> rows -> reply*. One method for
each kind of action; the table in `policy` says which event tells of it. Whatever the graph does, a turn ends: its error
becomes the event GraphFailed and an apology, and everything that was said stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pagoda.dialogue.cypher import queries
from pagoda.dialogue.cypher.bookings import booking_key
from pagoda.dialogue.cypher.nearness import compile_place, shared_place
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.slots.kinds import ANY, NodeKey, Value
from pagoda.dialogue.slots.normalise import offers
from pagoda.dialogue.state import actions, policy
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import BookingRecord, State
from pagoda.dialogue.turn.booking import BookingDesk
from pagoda.dialogue.turn.done import Done, Rows
from pagoda.graph.errors import GraphError
from pagoda.graph.graph import Graph
from pagoda.graph.statement import Statement

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """A whole turn. events: to be kept; state: after them; graph_s: seconds spent waiting for the graph.

    source: who made the reply, "" for the dialogue itself; details: what that one tells besides, in JSON's types
    """

    events: tuple[ev.Event, ...]
    state: State
    action: actions.Action
    text: str
    statement: Statement | None = None
    rows: Rows = ()
    found: tuple[NodeKey, ...] = ()
    graph_s: float = 0.0
    source: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_booked(self) -> bool:
        """Whether a booking was written, and nothing is asked or read out."""
        return self.state.is_idle and any(isinstance(event, ev.Booked) for event in self.events)

    def followed_by(self, other: Taken) -> Taken:
        """With another one behind it, in the same turn."""
        events, text = (*self.events, *other.events), f"{self.text}\n{other.text}"
        return replace(other, events=events, text=text, graph_s=self.graph_s + other.graph_s)


class Performance:
    """One turn under way: the log grows, the state follows it. Used once, by one thread."""

    def __init__(self, domain: Domain, graph: Graph, phrases: Phrasebook, session_id: str, now: datetime) -> None:
        self._domain, self._graph, self._phrases = domain, graph, phrases
        self._session_id, self._now = session_id, now
        self._desk = BookingDesk(domain, graph, phrases, self._run, now)
        self._events: list[ev.Event] = []
        self._state = State()
        self._graph_s = 0.0

    def perform(self, proposed: Sequence[ev.Event], before: State) -> Taken:
        """Act upon what the person did; a failure of the graph's is apologised for."""
        self._state = before
        self._log(*proposed)
        try:
            self._log(*self._nearby(proposed))
            action = policy.next_action(self._state, self._domain)
            done = self._carry_out(action)
        # A graph that has lost what the domain names since the start answers no better than one that is away.
        except (GraphError, DomainError) as error:
            logger.warning("a turn met %s: %s", type(error).__name__, error)
            self._log(ev.GraphFailed(type(error).__name__))
            action = policy.next_action(self._state, self._domain)
            done = self._carry_out(action)
        self._log(*done.events)
        found, text = (done.statement, done.rows, done.found), self._said_back(action) + done.text
        text += self._still_waiting(action)
        return Taken(tuple(self._events), self._state, done.instead or action, text, *found, self._graph_s)

    def tell(self, text: str, action: actions.Say, told: Sequence[ev.Event], before: State) -> Taken:
        """A text that somebody else made, with what is pending behind it. told: the turn's events."""
        self._state = before
        self._log(*told)
        text, events = self._with_pending(text, policy.open_question(self._state, self._domain))
        self._log(*events)
        return Taken(tuple(self._events), self._state, action, text)

    def _log(self, *events: ev.Event) -> None:
        self._events += events
        self._state = fold(events, self._domain, self._state)

    def _said_back(self, action: actions.Action) -> str:
        """What was said and is not part of the reply, each in a line of its own before it."""
        return self._put_off() + self._unused(action)

    def _put_off(self) -> str:
        """What was wished besides, and how it is begun."""
        state = self._state
        told = [
            self._phrases.waiting("put_off", intent, state.waiting[intent], self._language)
            for intent in state.this_turn.put_off
        ]
        return "".join(f"{line}\n" for line in told)

    def _still_waiting(self, action: actions.Action) -> str:
        """What waits is said again where nothing else is to be done."""
        state = self._state
        if not isinstance(action, actions.Say) or not state.waiting or state.this_turn.put_off or not state.is_idle:
            return ""
        intent, words = next(iter(state.waiting.items()))
        return f"\n{self._phrases.waiting('still_waiting', intent, words, self._language)}"

    def _unused(self, action: actions.Action) -> str:
        """What the task cannot make use of, or keeps for a booking."""
        task, turn = self._state.task, self._state.this_turn
        if turn.unbookable and not (isinstance(action, actions.Say) and action.template == "not_bookable"):
            return f"{self._phrases.not_bookable(turn.unbookable, self._language)}\n"
        if task is None or not isinstance(action, actions.LookUp | actions.Ask | actions.Say | actions.Confirm):
            return ""
        asked = action.slot if isinstance(action, actions.Ask) and action.reason != "missing" else ""
        # A single Han character is a slip of the reader, and nobody's name.
        rejected = {
            slot: rejection.surface
            for slot, rejection in task.rejected.items()
            if len(rejection.surface) > 1 or rejection.surface.isascii()
        }
        unknown = [words for slot, words in rejected.items() if slot != asked]
        unknown += [words for words in turn.unknown if words not in rejected.values()]
        told = [self._phrases.unknown(unknown, self._language)] if unknown else []
        told += [self._phrases.ignored(task.intent, turn.ignored, self._language)] if turn.ignored else []
        told += [self._phrases.deferred(turn.deferred, self._language)] if turn.deferred else []
        return "".join(f"{line}\n" for line in told)

    def _carry_out(self, action: actions.Action) -> Done:
        carry: Callable[[Any], Done] = getattr(self, f"_{_in_words(action)}")
        return carry(action)

    def _nearby(self, proposed: Sequence[ev.Event]) -> Iterator[ev.Event]:
        """The place of what things are wanted near to, as a value of the task; said back where the task takes none."""
        task, wish = self._state.task, next((each for each in proposed if isinstance(each, ev.WantsNear)), None)
        if task is None or wish is None:
            return
        place = shared_place(self._domain, task.intent, wish.node)
        statement = compile_place(self._domain, place, wish.node, self._graph.schema()) if place is not None else None
        rows = self._run(statement) if statement is not None else []
        if place is None or not rows:
            yield ev.Ignored((wish.surface,))
        else:
            yield ev.Corrected(place.slot, queries.node_of(rows[0], place.path[-1].label), wish.surface)

    # One method for each action

    def _ask(self, action: actions.Ask) -> Done:
        choices = self._choices(action.slot) if action.needs_choices else action.choices
        text = self._phrases.question(self._intent, action, self._language, choices)
        return Done(text, (ev.Asked(action.slot, choices),))

    def _look_up(self, action: actions.LookUp) -> Done:
        """Nothing found: one optional slot at a time is given up. Nothing even then: the first statement is told."""
        query = self._domain.intents[action.intent].query
        assert query is not None, "the policy looks only for intents that have a query"
        asked = queries.Relaxed(action.filters, ())
        first = self._compiled(action, asked, query.limit)
        relaxed, statement, rows = asked, first, self._run(first)
        if action.skip:
            rows = rows[action.skip :]
            if not rows:
                return Done(self._phrases.say("no_more", self._language), (), statement)
        for relaxed in () if rows else queries.relaxations(self._domain, action.intent, action.filters):
            statement = self._compiled(action, relaxed, query.limit)
            if rows := self._run(statement):
                break
        if not rows:
            relaxed, statement = asked, first
        rows, has_more = rows[: query.limit], len(rows) > query.limit
        nodes = tuple(queries.node_of(row, query.label) for row in rows)
        text = self._phrases.found(
            action.intent, rows, self._language, filters=relaxed.filters, relaxed=relaxed.slots, has_more=has_more,
            asked=action, given=relaxed.given,
        )  # fmt: skip
        return Done(
            text, (ev.Offered(nodes, relaxed.slots, action.skip),), statement, rows, tuple(node.key for node in nodes)
        )

    def _tell(self, action: actions.Tell) -> Done:
        """One statement for each column; their rows, which are of the same node, become one."""
        key, schema = action.result.key, self._graph.schema()
        row: dict[str, Any] = {}
        for column in action.columns:
            statement = queries.compile_property(self._domain, action.intent, column, key, schema)
            for found in self._run(statement):
                row |= found
        told = [
            self._phrases.property(
                action.intent, column, row or None, self._language,
                asked=[value for name, value in action.asked if name == column],
            )
            for column in action.columns
        ]  # fmt: skip
        text, events = self._with_pending(self._phrases.joined(told, self._language), action.pending)
        events = (ev.Told(", ".join(action.columns)), *events)
        return Done(text, events, statement, [row] if row else [], (key,))

    def _show(self, action: actions.Show) -> Done:
        key = action.result.key
        statement = queries.compile_result(self._domain, action.intent, key, self._graph.schema())
        rows = self._run(statement)
        known = self._phrases.chosen(action.intent, rows[0], self._language) if rows else ""
        text, events = self._with_pending(
            known or self._phrases.say("property_unknown", self._language), action.pending
        )
        return Done(text, events, statement, rows, (key,) if rows else ())

    def _confirm(self, action: actions.Confirm) -> Done:
        return self._desk.confirm(action, self._language)

    def _book(self, action: actions.Book) -> Done:
        # Logs of earlier versions have no id of their own.
        conversation = self._state.conversation or self._session_id
        done = self._desk.book(action, booking_key(conversation, action.task_number), self._language)
        return self._with_what_was_left(done)

    def _unbook(self, action: actions.Unbook) -> Done:
        return self._with_what_was_left(self._desk.unbook(self._booking(action.booking_id), self._language))

    def _confirm_cancel(self, action: actions.ConfirmCancel) -> Done:
        record = self._booking(action.booking_id)
        return Done(self._desk.read_out_cancel(record, self._language), (ev.ProposedToCancel(record.id),))

    def _ask_which(self, action: actions.AskWhich) -> Done:
        return self._desk.which(self._state.bookings, self._language, is_change=action.is_change)

    def _tell_bookings(self, action: actions.TellBookings) -> Done:
        return Done(*self._with_pending(self._desk.told(self._state.bookings, self._language), action.pending))

    def _say(self, action: actions.Say) -> Done:
        if action.template == "not_bookable":
            text = self._phrases.not_bookable(self._state.this_turn.unbookable, self._language)
        else:
            text = self._phrases.say(action.template, self._language)
        return Done(*self._with_pending(text, action.pending))

    def _hand_off(self, action: actions.HandOff) -> Done:
        return Done(self._phrases.say("hand_off", self._language), (ev.HandedOff(action.reason),))

    # What they share

    @property
    def _language(self) -> str:
        return self._state.language

    @property
    def _intent(self) -> str:
        assert self._state.task is not None, "a slot is asked for only within a task"
        return self._state.task.intent

    def _compiled(self, action: actions.LookUp, relaxed: queries.Relaxed, limit: int) -> Statement:
        """With one row more than is shown: it tells that there are more."""
        limit = min(action.skip + limit + 1, queries.MAX_LIMIT)
        return queries.compile_query(
            self._domain, action.intent, relaxed.filters, self._graph.schema(), limit, action.order, action.columns
        )

    def _run(self, statement: Statement) -> list[dict[str, Any]]:
        """The statement's rows. Raises GraphError."""
        access = self._graph.write if statement.writes else self._graph.read
        began = time.perf_counter()
        try:
            return access(statement.text, statement.parameters, statement_id=statement.statement_id)
        finally:
            self._graph_s += time.perf_counter() - began

    def _booking(self, key: str) -> BookingRecord:
        record = self._state.booking(key)
        assert record is not None, "the fold keeps only what was booked in this conversation"
        return record

    def _with_what_was_left(self, done: Done) -> Done:
        """Something is over; back to the task below it, or to what else is pending."""
        self._log(*done.events)
        left = policy.after(self._state, self._domain)
        if left is None or self._state.task is None:
            return replace(done, events=())
        resumed = self._phrases.resume(self._intent, self._language)
        text, events = self._with_pending(f"{done.text}\n{resumed}", left)
        return replace(done, text=text, events=events)

    def _with_pending(self, text: str, pending: actions.Pending | None) -> tuple[str, tuple[ev.Event, ...]]:
        """The text, and in a line of its own what still waits for an answer; the events that tell of it."""
        match pending:
            case actions.Ask():
                asked = self._phrases.question(self._intent, pending, self._language)
                return f"{text}\n{asked}", (ev.Repeated(pending.slot, pending.choices),)
            case actions.Confirm():
                return f"{text}\n{self._desk.read_out(pending, self._language)}", (ev.Proposed(),)
            case actions.ConfirmCancel(key):
                record = self._booking(key)
                return f"{text}\n{self._desk.read_out_cancel(record, self._language)}", (ev.ProposedToCancel(key),)
            case actions.LookUp():
                found = self._look_up(pending)
                return f"{text}\n{found.text}", found.events
        return text, ()

    def _choices(self, slot: str) -> tuple[Value, ...]:
        """Answers that lead somewhere: nodes out of the graph, or what the domain proposes."""
        task = self._state.task
        assert task is not None, "a slot is asked for only within a task"
        known = {name: value for name, value in task.values.items() if value != ANY}
        statement = queries.compile_choices(self._domain, task.intent, slot, known, self._graph.schema())
        if statement is None:
            return offers(self._domain.slots[slot], self._language, self._now)
        label = self._label_of_choices(task.intent, slot)
        return tuple(queries.node_of(row, label) for row in self._run(statement))

    def _label_of_choices(self, intent: str, slot: str) -> str:
        """The label that `compile_choices` looks in."""
        declared = self._domain.intents[intent]
        if declared.booking is not None and declared.booking.target == slot:
            return declared.booking.target_label
        filters = declared.query.filters if declared.query else ()
        paths = [each.path for each in filters if each.slot == slot and each.operator in ("node", "near")]
        return paths[0][-1].label if paths else self._domain.slots[slot].labels[0]


def action_name(action: actions.Action) -> str:
    """As turns tell it, in sessions and to pages: Ask -> "ask", HandOff -> "hand_off"; a LookUp is told as "query".

    >>> action_name(actions.HandOff("asked_for")), action_name(actions.LookUp("find_hotel", {}))
    ('hand_off', 'query')
    """
    # The class does not share its name with the queries of a domain and of documents; what is stored keeps the word.
    return "query" if isinstance(action, actions.LookUp) else _in_words(action)


def _in_words(action: actions.Action) -> str:
    name = type(action).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
