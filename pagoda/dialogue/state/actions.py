"""What the policy can decide: one frozen record for each kind of action.

Fifth station of a turn: sentence -> understanding -> events -> state -> *policy* -> Cypher -> rows -> reply. What
carries each of them out, and which event tells of it, stands in the table of `policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pagoda.dialogue.domain.model import Order
from pagoda.dialogue.slots.kinds import NodeValue, Value

AskReason = Literal["missing", "invalid", "ambiguous", "closed", "past", "over", "limits", "partial", "several"]


@dataclass(frozen=True)
class Ask:
    """Ask for a slot. attempt: from 1; choices: answers to offer; needs_choices: read them out of the graph first.

    reason: "missing"; "invalid", with the words that could not be read as surface; "ambiguous", with the nodes that
    were meant perhaps as choices; "closed", with the opening hours as surface; "past", a time that was kept and is
    over by now. Of words that were understood and are no value (`slots.readings`): "over", with the next such moment as
    the choice; "limits", with the limit as instead; "partial", with the words that were not read as surface and what
    the others mean as instead; "several" meanings
    """

    slot: str
    attempt: int = 1
    choices: tuple[Value, ...] = ()
    needs_choices: bool = False
    reason: AskReason = "missing"
    surface: str = ""
    instead: Value | None = None


@dataclass(frozen=True)
class LookUp:
    """Look for what fits.

    filters: values by slot, those that do not matter left out; skip: rows shown before; order: what comes first
    columns: what is told of each result, besides what the domain tells in lists
    """

    intent: str
    filters: Mapping[str, Value]
    skip: int = 0
    order: Order | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confirm:
    """Read a booking out and wait for a yes. replaces: id of the booking that it changes."""

    intent: str
    values: Mapping[str, Value]
    replaces: str = ""


@dataclass(frozen=True)
class ConfirmCancel:
    """Read out the booking that is to be undone and wait for a yes."""

    booking_id: str


Pending = Ask | Confirm | ConfirmCancel | LookUp
"""What waits for an answer, to be said again behind the answer to something else; or what was wished besides."""


@dataclass(frozen=True)
class Tell:
    """Tell columns of a node. intent: whose query has the columns; asked: (column, value) that were asked about."""

    intent: str
    columns: tuple[str, ...]
    result: NodeValue
    pending: Pending | None = None
    asked: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True)
class Show:
    """Tell all of the result that was chosen, or of a node that was asked about."""

    intent: str
    result: NodeValue
    pending: Pending | None = None


@dataclass(frozen=True)
class Book:
    """Write a booking. task_number: together with the conversation the source of its idempotency key.

    replaces: id of the booking that becomes this one, "" for a new one
    """

    intent: str
    values: Mapping[str, Value]
    task_number: int
    replaces: str = ""


@dataclass(frozen=True)
class TellBookings:
    """Tell what was booked in this conversation."""

    pending: Pending | None = None


@dataclass(frozen=True)
class AskWhich:
    """Ask which booking is to be undone, or changed."""

    is_change: bool = False


@dataclass(frozen=True)
class Unbook:
    """Undo a booking."""

    booking_id: str


@dataclass(frozen=True)
class Say:
    """Say a template of the domain, then what is pending."""

    template: str
    pending: Pending | None = None


@dataclass(frozen=True)
class HandOff:
    """A person takes over. reason: "asked_for", "not_understood" or "slot:<name>"."""

    reason: str


Action = Ask | LookUp | Tell | Confirm | Book | Show | TellBookings | AskWhich | ConfirmCancel | Unbook | Say | HandOff
