"""What people did, on disk: events, blocks and what they were shown, each acknowledged once it is written.

Beside the recommender, which is filled from here when it opens. One SQLite file in WAL mode. An event has an id, and a
second one of the same id changes nothing, so that whoever did not hear the answer may send again; it has a number that
only grows, by which another process's events are found. Of a person who leaves the rows are deleted, the file is
written anew without them (SQLite moves rows between pages, and `secure_delete` overwrites the last copy alone) and the
log of writes is emptied. What stays is a salted hash of the id, by which a file of events does not bring them back.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.recommend.data.interactions import Interaction
from pagoda.recommend.errors import RecommendStoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL,
                                  item TEXT NOT NULL, timestamp REAL NOT NULL);
CREATE INDEX IF NOT EXISTS event_user ON event (user, timestamp);
CREATE TABLE IF NOT EXISTS block (user TEXT NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL,
                                  PRIMARY KEY (user, item, kind));
CREATE TABLE IF NOT EXISTS shown (user TEXT NOT NULL, item TEXT NOT NULL, model TEXT NOT NULL, count INTEGER NOT NULL,
                                  PRIMARY KEY (user, item, model));
CREATE TABLE IF NOT EXISTS salt (value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS forgotten (hash BLOB PRIMARY KEY);
CREATE TABLE IF NOT EXISTS deletion (number INTEGER PRIMARY KEY AUTOINCREMENT, token BLOB);
"""
_OLD_EVENTS = """
DROP INDEX IF EXISTS event_user;
ALTER TABLE event RENAME TO old_event;
{schema}
INSERT INTO event (id, user, item, timestamp) SELECT id, user, item, timestamp FROM old_event ORDER BY rowid;
DROP TABLE old_event;
"""
_COLUMNS = {"event": "id, user, item, timestamp", "block": "user, item, kind", "shown": "user, item, model, count"}
_RENAMED = "UPDATE event SET id = renamed(id, user, item, timestamp)"
_BATCH = 500
_TOKEN_BYTES = 8
_MOMENT_S = 0.1
_CLEANINGS, _PAUSE_S = 5, 0.2
"""So often the log of writes is tried to be emptied where somebody else reads the file, and the time between."""


@dataclass(frozen=True)
class StoredEvent:
    """An interaction with the id by which it counts once."""

    id: str
    event: Interaction


@dataclass(frozen=True)
class StoreMark:
    """How far a store is written: its newest event, and the token of its newest deletion.

    Numbers alone would not do: a store that was put back counts on from its backup, and comes by the same ones again.
    event: its number, 0 where there is none; digest: salted, of all that is written of it; deletion: hexadecimal
    """

    event: int = 0
    digest: str = ""
    deletion: str = ""


@dataclass(frozen=True)
class Refusal:
    """Never again: an item, or a kind of items; the other is empty."""

    user: str
    item: str = ""
    kind: str = ""


def id_of_a_line(user: str, item: str, timestamp: float, number: int) -> str:
    """Id of an event of a file, which has none of its own. number: of its equals"""
    return json.dumps([user, item, timestamp, number], ensure_ascii=False)


def _renamed(id: str, user: str, item: str, timestamp: float) -> str:
    """Of an event of a file as it was named before: with slashes, where "a/b", "c" and "a", "b/c" are one."""
    start = f"{user}/{item}/{timestamp!r}/"
    number = id.removeprefix(start)
    return id_of_a_line(user, item, timestamp, int(number)) if number != id and number.isdigit() else id


