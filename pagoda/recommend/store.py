"""What people did, on disk: events, blocks and what they were shown, each acknowledged once it is written.

Beside the recommender, which is filled from here when it opens. One SQLite file in WAL mode. An event has an id, and a
second one of the same id changes nothing, so that whoever did not hear the answer may send again. What is deleted is
overwritten (`secure_delete`) and the log of writes is emptied, so that no byte of a person who left stays in the files.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.recommend.data.interactions import Interaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, user TEXT NOT NULL, item TEXT NOT NULL, timestamp REAL NOT NULL);
CREATE INDEX IF NOT EXISTS event_user ON event (user, timestamp);
CREATE TABLE IF NOT EXISTS block (user TEXT NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL,
                                  PRIMARY KEY (user, item, kind));
CREATE TABLE IF NOT EXISTS shown (user TEXT NOT NULL, item TEXT NOT NULL, model TEXT NOT NULL, count INTEGER NOT NULL,
                                  PRIMARY KEY (user, item, model));
"""
_OF_A_PERSON = ("event", "block", "shown")


@dataclass(frozen=True)
class StoredEvent:
    """An interaction with the id by which it counts once."""

    id: str
    event: Interaction


@dataclass(frozen=True)
class Refusal:
    """Never again: an item, or a kind of items; the other is empty."""

    user: str
    item: str = ""
    kind: str = ""


class EventStore:
    """Over one file, which is made if it is not there. Threads may share it. Raises ConfigError for another file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise ConfigError(f"{path} cannot be used as a store of events ({error}): name another folder") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def append(self, events: Iterable[StoredEvent]) -> list[StoredEvent]:
        """Write what is new, all or nothing; those that were."""
        with self._lock, _Transaction(self._connection) as connection:
            return [
                one
                for one in events
                if connection.execute(
                    "INSERT INTO event VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING", (one.id, *one.event)
                ).rowcount
            ]

    def block(self, block: Refusal) -> None:
        """Write a block; a second one changes nothing."""
        self._run("INSERT INTO block VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (block.user, block.item, block.kind))

    def unblock(self, block: Refusal) -> bool:
        """Take a block back; whether there was one."""
        given = (block.user, block.item, block.kind)
        return bool(self._run("DELETE FROM block WHERE user = ? AND item = ? AND kind = ?", given))

    def note_shown(self, user: str, items: Iterable[str], model: str) -> None:
        """Count what a person was shown, by which model."""
        with self._lock, _Transaction(self._connection) as connection:
            connection.executemany(
                "INSERT INTO shown VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                [(user, item, model) for item in items],
            )

    def events(self) -> list[Interaction]:
        """All, in the order in which they were written."""
        return [Interaction(*row) for row in self._rows("SELECT user, item, timestamp FROM event ORDER BY rowid")]

    def blocks(self, user: str | None = None) -> list[Refusal]:
        """Of a person, or of everybody."""
        if user is None:
            return [Refusal(*row) for row in self._rows("SELECT user, item, kind FROM block")]
        return [Refusal(*row) for row in self._rows("SELECT user, item, kind FROM block WHERE user = ?", (user,))]

    def export(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """Everything that is written of a person: table -> rows."""
        found = {}
        for table in _OF_A_PERSON:
            with self._lock:
                cursor = self._connection.execute(f"SELECT * FROM {table} WHERE user = ? ORDER BY rowid", (user,))
                names = [column[0] for column in cursor.description]
                found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return found

    def forget(self, user: str) -> int:
        """Delete everything of a person from the files; how many rows there were."""
        with self._lock:
            with _Transaction(self._connection) as connection:
                count = sum(
                    connection.execute(f"DELETE FROM {table} WHERE user = ?", (user,)).rowcount
                    for table in _OF_A_PERSON
                )
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count

    def _run(self, statement: str, values: tuple[Any, ...]) -> int:
        with self._lock, _Transaction(self._connection) as connection:
            return connection.execute(statement, values).rowcount

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


class _Transaction:
    """All of a block, or nothing of it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
