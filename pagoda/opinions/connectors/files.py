"""A file of items, JSON lines or CSV, read once from its beginning: what `pagoda opinions replay` plays.

On the path *feed -> item*. A line that is no item is passed over and told with its number; a file with nothing but such
lines is refused, since it is another kind of file. Interrupted, it is read again from the start: what was committed is
known by its key.
"""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pagoda.errors import InvalidRequestError
from pagoda.files.encodings import UnknownEncodingError, encoding_of
from pagoda.opinions.connectors.connector import ItemBatch
from pagoda.opinions.connectors.items import item_of, published_of
from pagoda.opinions.errors import ConnectorError
from pagoda.opinions.story import Item

BATCH = 64
KINDS = (".jsonl", ".ndjson", ".csv")
_ESCAPED, _REPLACED = re.compile("[\udc80-\udcff]"), re.compile("\ufffd")
"""Python's characters for bytes that it could not decode. One below 128 cannot be escaped; in UTF-8 none is broken."""


class FileConnector:
    """Items of a file in the order of its lines. Raises ConnectorError.

    played: an item that does not say when it came, came when it was published, or with the one before it where it does
        not say that either: a replay's clock is that of its file
    """

    def __init__(self, path: str | Path, name: str = "", *, played: bool = False) -> None:
        self.path, self.played = Path(path).expanduser(), played
        self.name = name or self.path.stem
        if self.path.suffix.lower() not in KINDS:
            raise ConnectorError(f"{self.path} is no file of items: expected {', '.join(KINDS)}")
        if not self.path.is_file():
            raise ConnectorError(f"the file {self.path} does not exist: give one of items, {', '.join(KINDS)}")

    def num_lines(self) -> int:
        """For a bar."""
        with self.path.open("rb") as file:
            return sum(1 for line in file if line.strip())

    async def batches(self) -> AsyncIterator[ItemBatch]:
        """All items, some at a time."""
        for batch in self.read():
            yield batch

    def read(self) -> Iterator[ItemBatch]:
        """The same, without a loop."""
        items: list[Item] = []
        faults: list[str] = []
        num_items = 0
        for place, found in self._items():
            if isinstance(found, Item):
                items.append(found)
                num_items += 1
            else:
                faults.append(f"{self.path.name}, {place}: {found}")
            if len(items) + len(faults) >= BATCH:
                yield ItemBatch(tuple(items), faults=tuple(faults))
                items, faults = [], []
        if faults and not num_items:
            raise ConnectorError(f"no line of {self.path} is an item; {faults[0]}")
        if items or faults:
            yield ItemBatch(tuple(items), faults=tuple(faults))

    async def close(self) -> None:
        """Nothing is held between batches."""

    def _items(self) -> Iterator[tuple[str, Item | InvalidRequestError]]:
        now, came = datetime.now(UTC), None
        for number, record in self._records():
            try:
                if isinstance(record, InvalidRequestError):
                    raise record
                if self.played:
                    came = min(published_of(record) or came or now, now)
                item = item_of(record, self.name, now, came)
                came = item.fetched if self.played else None
                yield f"line {number}", item
            except InvalidRequestError as error:
                yield f"line {number}", error

    def _records(self) -> Iterator[tuple[int, dict[str, Any] | InvalidRequestError]]:
        try:
            encoding = encoding_of(self.path)
            # A byte that is broken is a fault of its own line, not of the file.
            errors, broken = ("surrogateescape", _ESCAPED) if encoding.startswith("utf-8") else ("replace", _REPLACED)
            with self.path.open(encoding=encoding, errors=errors, newline="") as file:
                read = _of_csv(file, self.path) if self.path.suffix.lower() == ".csv" else _of_json(file)
                for number, record in read:
                    yield number, _unreadable(encoding) if _is_broken(record, broken) else record
        except UnknownEncodingError as error:
            raise ConnectorError(f"{self.path} {error}; 请把文件另存为 UTF-8 编码") from error
        except OSError as error:
            raise ConnectorError(f"{self.path} cannot be read: {error.strerror}") from error


def _is_broken(record: dict[str, Any] | InvalidRequestError, broken: re.Pattern[str]) -> bool:
    """Whether a value, or the name of one, holds bytes that were none of the encoding's characters."""
    return isinstance(record, dict) and broken.search(" ".join(map(str, [*record, *record.values()]))) is not None


def _unreadable(encoding: str) -> InvalidRequestError:
    return InvalidRequestError(f"bytes that are no {encoding}, which the file is written in: mend the line")


def _of_json(lines: Any) -> Iterator[tuple[int, dict[str, Any] | InvalidRequestError]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, InvalidRequestError(f"not JSON ({error})")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            yield number, InvalidRequestError(f"a {type(record).__name__}, expected an object with title, text, ...")


def _of_csv(lines: Any, path: Path) -> Iterator[tuple[int, dict[str, Any] | InvalidRequestError]]:
    """Without the names of its columns, no line says what its values are: a header that cannot be read is refused."""
    heads: list[str] | None = None
    for number, row in _rows(lines):
        if isinstance(row, InvalidRequestError):
            if heads is None:
                raise ConnectorError(f"the header of {path}, line {number}, cannot be read: {row}")
            yield number, row
        elif heads is None:
            if not row:  # a blank line above it
                continue
            heads = [name.strip() for name in row]
        elif len(row) > len(heads):
            yield number, InvalidRequestError("more values than columns: quote those with commas")
        elif row:
            yield number, {name: value or None for name, value in zip(heads, row, strict=False)}


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str] | InvalidRequestError]]:
    """(number of its last line, values) of each row.

    A quote that does not close would swallow the rows behind it: its own line is at fault, and reading begins again
    with the next one.
    """
    held: deque[str] = deque()
    rest = iter(lines)
    number = 0
    while True:
        taken: list[str] = []

        def given(taken: list[str] = taken) -> Iterator[str]:
            while held or (line := next(rest, None)) is not None:
                taken.append(held.popleft() if held else line)  # type: ignore[arg-type]
                yield taken[-1]

        try:
            row = next(csv.reader(given(), strict=True), None)
        except csv.Error as error:
            number += 1
            held.extendleft(reversed(taken[1:]))
            yield (
                number,
                InvalidRequestError(
                    f'a quote that does not close, or closes within a value ({error}): write one inside a value as ""'
                ),
            )
            continue
        if row is None:
            return
        number += len(taken)
        yield number, row
