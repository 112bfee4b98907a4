"""Tables and records to documents: CSV, TSV, JSON, JSON Lines.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A row becomes a paragraph
that names its columns, so that it can be found and understood alone.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pagoda.rag.documents.document import Document
from pagoda.rag.errors import LoadError

_DELIMITERS = ",;\t|"


def load_csv(text: str, source: str) -> Document:
    """A row a paragraph; the delimiter is the one of , ; tab | that the first lines agree on."""
    return _load_rows(text, source, _delimiter(text))


def load_tsv(text: str, source: str) -> Document:
    """A row a paragraph; cells end at tabs."""
    return _load_rows(text, source, "\t")


def load_json(text: str, source: str) -> Document:
    """A list: an item a paragraph; an object: an entry a paragraph. Names of nested entries are joined with dots."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise LoadError(f"is no JSON ({error.msg} in line {error.lineno}): correct it") from error
    if isinstance(value, list):
        paragraphs = [_record(item) for item in value]
    elif isinstance(value, dict):
        paragraphs = [_record({key: item}) for key, item in value.items()]
    else:
        paragraphs = [_record(value)]
    return Document(source, "\n\n".join(filter(None, paragraphs)))


def load_jsonl(text: str, source: str) -> Document:
    """A line a paragraph."""
    paragraphs = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                paragraphs.append(_record(json.loads(line)))
            except json.JSONDecodeError as error:
                raise LoadError(f"is no JSON in line {number} ({error.msg}): correct it") from error
    return Document(source, "\n\n".join(filter(None, paragraphs)))


def rows_to_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row, with the names of the first row before its cells; a lone row as it is.

    >>> list(rows_to_lines([["city", "days"], ["Wuhan", "3"], ["北京", ""]]))
    ['city: Wuhan; days: 3', 'city: 北京']
    """
    header = [cell.strip() for cell in rows[0]] if rows else []
    named = len(rows) > 1 and any(header)
    for row in rows[1:] if named else rows:
        cells = [" ".join(cell.split()) for cell in row]
        if named:
            yield "; ".join(f"{_column(header, i)}: {cell}" for i, cell in enumerate(cells) if cell)
        else:
            yield " | ".join(cells)


def _load_rows(text: str, source: str, delimiter: str) -> Document:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise LoadError(f"is no table ({error}): check its quotation marks") from error
    return Document(source, "\n\n".join(rows_to_lines(rows)))


def _delimiter(text: str) -> str:
    """The one that splits the first lines into the same number of cells, and into most.

    >>> _delimiter("a;b\\n1,5;2\\n")
    ';'
    """
    lines = [line for line in text[:10_000].split("\n") if line.strip()][:10]

    def columns(delimiter: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        return len(set(widths)) == 1 and widths[0] > 1, min(widths, default=0)

    return max(_DELIMITERS, key=columns)


def _column(header: Sequence[str], i: int) -> str:
    return (header[i] if i < len(header) else "") or f"column {i + 1}"


def _record(value: Any) -> str:
    return "; ".join(f"{name}: {text}" if name else text for name, text in _entries(value))


def _entries(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every scalar below a value, with its path; a list of scalars is one entry.

    >>> list(_entries({"a": {"b": 1, "c": ["x", "y"]}, "d": None}))
    [('a.b', '1'), ('a.c', 'x, y')]
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entries(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for item in value:
            yield from _entries(item, name)
    elif value not in (None, "", []):
        parts = value if isinstance(value, list) else [value]
        yield name, ", ".join(part if isinstance(part, str) else json.dumps(part) for part in parts if part is not None)
