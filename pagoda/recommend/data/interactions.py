"""Who took what and when: read from a file or a list, checked, and put in the order of time.

First station of a recommendation. Ids are strings, whatever they look like. The order of time is everything here, so
ties are told: events of one person at the same time keep the order of the file. (A preprocessing that reorders ties
changes a quarter of the test items of MovieLens-1M, and one that forgets to sort makes any model look brilliant.)
"""

from __future__ import annotations

import csv
import json
import numbers
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from pagoda.errors import ConfigError
from pagoda.files.encodings import UnknownEncodingError, encoding_of

DAY_S = 86_400.0
LONGEST_ID = 256
"""Characters."""
LATEST = 1e14
"""Timestamps lie between 0 and this: milliseconds until the year 5138."""
_MILLISECONDS = 1e11
"""What is beyond is milliseconds since 1970 (March 1973), what is below seconds (the year 5138) or just an order."""
_PARTS_OF_DAT = 4
_COLUMNS = ("user", "item", "timestamp")
_BETWEEN = ",\t;|"
"""What parts the columns of a table; the first of those that its first line has as often."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")
"""How a date begins, which `fromisoformat` then reads whole; eight digits without a line between are a number."""


_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no file and no database takes as text."""


class Interaction(NamedTuple):
    """One event. timestamp: seconds, or any number that grows with time."""

    user: str
    item: str
    timestamp: float


@dataclass(frozen=True)
class InteractionLog:
    """Events by person, each person's in the order of time.

    users, items: ids, in the order in which they were first met
    histories:    of each user, numbers of items `[n]` int64
    times:        of each user, timestamps `[n]` float64, none smaller than the one before
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    histories: tuple[np.ndarray, ...]
    times: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, events: Iterable[tuple[Any, Any, Any]]) -> InteractionLog:
        """From (user, item, timestamp) in any order. Raises ConfigError for an event that is none."""
        rows: dict[str, list[tuple[float, int]]] = {}
        numbers: dict[str, int] = {}
        for number, event in enumerate(events, start=1):
            one = checked(event, f"event {number}")
            rows.setdefault(one.user, []).append((one.timestamp, numbers.setdefault(one.item, len(numbers))))
        for row in rows.values():
            row.sort(key=lambda pair: pair[0])  # stable: what happened at one time stays as it was given
        histories = tuple(np.array([item for _, item in row], dtype=np.int64) for row in rows.values())
        times = tuple(np.array([when for when, _ in row], dtype=np.float64) for row in rows.values())
        return cls(tuple(rows), tuple(numbers), histories, times)

    @cached_property
    def user_numbers(self) -> Mapping[str, int]:
        """Id -> place in `users`."""
        return {user: number for number, user in enumerate(self.users)}

    @cached_property
    def item_numbers(self) -> Mapping[str, int]:
        """Id -> place in `items`."""
        return {item: number for number, item in enumerate(self.items)}

    @property
    def num_events(self) -> int:
        return sum(len(history) for history in self.histories)

    @cached_property
    def unit(self) -> float:
        """How many of the timestamps are a second: 1000 where most are milliseconds by their size, otherwise 1."""
        return 1000.0 if self.times and float(np.median(np.concatenate(self.times))) > _MILLISECONDS else 1.0

    def restricted(self, kept: np.ndarray) -> InteractionLog:
        """Without the events of all other items: `kept` are numbers, ascending. Who has none left is gone."""
        return self.over(tuple(self.items[item] for item in kept))

    def over(self, items: tuple[str, ...]) -> InteractionLog:
        """The same events with this catalogue, some of whose items may have none; events of others are left out."""
        numbers = {item: number for number, item in enumerate(items)}
        renumbered = np.array([numbers.get(item, -1) for item in self.items], dtype=np.int64)
        rows = []
        for user, history, times in zip(self.users, self.histories, self.times, strict=True):
            new = renumbered[history]
            if (new >= 0).any():
                rows.append((user, new[new >= 0], times[new >= 0]))
        users, histories, moments = zip(*rows, strict=True) if rows else ((), (), ())
        return InteractionLog(users, items, histories, moments)

    def events(self) -> Iterator[Interaction]:
        """All events, person by person."""
        for user, history, times in zip(self.users, self.histories, self.times, strict=True):
            yield from (
                Interaction(user, self.items[item], float(when)) for item, when in zip(history, times, strict=True)
            )


def in_unit(timestamp: float, unit: float) -> float:
    """A moment of the clock, in seconds or milliseconds by its size, in a log's unit."""
    seconds = timestamp / 1000.0 if timestamp > _MILLISECONDS else timestamp
    return seconds * unit