class EventStore:
    """Over one file, which is made if it is not there. Threads may share it.

    Raises ConfigError for another file; every method RecommendStoreError where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._is_dirty = False
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA secure_delete = ON")
            # What VACUUM puts together would else lie in a file of the system's, whole and in no one's care.
            self._connection.execute("PRAGMA temp_store = MEMORY")
            columns = [row[1] for row in self._connection.execute("PRAGMA table_info(event)")]
            is_old = bool(columns) and "number" not in columns
            self._connection.executescript(_OLD_EVENTS.format(schema=_SCHEMA) if is_old else _SCHEMA)
            if is_old:
                self._connection.create_function("renamed", 4, _renamed)
                self._connection.execute(_RENAMED)
            self._name_deletions()
            self._salt = self._own_salt()
        except sqlite3.Error as error:
            raise ConfigError(f"{path} cannot be used as a store of events ({error}): name another folder") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def append(self, events: Iterable[StoredEvent]) -> list[StoredEvent]:
        """Write what is new, all or nothing; those that were."""
        with self._writing() as connection:
            return [
                one
                for one in events
                if connection.execute(
                    "INSERT INTO event (id, user, item, timestamp) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (one.id, *one.event),
                ).rowcount
            ]

    def block(self, block: Refusal) -> None:
        """Write a block; a second one changes nothing."""
        self._run("INSERT INTO block VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (block.user, block.item, block.kind))

    def unblock(self, block: Refusal) -> bool:
        """Take a block back; whether there was one."""
        given = (block.user, block.item, block.kind)
        return bool(self._run("DELETE FROM block WHERE user = ? AND item = ? AND kind = ?", given))

    def note_shown(self, shown: Iterable[tuple[str, str, str]]) -> None:
        """Count what people were shown: (user, item, model)."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO shown VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1", shown
            )

    def events(self) -> list[Interaction]:
        """All, in the order in which they were written."""
        return [Interaction(*row[1:]) for row in self._rows(_AFTER, (0,))]

    def events_after(self, number: int) -> tuple[list[Interaction], int]:
        """Those that were written after the one of this number (0: all), whoever wrote them, and the last's number."""
        rows = self._rows(_AFTER, (number,))
        return [Interaction(*row[1:]) for row in rows], rows[-1][0] if rows else number

    def events_of(self, user: str, until: int) -> list[Interaction]:
        """A person's, up to the one of this number."""
        statement = "SELECT user, item, timestamp FROM event WHERE user = ? AND number <= ? ORDER BY number"
        return [Interaction(*row) for row in self._rows(statement, (user, until))]

    def version(self) -> int | None:
        """Another number after another process has written, the same after this store has.

        None while this store writes something long: an answer may ask, and is not to wait for it.
        """
        if not self._lock.acquire(timeout=_MOMENT_S):
            return None
        try:
            with self._named():
                return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        finally:
            self._lock.release()

    @property
    def name(self) -> str:
        """By which it is told from other stores; 16 hexadecimal digits that say nothing of the salt."""
        return hashlib.blake2b(b"name", digest_size=8, key=self._salt).hexdigest()

    @property
    def mark(self) -> StoreMark:
        """Of what is written now, by which `knows` tells it later, also where a backup was put back since."""
        event = self._rows(_LAST_EVENT)
        deletion = self._rows("SELECT token FROM deletion ORDER BY number DESC LIMIT 1")
        return StoreMark(*self._event_mark(event), bytes(deletion[0][0]).hex() if deletion else "")

    def knows(self, mark: StoreMark) -> bool:
        """Whether what is written was written on from that mark: its event and its deletion are among it.

        False too where the person of that event was deleted since, for then nothing tells.
        """
        event = self._rows("SELECT number, id, user, item, timestamp FROM event WHERE number = ?", (mark.event,))
        deletion = self._rows("SELECT 1 FROM deletion WHERE token = ?", (bytes.fromhex(mark.deletion),))
        return self._event_mark(event) == (mark.event, mark.digest) and (bool(deletion) or not mark.deletion)

    def _event_mark(self, rows: Sequence[Any]) -> tuple[int, str]:
        return (rows[0][0], self._hash(repr(tuple(rows[0]))).hex()) if rows else (0, "")

    def of_ids(self, ids: Sequence[str]) -> list[Interaction]:
        """The events of these ids as they are written."""
        found: list[Interaction] = []
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            marks = ", ".join("?" * len(part))
            statement = f"SELECT user, item, timestamp FROM event WHERE id IN ({marks}) ORDER BY number"
            found += [Interaction(*row) for row in self._rows(statement, tuple(part))]
        return found

    def blocks(self, user: str | None = None) -> list[Refusal]:
        """Of a person, or of everybody."""
        if user is None:
            return [Refusal(*row) for row in self._rows("SELECT user, item, kind FROM block")]
        return [Refusal(*row) for row in self._rows("SELECT user, item, kind FROM block WHERE user = ?", (user,))]

    def export(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """Everything that is written of a person: table -> rows."""
        found = {}
        for table, columns in _COLUMNS.items():
            rows = self._rows(f"SELECT {columns} FROM {table} WHERE user = ? ORDER BY rowid", (user,))
            found[table] = [dict(zip(columns.split(", "), row, strict=True)) for row in rows]
        return found

    def forget(self, user: str) -> int:
        """`delete` and `clean`."""
        count = self.delete(user)
        self.clean()
        return count

    def delete(self, user: str) -> int:
        """Delete the rows of a person, and remember the hash; how many there were. Bytes stay until `clean`."""
        with self._writing() as connection:
            count = sum(
                connection.execute(f"DELETE FROM {table} WHERE user = ?", (user,)).rowcount for table in _COLUMNS
            )
            if count:
                connection.execute("INSERT INTO forgotten VALUES (?) ON CONFLICT DO NOTHING", (self._hash(user),))
                connection.execute("INSERT INTO deletion (token) VALUES (?)", (secrets.token_bytes(_TOKEN_BYTES),))
        self._is_dirty = self._is_dirty or count > 0
        return count

    def clean(self) -> None:
        """Take what was deleted out of the files. Raises RecommendStoreError while another reads the old state."""
        with self._lock, self._named():
            if not self._is_dirty:
                return
            for attempt in range(_CLEANINGS):
                if attempt:
                    time.sleep(_PAUSE_S)
                self._connection.execute("VACUUM")
                busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    self._is_dirty = False
                    return
        raise RecommendStoreError(
            f"the rows are deleted, but {self._path} is being read by another process, so that their bytes are still "
            "in the log of writes: end that process, and delete again"
        )

    def forgotten(self, users: Iterable[str]) -> set[str]:
        """Those of these ids that were deleted once."""
        hashes = {row[0] for row in self._rows("SELECT hash FROM forgotten")}
        return {user for user in users if self._hash(user) in hashes} if hashes else set()

    def strangers(self, users: Iterable[str]) -> set[str]:
        """Those of these ids of whom nothing is written."""
        return set(users) - {row[0] for row in self._rows(_EVERYBODY)}

    def _hash(self, user: str) -> bytes:
        return hashlib.blake2b(user.encode(), digest_size=16, key=self._salt).digest()

    def _name_deletions(self) -> None:
        """A token for each deletion that an earlier version wrote without one."""
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(deletion)")]
        if "token" not in columns:
            self._connection.execute("ALTER TABLE deletion ADD COLUMN token BLOB")
        self._connection.execute(f"UPDATE deletion SET token = randomblob({_TOKEN_BYTES}) WHERE token IS NULL")

    def _own_salt(self) -> bytes:
        row = self._connection.execute("SELECT value FROM salt").fetchone()
        if row is None:
            self._connection.execute("INSERT INTO salt VALUES (?)", (secrets.token_bytes(32),))
            row = self._connection.execute("SELECT value FROM salt ORDER BY rowid").fetchone()
        return bytes(row[0])

    def _run(self, statement: str, values: tuple[Any, ...]) -> int:
        with self._writing() as connection:
            return connection.execute(statement, values).rowcount

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock, self._named():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All of a block, or nothing of it, whatever fails, COMMIT too (a full disk)."""
        with self._lock, self._named():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RecommendStoreError(
                f"{self._path} cannot be used just now ({error}): see that the disk has room and that no other process "
                "holds the file, and send again"
            ) from error


_AFTER = "SELECT number, user, item, timestamp FROM event WHERE number > ? ORDER BY number"
_LAST_EVENT = "SELECT number, id, user, item, timestamp FROM event ORDER BY number DESC LIMIT 1"
_EVERYBODY = "SELECT user FROM event UNION SELECT user FROM block UNION SELECT user FROM shown"
