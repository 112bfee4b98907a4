"""JSON and JSON Lines to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A record, however deep it
stands, becomes a paragraph: its values behind their names, and before them what the record above is called, so that it
can be found and understood alone. A citation names the line of the file where the record begins.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from json import decoder, scanner
from typing import Any, NamedTuple

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.places import line_starts
from pagoda.rag.errors import LoadError

# What a record is called by, if it has one of them; else by the first of its values.
_NAMES = ("name", "title", "id", "key", "code", "label", "名称", "标题", "编号")


class _Entry(NamedTuple):
    """A value below a record, with its path."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" if self.name else self.text


class _Located(dict[str, Any]):
    """An object of JSON that knows where it begins."""

    offset = 0


def load_json(text: str, source: str) -> Document:
    """A record a paragraph, and each value of the outermost object one. Names of nested values are joined with dots."""
    try:
        value = _located(text)
    except json.JSONDecodeError as error:
        raise LoadError(f"is no JSON ({error.msg} in line {error.lineno}): correct it") from error
    starts = line_starts(text.split("\n"))
    composition = Composition()
    for offset, words in _outermost(value):
        composition.add(words, line=bisect_right(starts, offset))
    return composition.document(source)


def load_jsonl(text: str, source: str) -> Document:
    """A line a record."""
    composition = Composition()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise LoadError(f"is no JSON in line {number} ({error.msg}): correct it") from error
            for _, words in _records(value, "", ()):
                composition.add(words, line=number)
    return composition.document(source)


def _located(text: str) -> Any:
    """The value, its objects `_Located`. The decoder written in C tells no places, the one in Python does."""
    reader: Any = json.JSONDecoder()

    def parse_object(s_and_end: tuple[str, int], *args: Any) -> tuple[_Located, int]:
        pairs, end = decoder.JSONObject(s_and_end, *args)  # type: ignore[attr-defined]
        found = _Located(pairs)
        found.offset = s_and_end[1] - 1
        return found, end

    reader.parse_object = parse_object
    make: Callable[[json.JSONDecoder], Any] = scanner.py_make_scanner  # type: ignore[attr-defined]
    reader.scan_once = make(reader)
    return reader.decode(text)


def _outermost(value: Any) -> Iterator[tuple[int, str]]:
    """(offset, words) of each paragraph; the values of the outermost object are no one record."""
    if isinstance(value, dict):
        offset = getattr(value, "offset", 0)
        for key, item in value.items():
            if _holds_records(item):
                above = tuple(_calling(value)) if key not in _NAMES else ()
                yield from _records(item, str(key), above, offset)
            else:
                yield getattr(item, "offset", offset), _told(_entries(item, str(key)))
    else:
        yield from _records(value, "", ())


def _records(value: Any, name: str, above: Sequence[_Entry], offset: int = 0) -> Iterator[tuple[int, str]]:
    """(offset, words) of each record below a value.

    name: of the list that they stand in; above: what the records that they belong to are called
    """
    offset = getattr(value, "offset", offset)
    if isinstance(value, list):
        for item in value:
            yield from _records(item, name, above, offset)
    elif isinstance(value, dict) and _holds_records(value):
        own = {key: item for key, item in value.items() if not _holds_records(item)}
        if own:
            yield offset, _told([*above, *_entries(own, name)])
        calling = (*above, *(_Entry(f"{name}.{key}" if name else key, text) for key, text in _calling(own)))
        for key, item in value.items():
            if _holds_records(item):
                yield from _records(item, str(key), calling, offset)
    else:
        yield offset, _told([*above, *_entries(value, name)])


def _holds_records(value: Any) -> bool:
    """Whether a list of objects stands in a value."""
    if isinstance(value, dict):
        return any(_holds_records(item) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _calling(record: dict[str, Any]) -> list[_Entry]:
    """What a record is called: the first of the usual names, else its first value."""
    scalars = {key: item for key, item in record.items() if isinstance(item, (str, int, float)) and item != ""}
    key = next((key for key in scalars if key.lower() in _NAMES), next(iter(scalars), None))
    return [] if key is None else [_Entry(key, _text(scalars[key]))]


def _told(entries: Sequence[_Entry] | Iterator[_Entry]) -> str:
    return "; ".join(map(str, entries))


def _entries(value: Any, name: str = "") -> Iterator[_Entry]:
    """Every scalar below a value, with its path; a list of scalars is one entry.

    >>> [str(entry) for entry in _entries({"a": {"b": 1, "c": ["x", "y"]}, "d": None})]
    ['a.b: 1', 'a.c: x, y']
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entries(item, f"{name}.{key}" if name else str(key))
    elif value not in (None, "", []):
        parts = value if isinstance(value, list) else [value]
        yield _Entry(name, ", ".join(_text(part) for part in parts if part is not None))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