def checked(event: Any, where: str) -> Interaction:
    """An event, its ids as strings. Raises ConfigError that names `where` and what is wrong with it."""
    try:
        user, item, timestamp = event
        when = float(timestamp)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"{where} is {event!r:.80}, but a user, an item and a timestamp (a number) are expected"
        ) from error
    if not 0.0 <= when <= LATEST:
        raise ConfigError(
            f"{where} is {event!r:.80}, but a timestamp lies between 0 and {LATEST:.0e}: seconds or milliseconds since "
            "1970, or any number that grows with time"
        )
    return Interaction(_id(user, where), _id(item, where), when)


def _id(given: Any, where: str) -> str:
    """An id as a string: a text that is not blank, or a whole number, which a table may have made a float of."""
    if isinstance(given, str) and given.strip() and len(given) <= LONGEST_ID and not _NO_TEXT.search(given):
        return given.strip()
    if isinstance(given, (numbers.Integral, np.integer)) and not isinstance(given, (bool, np.bool_)):
        return str(int(given))
    if isinstance(given, (float, np.floating)) and float(given).is_integer():
        return str(int(given))
    length = f" ({len(given)} characters)" if isinstance(given, str) else ""
    raise ConfigError(
        f"{where} has the id {given!r:.80}{length}, but a text that is not blank, of at most {LONGEST_ID} characters, "
        "or a whole number is expected"
    )


def read_interactions(path: str | Path, columns: Sequence[str] = _COLUMNS) -> InteractionLog:
    """A table with a header (`.csv`, `.tsv`), a `.jsonl` or GroupLens' `.dat`; what is not named is left alone.

    Read in the encoding that it is in: UTF-8, UTF-16, or an older one that stands out.
    columns: what user, item and timestamp are called there, but in a `.dat`, which has no names; a timestamp may be a
        date, such as 2024-05-01 or 2024-05-01T18:30:00+08:00 (without an offset: UTC)
    Raises ConfigError with the line that is at fault.
    """
    path = Path(path)
    reader = {".csv": _table_rows, ".tsv": _table_rows, ".jsonl": _json_rows, ".dat": _dat_rows}.get(
        path.suffix.lower()
    )
    if reader is None:
        raise ConfigError(f"{path} is no .csv, no .tsv, no .jsonl and no .dat: give one with user, item and timestamp")
    try:
        with path.open(encoding=encoding_of(path), newline="") as file:
            rows = reader(path, file, columns)
            log = InteractionLog.of(checked(_dated(row), f"{path}:{line}") for line, row in rows)
    except (OSError, UnicodeDecodeError, UnknownEncodingError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not log.users:
        raise ConfigError(f"{path} holds no event: at least one line with user, item and timestamp is expected")
    return log


def _dated(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row with its timestamp in seconds, where it is a date."""
    *ids, when = row
    if isinstance(when, str) and _DATE.match(when.strip()):
        try:
            moment = datetime.fromisoformat(when.strip())
        except ValueError:
            return row
        return *ids, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return row


def _table_rows(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Of a table whose first line tells what parts its columns, too."""
    first = file.readline()
    parts = max(_BETWEEN, key=first.count)
    # Spaces beside the commas of the first line are meant by nobody; those of ids go in `checked`.
    names = [name.strip() for name in next(csv.reader([first], delimiter=parts), [])]
    if missing := [name for name in columns if name not in names]:
        raise ConfigError(
            f"{path} has no column {', '.join(missing)}, its first line names {', '.join(names) or 'none'}: "
            f"say which are user, item and timestamp, as in --columns {','.join(names[:2] or _COLUMNS[:2])},when"
        )
    reader = csv.DictReader(file, names, delimiter=parts)
    try:
        for row in reader:
            yield 1 + reader.line_num, tuple(row[name] for name in columns)
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num + 2} is no line of a table ({error})") from error


def _dat_rows(path: Path, file: TextIO, _: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Of `UserID::MovieID::Rating::Timestamp`; what somebody thought of a thing is not asked."""
    for number, line in enumerate(file, start=1):
        parts = line.rstrip("\r\n").split("::")
        if len(parts) != _PARTS_OF_DAT:
            raise ConfigError(f"{path}:{number} has {len(parts)} parts, but user::item::rating::timestamp is expected")
        yield number, (parts[0], parts[1], parts[3])


def _json_rows(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield number, tuple(row[name] for name in columns)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}:{number} is no object with {', '.join(columns)}: {line.strip()!r:.80} "
                "(--columns says which keys are user, item and timestamp)"
            ) from error


def named_columns(given: str) -> tuple[str, ...]:
    """Of "userId,movieId,timestamp". Raises ConfigError for another number of names than three."""
    names = tuple(name.strip() for name in given.split(","))
    if len(names) != len(_COLUMNS) or not all(names):
        raise ConfigError(f"--columns {given!r} is to name three columns: user, item and timestamp, such as "
                          "userId,movieId,timestamp")  # fmt: skip
    return names
