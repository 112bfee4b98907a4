"""Reading a model's tool calls back, while they arrive.

On the token's path: between the engine's text and the chat endpoints' chunks, without an engine. `ToolCallParser` is
a small machine over growing text: content, the head of a call, its arguments, what closes it. It gives out what is
certain and holds back what may yet become a call, so the pieces joined never depend on where the text was cut. The
arguments are the model's own JSON, to the character. What begins like a call and is none becomes content.

Models forget the marks of their format: Qwen2.5-Coder writes the bare object, in a fence of ```json or in <tools>. An
object that names one of the tools and has arguments is read as a call in those dresses, too.
"""

from __future__ import annotations

import enum
import json
import re
import secrets
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pagoda.models.tokenizer.tool_formats import ToolFormat

_WHITESPACE = " \t\r\n"
_DRESSES = ("```json", "```xml", "```", "<tools>", "<tool>", "<function_call>", "<json>", "<JSON>")
_UNDRESSED = ("```", "</tools>", "</tool>", "</function_call>", "</json>", "</JSON>")
_BEFORE_BARE = frozenset(_WHITESPACE + ":>")
"""What may stand before an undressed call; within quotes or a word, a brace opens none."""
_ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """Text for the person."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """A call begins; its arguments follow."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More of a call's arguments, as JSON text."""

    index: int
    text: str


ToolDelta = ContentDelta | CallStart | ArgumentsDelta


class _Place(enum.Enum):
    CONTENT = "content"
    ARGUMENTS = "arguments"
    CLOSING = "closing"
    AFTER = "after"


class _Scan(NamedTuple):
    """How far a pattern fits: `end` behind it, or complete=False where the text ended inside it."""

    complete: bool
    end: int = 0
    name: str = ""


_Pattern = Sequence[str | tuple[str, ...]]


class _Way(NamedTuple):
    """A way of writing a call: up to its arguments, behind them, and behind the last of them."""

    head: _Pattern
    closing: _Pattern
    section_end: _Pattern


class ToolCallParser:
    """One answer, read piece by piece.

    names: of the tools that may be called; a call of anything else is content
    forced: nothing but calls is expected, so a head that was cut off is dropped instead of shown
    new_id: makes ids for calls
    Whitespace beside a call is layout and is left out of the content.
    """

    def __init__(
        self,
        form: ToolFormat,
        names: Sequence[str],
        *,
        forced: bool = False,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        body: _Pattern = ("{", '"name"', ":", _names(names), ",", ('"arguments"', '"parameters"'), ":", "{")
        separator = form.separator.strip()
        self._next_head: _Pattern | None = (separator, *_marks(form.call_begin), *body) if separator else None
        self._ways = [
            _Way(
                (*_marks(form.section_begin), *_marks(form.call_begin), *body),
                ("}", *_marks(form.call_end)),
                _marks(form.section_end) if form.opening else (_UNDRESSED,),
            ),
            _Way((_DRESSES, *body), ("}",), (_UNDRESSED,)),
            _Way(body, ("}",), (_UNDRESSED,)),
        ]
        self._way = self._ways[0]
        self._forced = forced
        self._new_id = new_id or (lambda: new_call_id(form))
        self._place = _Place.CONTENT
        self._text = ""
        self._value = _JsonObject()
        self._space = ""  # the end of the content so far; layout if a call follows
        self._last = ""  # character of the content beside the call, if any
        self._beside_call = False
        self.num_calls = 0
        """Calls that have begun."""

    def push(self, text: str, *, finished: bool = False, cut: bool = False) -> list[ToolDelta]:
        """Take more of the answer, the last of it with `finished`; gives what is certain now.

        cut: it ended because no more tokens were allowed; a call that had begun is dropped then instead of shown
        """
        self._text += text
        deltas: list[ToolDelta] = []
        while (found := self._step()) is not None:
            deltas += found
        return deltas + self._finish(cut) if finished else deltas

    def _step(self) -> list[ToolDelta] | None:
        """One move to another place; None where more text is needed."""
        if not self._text:
            return None
        if self._place is _Place.CONTENT:
            return self._read_content()
        if self._place is _Place.ARGUMENTS:
            return self._read_arguments()
        return self._read_closing() if self._place is _Place.CLOSING else self._read_after()

    def _read_content(self) -> list[ToolDelta] | None:
        """Content up to what is, or may become, a call."""
        for position in _candidates(self._text, {option[0] for way in self._ways for option in _options(way.head[0])}):
            for way in self._ways:
                if way is not self._ways[0] and not self._may_be_bare(position):
                    continue
                scan = _scan(way.head, self._text, position)
                if scan is not None and scan.complete:
                    before = self._content(self._text[:position])
                    return [*before, self._begin_call(scan, way)]
                if scan is not None:
                    before, self._text = self._content(self._text[:position]), self._text[position:]
                    return before or None
        text, self._text = self._text, ""
        return self._content(text)

    def _may_be_bare(self, position: int) -> bool:
        before = self._text[position - 1] if position else (self._last + self._space)[-1:]
        return not before or before in _BEFORE_BARE

    def _begin_call(self, scan: _Scan, way: _Way) -> CallStart:
        self._way = way
        self._text = self._text[scan.end - 1 :]  # the last of the head is the brace that opens the arguments
        self._place, self._value = _Place.ARGUMENTS, _JsonObject()
        self._space, self._last, self._beside_call = "", "", True
        self.num_calls += 1
        return CallStart(self.num_calls - 1, self._new_id(), scan.name)

    def _read_arguments(self) -> list[ToolDelta]:
        taken = self._value.take(self._text)
        text, self._text = self._text[:taken], self._text[taken:]
        if self._value.complete:
            self._place = _Place.CLOSING
        return [ArgumentsDelta(self.num_calls - 1, text)]

    def _read_closing(self) -> list[ToolDelta] | None:
        scan = _scan(self._way.closing, self._text, 0)
        if scan is None:
            self._place = _Place.CONTENT
            return []
        if not scan.complete:
            return None
        self._text, self._place = self._text[scan.end :], _Place.AFTER
        return []

    def _read_after(self) -> list[ToolDelta] | None:
        """Another call of the same section, or its end."""
        more = self._next_head if self._way is self._ways[0] else None
        scans = [_scan(pattern, self._text, 0, layout=True) for pattern in (more, self._way.section_end) if pattern]
        fitting = [scan for scan in scans if scan is not None]
        complete = next((scan for scan in fitting if scan.complete), None)
        if complete is not None and complete.name:
            return [self._begin_call(complete, self._way)]
        if fitting and complete is None:
            return None
        self._text = self._text[complete.end :] if complete is not None else self._text
        self._place = _Place.CONTENT
        return []

    def _content(self, text: str) -> list[ToolDelta]:
        if self._beside_call:
            text = text.lstrip(_WHITESPACE)
            self._beside_call = not text
        text = self._space + text
        shown = text.rstrip(_WHITESPACE)
        self._last = shown[-1:] or self._last
        self._space = text[len(shown) :]
        return [ContentDelta(shown)] if shown else []

    def _finish(self, cut: bool) -> list[ToolDelta]:
        """The text has ended: a head that was never completed is content, what was to close a call is not."""
        rest, self._text = self._text, ""
        deltas: list[ToolDelta] = []
        is_call = self._forced or (cut and self._is_begun(rest))
        if self._place in (_Place.CONTENT, _Place.AFTER) and not is_call:
            deltas = self._content(rest)
        # Whitespace beside a call is layout, also beside one that was begun.
        space, self._space = "" if is_call else self._space, ""
        return [*deltas, ContentDelta(space)] if space else deltas

    def _is_begun(self, rest: str) -> bool:
        """Whether what was held back is a call and no single brace: the family's mark, or more than another opening."""
        if self._place is _Place.AFTER:
            return True
        for way in self._ways:
            scan = _scan(way.head[:1], rest, 0)
            is_mark = way is self._ways[0] and way.head[0] != "{"
            if scan is not None and scan.complete and (is_mark or rest[scan.end :].strip(_WHITESPACE)):
                return True
        return False


class JoinedCall(NamedTuple):
    """A whole call."""

    id: str
    name: str
    arguments: str


def joined(deltas: Iterable[ToolDelta]) -> tuple[str, list[JoinedCall]]:
    """Content and calls of a whole answer."""
    content = ""
    calls: list[JoinedCall] = []
    for delta in deltas:
        if isinstance(delta, ContentDelta):
            content += delta.text
        elif isinstance(delta, CallStart):
            calls.append(JoinedCall(delta.id, delta.name, ""))
        else:
            call = calls[delta.index]
            calls[delta.index] = call._replace(arguments=call.arguments + delta.text)
    return content, calls


def new_call_id(form: ToolFormat) -> str:
    """An id that nobody guesses, of the length that the family's templates ask for."""
    if form.id_length is None:
        return f"call_{secrets.token_hex(12)}"
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(form.id_length))


