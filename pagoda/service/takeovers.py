"""Which conversations people have taken over, and what was said while they had them, each line acknowledged once kept.

Beside the dialogue's sessions, which keep what the machine was told and said, and which conversations wait: here is
what these have no place for. One SQLite file in WAL mode; a killed process loses nothing that was answered. A line
stands behind a turn of its session, so that both together are one conversation in the order in which it was held.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.dialogue.errors import SessionError
from pagoda.errors import InvalidRequestError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversation (number INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL UNIQUE,
                                         user TEXT NOT NULL, staff TEXT NOT NULL DEFAULT '', taken REAL);
CREATE TABLE IF NOT EXISTS line (number INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, turn INTEGER NOT NULL,
                                 speaker TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS line_session ON line (session, number);
"""
_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class HeldConversation:
    """number: by which staff name it; user: whose it is; staff: who has taken it over, "" for nobody; taken: when"""

    number: int
    session: str
    user: str
    staff: str = ""
    taken: float | None = None


@dataclass(frozen=True)
class SaidLine:
    """Said while a person had the conversation. turn: behind so many turns; speaker: "customer" or "staff"; at: Unix"""

    number: int
    turn: int
    speaker: str
    name: str
    text: str
    at: float


class Takeovers:
    """Over one file, made if it is not there. Threads may share it.

    Every method raises SessionError where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with self._told():
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def begun(self, session: str, user: str) -> HeldConversation:
        """A conversation, new where there was none; of nobody who is known where `user` is the session itself."""
        found = self.of(session)
        if found is None:
            # Looked up first: an INSERT uses up a number even where it changes nothing.
            self._run("INSERT INTO conversation (session, user) VALUES (?, ?) ON CONFLICT DO NOTHING", session, user)
            found = self.of(session)
        assert found is not None, "it was just written"
        return found

    def name_user(self, session: str, user: str) -> bool:
        """A conversation of nobody who is known becomes this person's; False where it is somebody's already."""
        return self._run("UPDATE conversation SET user = ? WHERE session = ? AND user = session", user, session) > 0

    def of(self, session: str) -> HeldConversation | None:
        """By its session."""
        rows = self._rows("SELECT * FROM conversation WHERE session = ?", session)
        return HeldConversation(*rows[0]) if rows else None

    def numbered(self, number: int) -> HeldConversation:
        """By its number. Raises InvalidRequestError where there is none."""
        rows = self._rows("SELECT * FROM conversation WHERE number = ?", number)
        if not rows:
            raise InvalidRequestError(
                f"there is no conversation {number}: GET /v1/service/queue lists them", param="number"
            )
        return HeldConversation(*rows[0])

    def take(self, number: int, staff: str) -> bool:
        """Take a conversation over; False where somebody else has it already."""
        free = "UPDATE conversation SET staff = ?, taken = ? WHERE number = ? AND staff IN ('', ?)"
        return self._run(free, staff, time.time(), number, staff) > 0

    def release(self, number: int) -> bool:
        """Nobody has it any more; False where nobody had."""
        free = "UPDATE conversation SET staff = '', taken = NULL WHERE number = ? AND staff <> ''"
        return self._run(free, number) > 0

    def say(self, session: str, turn: int, speaker: str, name: str, text: str) -> SaidLine:
        """Keep a line."""
        at = time.time()
        with self._lock, self._told():
            number = self._connection.execute(
                "INSERT INTO line (session, turn, speaker, name, text, at) VALUES (?, ?, ?, ?, ?, ?)",
                (session, turn, speaker, name, text, at),
            ).lastrowid
        assert number is not None, "SQLite numbers every row"
        return SaidLine(number, turn, speaker, name, text, at)

    def lines(self, session: str) -> list[SaidLine]:
        """All lines of a conversation, oldest first."""
        columns = "number, turn, speaker, name, text, at"
        return [
            SaidLine(*row)
            for row in self._rows(f"SELECT {columns} FROM line WHERE session = ? ORDER BY number", session)
        ]

    def forget(self, session: str) -> bool:
        """Delete a conversation with its lines; False where there was none."""
        self._run("DELETE FROM line WHERE session = ?", session)
        return self._run("DELETE FROM conversation WHERE session = ?", session) > 0

    def _run(self, statement: str, *values: Any) -> int:
        with self._lock, self._told():
            return self._connection.execute(statement, values).rowcount

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, self._told():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SessionError(
                f"{self._path} cannot be used ({error}): check the file, its rights, the disk"
            ) from error
