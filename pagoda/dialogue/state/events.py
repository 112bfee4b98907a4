"""What happens in a dialogue, as frozen records with one JSON form: the log that a state is folded from.

Third station of a turn: sentence -> understanding -> *events* -> state -> policy -> Cypher -> rows -> reply. Each turn
begins with `UserSaid`; what the person did follows, then what the dialogue did. Learned from `rasa:
shared/core/events.py`; the log as the only truth is Fowler's "Event Sourcing" (2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pagoda.dialogue.errors import DialogueError
from pagoda.dialogue.slots import kinds
from pagoda.dialogue.slots.kinds import NodeValue, Value
from pagoda.dialogue.slots.readings import Why

UNCLEAR = "unclear"
"""The intent of a sentence whose reading is too weak to act upon."""
EVERYTHING, UNKNOWN = "*", ""
"""In place of a column's name: all that is known is asked for; something that no column holds."""


@dataclass(frozen=True)
class Began:
    """A conversation begins, once. id: its own, unknown to every other store and session; keys are made of it."""

    id: str


@dataclass(frozen=True)
class UserSaid:
    """A turn begins. intent: as understood, "out_of_scope" and UNCLEAR included; at: ISO 8601 time of the sentence."""

    text: str
    language: str
    intent: str = ""
    at: str = ""


@dataclass(frozen=True)
class Informed:
    """A slot's value; None where the words could not be read as one. surface: the words."""

    slot: str
    value: Value | None
    surface: str = ""


@dataclass(frozen=True)
class Corrected:
    """As Informed, and the person said that the value before was wrong."""

    slot: str
    value: Value | None
    surface: str = ""


@dataclass(frozen=True)
class Doubted:
    """The words may mean several nodes of the graph, which are close to each other."""

    slot: str
    surface: str
    candidates: tuple[NodeValue, ...]


@dataclass(frozen=True)
class Declined:
    """Words of a slot that were understood, wholly or in part, and are no value of it; see `slots.readings`."""

    slot: str
    surface: str
    why: Why
    leftover: str = ""
    instead: Value | None = None


@dataclass(frozen=True)
class Unset:
    """The person takes a slot's value back."""

    slot: str


@dataclass(frozen=True)
class SetAny:
    """The person does not mind what a slot holds."""

    slot: str


@dataclass(frozen=True)
class Ordered:
    """The person wants the results that have the least of a column first, or the most of it."""

    column: str
    is_descending: bool = False


@dataclass(frozen=True)
class Ignored:
    """Words that are a wish, but none that this task can make use of: they are said back. unknown: names of nothing."""

    words: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deferred:
    """A value that the task has no slot for and a booking of what it looks for has. surface: the words."""

    slot: str
    value: Value
    surface: str = ""


@dataclass(frozen=True)
class PutOff:
    """The person wishes something besides that another task is for: it waits. text: the person's words."""

    intent: str
    text: str


@dataclass(frozen=True)
class Requested:
    """The person asks for a column of a result, EVERYTHING or UNKNOWN; several in one turn are told together.

    index: which of the results, from 0; node: which node, by name; None twice for what is talked of
    value: what the person asks about, in "is there a pool?"; None for the column's value, whatever it is
    """

    property: str
    index: int | None = None
    node: NodeValue | None = None
    value: Value | None = None


@dataclass(frozen=True)
class AskedAlong:
    """The person wants a column told of all that the search under way finds."""

    property: str


@dataclass(frozen=True)
class AskedForMore:
    """The person wants further results of the search under way."""


@dataclass(frozen=True)
class Confirmed:
    """Yes."""


@dataclass(frozen=True)
class Denied:
    """No."""


@dataclass(frozen=True)
class Switched:
    """The person wants something else: a new task, or back to one that was left open."""

    intent: str


@dataclass(frozen=True)
class Cancelled:
    """The task is given up; nothing of it stays."""


@dataclass(frozen=True)
class Chosen:
    """One of what was offered last: of the choices for a slot, or else of the results. index: from 0, -1 the last."""

    index: int


@dataclass(frozen=True)
class AskedForBookings:
    """The person wants to hear what was booked in this conversation."""


@dataclass(frozen=True)
class AskedToCancel:
    """The person wants a booking undone. id: which; "" where several may be meant."""

    id: str = ""


@dataclass(frozen=True)
class AskedToChange:
    """The person wants a booking to be another one. id: which; "" where several may be meant.

    said: (slot, words) of what is to be different, kept until it is known of which booking
    """

    id: str = ""
    said: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class WantsOther:
    """The person wants another value of a slot, and did not say which."""

    slot: str


