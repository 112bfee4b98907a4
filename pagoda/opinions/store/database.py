"""One database behind a watch: SQLite in a file, or PostgreSQL at an address. One writes, any number read.

Under `opinions.store`. Statements are written once, with `?` for values. A transaction is there whole or not at all,
whatever ends the process. SQLite keeps a log beside its file (WAL), so that readers never wait for the writer; who
writes holds a lock for as long as it is open, since two watches over one database would each tell every alert.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.opinions.errors import OpinionStoreError
from pagoda.opinions.store.schema import SCHEMA_VERSION, TABLES

_SCHEMES = ("postgresql://", "postgres://")
_LOCK_NUMBER = 7_016_004_019
"""Of PostgreSQL's advisory lock: any number that nobody else takes."""
_BUSY_S = 30.0


class Database(Protocol):
    """What the store needs of either."""

    def rows(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and take what it finds."""
        ...

    def many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""
        ...

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """All statements of the block, or none of them."""
        ...

    def close(self) -> None:
        """Give back connection and lock."""
        ...


def open_database(where: str | Path, *, writes: bool) -> Database:
    """The database at a path or a postgresql:// address, with its tables.

    writes: take the lock of the one who writes. Raises ConfigError where another one holds it or the tables are of
    another version, OpinionStoreError where nothing answers.
    """
    served = is_address(where)
    database: Database = _Postgres(str(where), writes) if served else _Sqlite(Path(where), writes)
    try:
        if writes:
            _make_tables(database, *(("BYTEA", "BIGINT") if served else ("BLOB", "INTEGER")))
        _check_version(database)
    except BaseException:
        database.close()
        raise
    return database


def is_address(where: str | Path) -> bool:
    """Whether it names a server, not a file.

    >>> is_address("postgresql://localhost/opinions"), is_address("watch/opinions.db")
    (True, False)
    """
    return str(where).startswith(_SCHEMES)


def _make_tables(database: Database, bytes_type: str, id_type: str) -> None:
    with database.transaction():
        for text in TABLES:
            database.rows(text.replace("{bytes}", bytes_type).replace("{id}", id_type))
        known = database.rows("SELECT value FROM facts WHERE name = 'schema'")
        if not known:
            database.rows("INSERT INTO facts (name, value) VALUES ('schema', ?)", [str(SCHEMA_VERSION)])


def _check_version(database: Database) -> None:
    found = database.rows("SELECT value FROM facts WHERE name = 'schema'")
    if found != [(str(SCHEMA_VERSION),)]:
        raise ConfigError(
            f"the database was written by another version of pagoda (its tables are of version {found[0][0]}, "
            f"expected {SCHEMA_VERSION}): give another one, and replay your items into it"
        )


class _Sqlite:
    def __init__(self, path: Path, writes: bool) -> None:
        self._lock: Any = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if writes:
            self._lock = _file_lock(path)
        try:
            # Threads take turns through the store's own lock.
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            for text in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {text}")
        except sqlite3.Error as error:
            self._release()
            raise OpinionStoreError(f"the database {path} cannot be opened: {error}") from error

    def rows(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise OpinionStoreError(f"the database fails: {error}") from error

    def many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            self._connection.executemany(text, rows)
        except sqlite3.Error as error:
            raise OpinionStoreError(f"the database fails: {error}") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.rows("BEGIN IMMEDIATE")
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


class _Postgres:
    def __init__(self, where: str, writes: bool) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise MissingExtraError("a database of PostgreSQL", "pgvector") from error
        self._error: type[Exception] = psycopg.Error
        self._secrets = _secrets(where)
        try:
            self._connection: Any = psycopg.connect(where, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise self._told("the database cannot be reached", error) from None
        if writes and not self.rows("SELECT pg_try_advisory_lock(?)", [_LOCK_NUMBER])[0][0]:
            self._connection.close()
            raise ConfigError("another watch writes to this database: end it first, or give this one a database")

    def rows(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            cursor = self._connection.execute(_marked(text), values)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        except self._error as error:
            raise self._told("the database fails", error) from None

    def many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(_marked(text), rows)
        except self._error as error:
            raise self._told("the database fails", error) from None

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        found: contextlib.AbstractContextManager[None] = self._connection.transaction()
        return found

    def close(self) -> None:
        self._connection.close()

    def _told(self, what: str, error: Exception) -> OpinionStoreError:
        """With the driver's words, unless they repeat the address or its password: then with their kind alone.

        Raised from nothing, since a traceback would print them after all.
        """
        words = str(error)
        if any(secret in words for secret in self._secrets):
            words = f"{type(error).__name__}; look at the address and its password (PGPASSFILE keeps it elsewhere)"
        return OpinionStoreError(f"{what}: {words}")


def _secrets(where: str) -> set[str]:
    """What of an address nobody may read, as it is written there and as it is meant."""
    rest = where.partition("://")[2]
    whole = rest.partition("?")[0].partition("/")[0]
    given = {whole.rpartition("@")[0].partition(":")[2]}
    given |= {value for name, value in parse_qsl(rest.partition("?")[2]) if "password" in name or name == "passfile"}
    # A password with a "/" or an "@" that nobody escaped ends elsewhere than its owner thinks.
    given |= {rest.rpartition("@")[0].partition(":")[2]}
    return {form for secret in given if secret for form in (secret, unquote(secret))} | {where}


def _marked(text: str) -> str:
    """`?` as psycopg writes it; none of our statements has one in a text."""
    return text.replace("%", "%%").replace("?", "%s")


def _file_lock(path: Path) -> Any:
    """Held while the process lives. Raises ConfigError where another one holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(
            f"another watch writes to {path}: end it first, or give this one a database of its own"
        ) from error
    return lock
