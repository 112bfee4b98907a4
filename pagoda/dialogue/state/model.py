"""What the dialogue knows between two sentences, as frozen records.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. A
state is never written down: it is the fold of its events (`state.fold`). Tasks lie on a stack, as the focus spaces of
Grosz and Sidner 1986, "Attention, Intentions, and the Structure of Discourse".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pagoda.dialogue.domain.model import Order
from pagoda.dialogue.slots import kinds
from pagoda.dialogue.slots.kinds import NodeValue, Value
from pagoda.dialogue.slots.readings import Why

Stage = Literal["collecting", "offered", "confirming", "confirmed"]


@dataclass(frozen=True)
class ReadOut:
    """When something was read out that waits for a yes: only the turn right behind it can give one."""

    turn: int
    at: str = ""


@dataclass(frozen=True)
class Rejection:
    """Words that were no value of their slot, and what was understood of them all the same; see `slots.readings`."""

    surface: str
    why: Why = ""
    leftover: str = ""
    instead: Value | None = None


@dataclass(frozen=True)
class Task:
    """One thing that the person wants. number: counts the tasks of the session from 1, never given twice.

    set_at: turn in which each value was said; times_asked: questions for each slot since it was last filled
    rejected: this turn's words that were no value of their slot; doubts: nodes that words may mean
    results, relaxed: as last offered; skipped: how many were offered before; chosen: row of the results
    order: what is to come first, None for the domain's order; columns: what is to be told of each result besides
    read_out: of a booking, last time; replaces: id of the booking that this one changes
    """

    number: int
    intent: str
    values: Mapping[str, Value] = field(default_factory=dict)
    set_at: Mapping[str, int] = field(default_factory=dict)
    times_asked: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    doubts: Mapping[str, tuple[NodeValue, ...]] = field(default_factory=dict)
    stage: Stage = "collecting"
    results: tuple[NodeValue, ...] = ()
    relaxed: tuple[str, ...] = ()
    skipped: int = 0
    chosen: int | None = None
    order: Order | None = None
    columns: tuple[str, ...] = ()
    read_out: ReadOut | None = None
    replaces: str = ""

    @property
    def chosen_result(self) -> NodeValue | None:
        """The one that was chosen, or the only one."""
        if self.chosen is not None:
            return self.results[self.chosen]
        return self.results[0] if len(self.results) == 1 else None


@dataclass(frozen=True)
class Question:
    """What was asked last. choices: the answers that were offered."""

    slot: str
    choices: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Remembered:
    """A value of a task that is left or done, for carry-over. turn: when it was said."""

    value: Value
    intent: str
    task: int
    turn: int


@dataclass(frozen=True)
class BookingRecord:
    """A booking that was written. id: its idempotency key."""

    id: str
    intent: str
    task: int
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Withdrawal:
    """A booking that is to be undone, or changed: which one is asked.

    id: which, "" while that is asked; read_out: last time, or the question
    said: what is to be different, as in `events.AskedToChange`; None where the booking is to be undone
    """

    id: str = ""
    read_out: ReadOut | None = None
    is_confirmed: bool = False
    said: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True)
class AskedColumn:
    """A column that was asked for: of a row of the results, of a named node, or of what is talked of.

    value: what was asked about, see `events.Requested`
    """

    column: str
    row: int | None = None
    node: NodeValue | None = None
    value: Value | None = None


@dataclass(frozen=True)
class ThisTurn:
    """What the person did since the last UserSaid, so far.

    intent: as understood; changed: slots whose value is another now, columns that results are to be sorted by
    is_informed: a value was told, if the same
    ignored, unknown: words of wishes that the task cannot make use of; names that nobody knows
    unbookable: label of what was to be booked and cannot be; other: slot that another value is wanted of
    deferred: words that are kept for a booking; put_off: intents of what was wished besides
    """

    intent: str = ""
    requested: tuple[AskedColumn, ...] = ()
    changed: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unbookable: str = ""
    other: str = ""
    deferred: tuple[str, ...] = ()
    put_off: tuple[str, ...] = ()
    is_informed: bool = False
    is_switched: bool = False
    is_resumed: bool = False
    is_confirmed: bool = False
    is_denied: bool = False
    is_cancelled: bool = False
    is_nothing_cancelled: bool = False
    is_chosen: bool = False
    is_choice_unknown: bool = False
    is_told: bool = False
    wants_more: bool = False
    wants_bookings: bool = False
    is_withdrawal_denied: bool = False
    is_hand_off_ended: bool = False


@dataclass(frozen=True)
class State:
    """Everything. stack: tasks left open, the last one left last; num_misses: sentences in a row not understood.

    conversation: its own id, "" in logs of earlier versions; withdrawal: a booking that is to be undone
    topic: the node that was talked of last, None where it was a list or nothing; talked_of: the last of each label
    chosen: the node that was looked for by its name last
    later: values that were said before the booking that takes them
    waiting: words of wishes that wait until the task under way is done, by intent, the next one first

    handed_off, failure: reasons, "" where there is none; failure is of this turn only
    """

    turn: int = 0
    language: str = ""
    now: str = ""
    num_tasks: int = 0
    task: Task | None = None
    stack: tuple[Task, ...] = ()
    question: Question | None = None
    memory: Mapping[str, Remembered] = field(default_factory=dict)
    later: Mapping[str, Remembered] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    bookings: tuple[BookingRecord, ...] = ()
    conversation: str = ""
    withdrawal: Withdrawal | None = None
    topic: NodeValue | None = None
    chosen: NodeValue | None = None
    talked_of: tuple[NodeValue, ...] = ()
    this_turn: ThisTurn = ThisTurn()
    num_misses: int = 0
    handed_off: str = ""
    failure: str = ""

    @property
    def task_with_results(self) -> Task | None:
        """The active task, or the one left last, that has results to point at."""
        tasks = (self.task, *reversed(self.stack))
        return next((task for task in tasks if task is not None and task.results), None)

    @property
    def is_confirming(self) -> bool:
        """Whether a booking was read out and waits for a yes."""
        return self.task is not None and self.task.stage == "confirming"

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked, read out or half told: what waits may begin."""
        is_open = self.question is not None or self.withdrawal is not None
        return not is_open and (self.task is None or (self.task.stage == "offered" and not self.task.doubts))

    def booking(self, key: str) -> BookingRecord | None:
        """A booking of this conversation by its id."""
        return next((booking for booking in self.bookings if booking.id == key), None)

    def to_json(self) -> dict[str, Any]:
        """Plain data, to be shown; not to be read back: fold the events instead."""
        plain = _plain(self)
        assert isinstance(plain, dict), "a record gives an object"
        return plain


_RECORDS = (
    State,
    Task,
    Question,
    Remembered,
    BookingRecord,
    ThisTurn,
    ReadOut,
    Withdrawal,
    AskedColumn,
    Order,
    Rejection,
)


def _plain(held: Any) -> Any:
    if isinstance(held, _RECORDS):
        return {name: _plain(value) for name, value in vars(held).items()}
    if isinstance(held, Mapping):
        return {name: _plain(value) for name, value in held.items()}
    if isinstance(held, frozenset):
        return sorted(held)
    if isinstance(held, tuple | list):
        return [_plain(each) for each in held]
    return held if held is None else kinds.to_json(held)