class _JsonObject:
    """Finds the end of a JSON object in growing text."""

    def __init__(self) -> None:
        self.complete = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def take(self, text: str) -> int:
        """Characters of `text` that belong to the object."""
        for position, character in enumerate(text):
            self._advance(character)
            if self.complete:
                return position + 1
        return len(text)

    def _advance(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            self._escaped = character == "\\"
            self._in_string = character != '"'
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.complete = self._depth == 0


def _scan(pattern: _Pattern, text: str, start: int, *, layout: bool = False) -> _Scan | None:
    """Fit a pattern to the text: its parts in order, any whitespace before each; None where it does not fit.

    layout: whitespace may stand before the first part, whatever that is. A part with alternatives is one of them, the
    longest that fits; the first that is a JSON string is the function's name, which is remembered.
    """
    position, name = start, ""
    for index, part in enumerate(pattern):
        if index or layout or (isinstance(part, str) and part[0] in "},;]"):
            position = _skip_whitespace(text, position)
        alternatives = _options(part)
        longest = max(map(len, alternatives))
        rest = text[position : position + longest]
        if any(option != rest and option.startswith(rest) for option in alternatives):
            return _Scan(False)
        found = next((option for option in alternatives if rest.startswith(option)), None)
        if found is None:
            return None
        position += len(found)
        if found[0] == '"' and isinstance(part, tuple) and not name:
            name = found
    return _Scan(True, position, json.loads(name) if name else "")


def _skip_whitespace(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position


def _candidates(text: str, characters: Iterable[str]) -> Iterable[int]:
    """Where one of these characters stands."""
    return (found.start() for found in re.finditer("[" + re.escape("".join(sorted(characters))) + "]", text))


def _options(part: str | tuple[str, ...]) -> tuple[str, ...]:
    return (part,) if isinstance(part, str) else part


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(json.dumps(name, ensure_ascii=False) for name in names)


def _marks(parts: Sequence[str]) -> tuple[str, ...]:
    """Without pure layout, which a pattern allows everywhere."""
    return tuple(part for part in parts if part.strip())
