"""What a slot can hold once a person's words were understood: plain data, comparable, with one JSON form.

Stands between *events* and *Cypher* on the turn's path: the normalisers make these values, events carry them, the state
keeps them, the compiler turns them into parameters. A band ("cheap") stays a name until a query says what it means for
its label, so that it may be carried from restaurants to hotels; a moment may be a stretch ("tonight") until it is
exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pagoda.dialogue.errors import DialogueError


@dataclass(frozen=True)
class Range:
    """Numbers from low to high; None where that side is open.

    is_above, is_below: the low end, the high end is itself left out, as in "above 8"
    """

    low: float | None = None
    high: float | None = None
    is_above: bool = False
    is_below: bool = False

    @property
    def is_sound(self) -> bool:
        """Has an end, finite ends, and the low one is not above the high one."""
        ends = [end for end in (self.low, self.high) if end is not None]
        return bool(ends) and all(math.isfinite(end) for end in ends) and ends[0] <= ends[-1]


@dataclass(frozen=True)
class Band:
    """A named range, such as "cheap"; each query says what it means for what it looks for."""

    name: str


@dataclass(frozen=True)
class When:
    """ISO 8601 minutes, local time: "2026-11-21T19:00". end: of a stretch such as an evening, "" for a moment."""

    start: str
    end: str = ""

    @property
    def is_exact(self) -> bool:
        """A moment, not a stretch."""
        return not self.end

    @property
    def is_sound(self) -> bool:
        """Both ends can be read, in order."""
        try:
            start = datetime.fromisoformat(self.start)
            return start.tzinfo is None and (not self.end or start < datetime.fromisoformat(self.end))
        except (ValueError, TypeError):
            return False


NodeKey = str | int | float | bool | tuple[str | int | float | bool, ...]
"""A key as the graph stores it, so that a comparison finds it again: 7 is not "7". A list is a tuple here."""


@dataclass(frozen=True)
class NodeValue:
    """A node of the graph. key: its label's key property; zh, en: its names, "" where it has none."""

    label: str
    key: NodeKey
    zh: str = ""
    en: str = ""

    def name(self, language: str) -> str:
        """In that language where there is one, else in the other, else its key."""
        return ((self.zh or self.en) if language == "zh" else (self.en or self.zh)) or name_text(self.key)


@dataclass(frozen=True)
class Anything:
    """The person does not mind: filled, but no filter."""


@dataclass(frozen=True)
class OneOf:
    """At least one of these fits: "Jihong or Yunxiu". values: two or more plain ones."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Except:
    """None of these fits: "no seafood". kept: what the slot is to be besides, None for whatever else there is."""

    values: tuple[Value, ...]
    kept: Value | None = None


ANY = Anything()
Value = str | int | float | bool | Range | Band | When | NodeValue | Anything | OneOf | Except | tuple["Value", ...]


def to_json(value: Value) -> Any:
    """Plain data of a value.

    >>> to_json(Range(None, 150))
    {'range': [None, 150]}
    """
    match value:
        case Range(low, high, is_above, is_below):
            return {"range": [low, high, *([is_above, is_below] if is_above or is_below else [])]}
        case Band(name):
            return {"band": name}
        case When(start, end):
            return {"when": [start, end]}
        case NodeValue(label, key, zh, en):
            return {"node": [label, stored_key(key), zh, en]}
        case Anything():
            return {"any": True}
        case OneOf(values):
            return {"one_of": to_json(values)}
        case Except(values, kept):
            return {"except": [to_json(values), None if kept is None else to_json(kept)]}
        case tuple():
            return [to_json(each) for each in value]
    return value


def from_json(data: Any) -> Value:
    """The inverse of to_json. Raises DialogueError for what no value looks like."""
    if isinstance(data, list):
        return tuple(from_json(each) for each in data)
    if isinstance(data, str | int | float):
        return data
    if isinstance(data, Mapping) and len(data) == 1:
        ((kind, fields),) = data.items()
        try:
            return _from_fields(kind, fields)
        except (TypeError, ValueError, KeyError) as error:
            raise DialogueError(f"a stored {kind} holds {fields!r:.80}: the session's log is damaged") from error
    raise DialogueError(f"{data!r:.80} is no stored value of a slot: the session's log is damaged")


def _from_fields(kind: str, fields: Any) -> Value:
    if kind == "any":
        return ANY
    if kind == "band":
        return Band(fields)
    if kind == "one_of":
        return OneOf(_several(fields))
    if kind == "except":
        values, kept = fields
        return Except(_several(values), None if kept is None else from_json(kept))
    if kind == "range":
        low, high, is_above, is_below = fields if len(fields) == 4 else (*fields, False, False)
        return Range(low, high, is_above, is_below)
    if kind == "node":
        label, key, *names = fields
        return NodeValue(label, key_of(key), *names)
    return When(*fields) if kind == "when" else _unknown(kind)


def _unknown(kind: str) -> Value:
    raise KeyError(kind)


def key_of(stored: Any) -> NodeKey:
    """A key out of the graph or a log; "" where there is none, which no node's is."""
    if isinstance(stored, list | tuple):
        return tuple(each for each in stored if isinstance(each, str | int | float))
    return stored if isinstance(stored, str | int | float) else "" if stored is None else str(stored)


def stored_key(key: NodeKey) -> Any:
    """The key as a parameter of a statement, or in JSON."""
    return list(key) if isinstance(key, tuple) else key


def texts_of(stored: Any) -> tuple[str, ...]:
    """What a property holds, in words: a list's entries one by one, a number as it is written, nothing as none.

    >>> texts_of(["SF", None, 1984]), texts_of(1984.0), texts_of(None)
    (('SF', '1984'), ('1984',), ())
    """
    if isinstance(stored, list | tuple):
        return tuple(text for each in stored for text in texts_of(each))
    if isinstance(stored, float):
        return (f"{stored:g}",)
    return () if stored is None or stored == "" else (str(stored),)


def name_text(stored: Any) -> str:
    """A name in words; of a list of names the first."""
    return next(iter(texts_of(stored)), "")


def _several(fields: Any) -> tuple[Value, ...]:
    """The values of a list. Raises TypeError for what is none, as a record does for fields that it lacks."""
    if not isinstance(fields, list):
        raise TypeError("values are a list")
    return tuple(from_json(each) for each in fields)


def plain_values(value: Value | None) -> tuple[Value, ...]:
    """What a value wants, one by one; what it excludes, and that anything will do, is not wanted.

    >>> plain_values(Except(("a",), OneOf(("b", "c")))), plain_values(None), plain_values(ANY)
    (('b', 'c'), (), ())
    """
    match value:
        case None | Anything():
            return ()
        case OneOf(values):
            return values
        case Except(_, kept):
            return plain_values(kept)
        case tuple():
            return tuple(plain for each in value for plain in plain_values(each))
    return (value,)
