"""Conversations on disk: every session's events in order, what was said, and what was handed to a person.

Stands around the turn's path: a session's *events* -> fold -> state ... -> reply -> *events*. State itself is never
stored: it is the fold of the events, so a log can be read, replayed and repaired; `log` gives its end alone to whoever
has folded the rest. One SQLite file in WAL mode (SQLite,
"Write-Ahead Logging") that several processes may use at once. `turn` orders the turns of a session: first come, first
served among the threads of this process, and a file lock, which the kernel frees with its holder, among processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pagoda.dialogue.errors import SessionError
from pagoda.dialogue.sessions.turn_queue import TurnQueue
from pagoda.errors import InvalidRequestError, MissingExtraError

MAX_SESSION_ID_LENGTH = 200
_BUSY_TIMEOUT_S = 10.0
# Sessions share this many lock files, so that a folder does not fill with one for each conversation ever held.
_NUM_LOCK_FILES = 128
_LOCK_POLL_S = 0.01
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    session TEXT NOT NULL, number INTEGER NOT NULL, turn INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS turns (
    session TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hand_offs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, turn INTEGER NOT NULL, at REAL NOT NULL,
    body TEXT NOT NULL
);
"""
_VERSION = 1


@dataclass(frozen=True)
class HandOffRecord:
    """A conversation given to a person, with all that the person needs to go on. at: Unix seconds."""

    session_id: str
    reason: str
    language: str
    text: str
    turn: int = 0
    intent: str = ""
    slots: Mapping[str, Any] = field(default_factory=dict)
    transcript: tuple[Mapping[str, str], ...] = ()
    at: float = 0.0


@dataclass(frozen=True)
class Log:
    """A session as it is stored, or its end: events, oldest first, and how many turns there are in all.

    first: the very first event, None in an unknown session; num_before: how many events were left out
    """

    events: tuple[Mapping[str, Any], ...]
    num_turns: int
    first: Mapping[str, Any] | None = None
    num_before: int = 0

    @property
    def num_events(self) -> int:
        """Of the whole session."""
        return self.num_before + len(self.events)