@dataclass(frozen=True)
class WantsNear:
    """The person wants things near a node, or in the same area. surface: the words that said so."""

    node: NodeValue
    surface: str = ""


@dataclass(frozen=True)
class Unbookable:
    """The person wants to book something of a label that nothing is booked of."""

    label: str


@dataclass(frozen=True)
class Asked:
    """The dialogue asked for a slot. choices: what it offered as answers."""

    slot: str
    choices: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Repeated:
    """As Asked, behind an answer to something else: the question is open, and not one more try."""

    slot: str
    choices: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Offered:
    """Results were shown, in order. relaxed: slots given up to find them; skipped: how many were shown before them."""

    results: tuple[NodeValue, ...]
    relaxed: tuple[str, ...] = ()
    skipped: int = 0


@dataclass(frozen=True)
class Proposed:
    """A booking was read out and waits for a yes."""


@dataclass(frozen=True)
class ProposedToCancel:
    """A booking was read out, to be undone upon a yes. id: which; "" where it was asked which one is meant."""

    id: str = ""


@dataclass(frozen=True)
class Told:
    """A column of a result was told."""

    property: str


@dataclass(frozen=True)
class Booked:
    """A booking was written. id: its idempotency key."""

    id: str


@dataclass(frozen=True)
class Unbooked:
    """A booking was undone, or was gone already."""

    id: str


@dataclass(frozen=True)
class HandedOff:
    """A person takes over."""

    reason: str


@dataclass(frozen=True)
class HandOffEnded:
    """The person who took over gives the conversation back."""


@dataclass(frozen=True)
class GraphFailed:
    """The graph did not answer; everything else stays as it was. reason: name of the error's class."""

    reason: str


Event = (
    Began
    | UserSaid
    | Informed
    | Corrected
    | Doubted
    | Declined
    | Unset
    | SetAny
    | Ordered
    | Ignored
    | Deferred
    | PutOff
    | Requested
    | AskedAlong
    | AskedForMore
    | AskedForBookings
    | AskedToCancel
    | AskedToChange
    | WantsOther
    | WantsNear
    | Unbookable
    | Confirmed
    | Denied
    | Switched
    | Cancelled
    | Chosen
    | Asked
    | Repeated
    | Offered
    | Proposed
    | ProposedToCancel
    | Told
    | Booked
    | Unbooked
    | HandedOff
    | HandOffEnded
    | GraphFailed
)
EVENT_TYPES: tuple[type[Any], ...] = Event.__args__
# Logs on disk name the kinds of events: a class that is renamed keeps the name that it was stored by.
_STORED_NAMES: Mapping[type[Any], str] = {
    **{kind: kind.__name__ for kind in EVENT_TYPES},
    GraphFailed: "Failed",
}
_BY_NAME: Mapping[str, type[Any]] = {name: kind for kind, name in _STORED_NAMES.items()}
_VALUES = frozenset({"value", "instead", "candidates", "choices", "results", "node"})
_LISTS = frozenset({"relaxed", "words", "unknown"})
_PAIRS = frozenset({"said"})


def to_json(event: Event) -> dict[str, Any]:
    """Plain data of an event.

    >>> to_json(Unset("price"))
    {'event': 'Unset', 'slot': 'price'}
    """
    plain: dict[str, Any] = {"event": _STORED_NAMES[type(event)]}
    for field in fields(event):
        held = getattr(event, field.name)
        if field.name in _VALUES and held is not None:
            held = kinds.to_json(held)
        if field.name in _PAIRS:
            held = [list(pair) for pair in held]
        plain[field.name] = list(held) if field.name in _LISTS else held
    return plain


def from_json(data: Mapping[str, Any]) -> Event:
    """The inverse of to_json. Raises DialogueError for what is no event."""
    held = dict(data)
    kind = _BY_NAME.get(held.pop("event", ""))
    if kind is None:
        raise DialogueError(f"{dict(data)!r:.80} is no event of a dialogue: the session's log is damaged or newer")
    for name in _VALUES & held.keys():
        held[name] = None if held[name] is None else kinds.from_json(held[name])
    for name in _LISTS & held.keys():
        held[name] = tuple(held[name])
    for name in _PAIRS & held.keys():
        held[name] = tuple((first, second) for first, second in held[name])
    try:
        event: Event = kind(**held)
    except TypeError as error:
        raise DialogueError(f"a stored {_STORED_NAMES[kind]} has other fields than expected: {sorted(held)}") from error
    return event