class SessionStore:
    """Sessions in one SQLite file. path: made if it is not there; None keeps them in memory, for this process alone.

    Safe to use from many threads; the file may be shared by processes of one machine. Raises SessionError where the
    file cannot be read or written.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._mutex = threading.Lock()
        self._queue = TurnQueue()
        with self._told("opened"):
            self._connection = self._connect()

    def turn(self, session_id: str) -> TurnHold:
        """A place in the session's queue, taken now; entering the block waits for it and for other processes.

        The block must be entered or the place given back by `leave_queue`, or the session waits for ever.
        """
        check_session_id(session_id)
        return TurnHold(self._queue, session_id, self._lock_path(session_id))

    def log(self, session_id: str, num_known: int = 0) -> Log:
        """What happened in a session; an unknown one is empty. num_known: so many events at its start are left out.

        Costs as much as what is read, however long the session is.
        """
        check_session_id(session_id)
        with self._told("read"), self._mutex:
            rows = self._connection.execute(
                "SELECT number, body FROM events WHERE session = ? AND (number >= ? OR number = 0) ORDER BY number",
                (session_id, num_known),
            ).fetchall()
            num_turns = self._num("turns", session_id)
            num_events = self._num("events", session_id)
        events = tuple(json.loads(body) for number, body in rows if number >= num_known)
        first = json.loads(rows[0][1]) if rows else None
        return Log(events, num_turns, first, num_events - len(events))

    def turns(self, session_id: str) -> list[dict[str, Any]]:
        """What was said and found, turn by turn, oldest first."""
        check_session_id(session_id)
        with self._told("read"), self._mutex:
            rows = self._connection.execute(
                "SELECT body FROM turns WHERE session = ? ORDER BY number", (session_id,)
            ).fetchall()
        return [json.loads(body) for (body,) in rows]

    def append(
        self,
        session_id: str,
        events: Sequence[Mapping[str, Any]],
        turn: Mapping[str, Any],
        *,
        num_events_before: int,
        hand_off: HandOffRecord | None = None,
    ) -> int:
        """Write one turn, whole or not at all, and give its number, from 1.

        num_events_before: how many events the turn was thought out upon. Raises SessionError where there are more by
        now: somebody wrote without holding `turn`.
        """
        with self._told("written"), self._mutex, self._transaction() as connection:
            number = self._num("turns", session_id) + 1
            self._insert_events(session_id, events, number, num_events_before)
            now = time.time()
            connection.execute("INSERT INTO turns VALUES (?, ?, ?, ?)", (session_id, number, now, _json(turn)))
            if hand_off is not None:
                body = _json({**asdict(hand_off), "turn": number, "at": now})
                connection.execute(
                    "INSERT INTO hand_offs (session, turn, at, body) VALUES (?, ?, ?, ?)",
                    (session_id, number, now, body),
                )
        return number

    def note(self, session_id: str, events: Sequence[Mapping[str, Any]], *, num_events_before: int) -> None:
        """Write events that no sentence led to; see `append`."""
        with self._told("written"), self._mutex, self._transaction():
            self._insert_events(session_id, events, self._num("turns", session_id), num_events_before)

    def _insert_events(
        self, session_id: str, events: Sequence[Mapping[str, Any]], turn: int, num_events_before: int
    ) -> None:
        count = self._num("events", session_id)
        if count != num_events_before:
            raise SessionError(
                f"session {session_id!r} has {count} events, but this turn began with {num_events_before}: "
                "send the sentence again"
            )
        self._connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [(session_id, count + index, turn, _json(event)) for index, event in enumerate(events)],
        )

    def hand_offs(self, session_id: str | None = None) -> list[HandOffRecord]:
        """Conversations that wait for a person, oldest first; of one session where it is named."""
        condition, values = ("", ()) if session_id is None else (" WHERE session = ?", (session_id,))
        with self._told("read"), self._mutex:
            rows = self._connection.execute(f"SELECT body FROM hand_offs{condition} ORDER BY id", values).fetchall()
        return [_hand_off(json.loads(body)) for (body,) in rows]

    def end_hand_offs(self, session_id: str) -> int:
        """A session waits for nobody any more; gives how many of its hand-offs were waiting."""
        check_session_id(session_id)
        with self._told("written"), self._mutex, self._transaction() as connection:
            return connection.execute("DELETE FROM hand_offs WHERE session = ?", (session_id,)).rowcount

    def delete(self, session_id: str) -> bool:
        """Forget a session, its hand-offs too; False where there was none."""
        check_session_id(session_id)
        with self._told("written"), self._mutex, self._transaction() as connection:
            deleted = [
                connection.execute(f"DELETE FROM {table} WHERE session = ?", (session_id,)).rowcount
                for table in ("events", "turns", "hand_offs")
            ]
        return any(deleted)

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            ":memory:" if self.path is None else self.path,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a power cut may cost the last turn, never the order of those before.
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise SessionError(f"{self.path} has format {version}, but this pagoda knows {_VERSION}: update pagoda")
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        return connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """IMMEDIATE: a reader that became a writer halfway could not wait for another writer."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            place = self.path or "the sessions in memory"
            raise SessionError(
                f"{place} cannot be {what} ({error}): check the file, its rights and the disk"
            ) from error

    def _num(self, table: str, session_id: str) -> int:
        """How many rows of a session there are: one more than the last number, or that number, as a table counts.

        Numbers have no gaps, and looking up the last one takes no longer in a long session than in a short one.
        """
        first = {"events": 0, "turns": 1}[table]
        (last,) = self._connection.execute(
            f"SELECT max(number) FROM {table} WHERE session = ?", (session_id,)
        ).fetchone()
        return 0 if last is None else int(last) - first + 1

    def _lock_path(self, session_id: str) -> Path | None:
        if self.path is None:
            return None
        number = int.from_bytes(hashlib.sha256(session_id.encode()).digest()[:4]) % _NUM_LOCK_FILES
        return self.path.with_name(self.path.name + ".locks") / f"{number:03d}"


class TurnHold(contextlib.AbstractContextManager[None]):
    """One turn's hold on its session."""

    def __init__(self, queue: TurnQueue, session_id: str, lock_path: Path | None) -> None:
        self._queue, self._ticket = queue, queue.join(session_id)
        self._file_lock = None if lock_path is None else _file_lock(lock_path)

    def __enter__(self) -> None:
        self._ticket.wait()
        try:
            if self._file_lock is not None:
                self._file_lock.acquire(poll_interval=_LOCK_POLL_S)
        except BaseException:
            self._queue.leave(self._ticket)
            raise

    def __exit__(self, *exception: object) -> None:
        if self._file_lock is not None:
            self._file_lock.release()
        self._queue.leave(self._ticket)

    def leave_queue(self) -> None:
        """Give the place back without a turn; harmless where it was given back already."""
        self._queue.leave(self._ticket)


def check_session_id(session_id: str) -> str:
    """The id itself. Raises InvalidRequestError for one that is empty, too long or holds control characters."""
    if not session_id.strip() or len(session_id) > MAX_SESSION_ID_LENGTH or not session_id.isprintable():
        raise InvalidRequestError(
            f"session id {session_id!r:.60} is expected to be 1 to {MAX_SESSION_ID_LENGTH} printable characters",
            param="session_id",
        )
    return session_id


def _file_lock(path: Path) -> Any:
    try:
        from filelock import FileLock
    except ModuleNotFoundError as error:
        raise MissingExtraError("sessions on disk (filelock)", "dialogue") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, thread_local=False)


def _hand_off(body: Mapping[str, Any]) -> HandOffRecord:
    return HandOffRecord(**{**body, "transcript": tuple(body["transcript"])})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
