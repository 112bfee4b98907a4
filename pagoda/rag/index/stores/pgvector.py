"""PostgreSQL with pgvector as the store of vectors: a table for each index.

Below the third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. Each call is one
transaction, so that a batch is there whole or not at all. Vectors travel in the binary form of the type `vector`
(pgvector, src/vector.c: two numbers of 16 bits, then big-endian floats), exact to the last bit. No approximate index is
built: retrieval scores a snapshot, and what this store is asked for is exact. Who wrote a table stands in its comment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.rag.documents.document import Scalar
from pagoda.rag.errors import StoreError
from pagoda.rag.index.stores.addresses import check_address
from pagoda.rag.index.stores.patience import StorePatience, unreachable
from pagoda.rag.index.vector_store import check_embedder, check_shape, missing_vectors

_HEADER = struct.Struct(">HH")
_NAMES_PER_CALL = 20_000
_LONGEST_TABLE_NAME = 63
_T = TypeVar("_T")


class PgVectorStore:
    """A table of a PostgreSQL database as a VectorStore. Threads may share it.

    where: postgresql://user@host:port/database; the password comes from PGPASSWORD or ~/.pgpass
    name: of the index, any text
    Raises ConfigError where the table was written for another embedder or by somebody else, StoreError where the server
    fails, MissingExtraError.
    """

    def __init__(
        self, where: str, name: str, *, embedder_name: str, dimension: int, patience: StorePatience | None = None
    ) -> None:
        check_address(where)
        self.where = where
        self.dimension = dimension
        self._driver = _psycopg()
        self._patience = patience or StorePatience()
        self._table = table_name(name)
        self._schema = "public"
        self._connection: Any = None
        self._mutex = threading.Lock()
        try:
            self._patiently(lambda cursor: self._prepare(cursor, embedder_name))
        except BaseException:
            self.close()
            raise

    def add(self, ids: Sequence[str], vectors: np.ndarray, metadatas: Sequence[Mapping[str, Scalar]] = ()) -> None:
        """Keep `vectors` [n, dimension] under `ids` [n]; a name that exists takes the new vector."""
        check_shape(vectors, len(ids), self.dimension)
        rows = [
            (name, vector, json.dumps(dict(about), ensure_ascii=False))
            for name, vector, about in zip(ids, _packed(vectors), metadatas or [{}] * len(ids), strict=True)
        ]
        self._patiently(lambda cursor: self._upsert(cursor, rows))

    def delete(self, ids: Sequence[str]) -> None:
        """Forget these; unknown names are nothing to forget."""
        self._patiently(lambda cursor: self._execute(cursor, "DELETE FROM {table} WHERE id = ANY(%s)", [list(ids)]))

    def query(self, vector: np.ndarray, n: int) -> list[tuple[str, float]]:
        """The `n` nearest names with their cosine similarity, best first."""
        asked = "[" + ",".join(map(repr, np.asarray(vector, dtype=np.float32).ravel().tolist())) + "]"
        text = (
            "SELECT id, 1 - (embedding OPERATOR({schema}.<=>) %s::{vector}) AS nearness FROM {table} "
            "ORDER BY nearness DESC, id LIMIT %s"
        )
        found = self._rows(text, [asked, n])
        return [(name, float(nearness)) for name, nearness in found]

    def get(self, ids: Sequence[str]) -> np.ndarray:
        """[len(ids), dimension] in the order of `ids`. Raises MissingVectorsError where one is not there."""
        names = list(dict.fromkeys(ids))
        found: dict[str, bytes] = {}
        text = "SELECT id, embedding FROM {table} WHERE id = ANY(%s)"
        for part in _parts(names):
            found.update(self._rows(text, [part]))
        if len(found) < len(names):
            raise missing_vectors(self.where, len(names) - len(found), len(names))
        return self._unpacked([found[name] for name in ids])

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` there are."""
        text = "SELECT id FROM {table} WHERE id = ANY(%s)"
        found: set[str] = set()
        for part in _parts(list(ids)):
            found.update(name for (name,) in self._rows(text, [part]))
        return found

    def ids(self) -> list[str]:
        """Every name."""
        return [name for (name,) in self._rows("SELECT id FROM {table} ORDER BY id")]

    def all(self) -> tuple[list[str], np.ndarray]:
        """Every name and its vector: ids [n], vectors [n, dimension]."""
        names = self.ids()
        return names, self.get(names)

    def count(self) -> int:
        """How many vectors there are."""
        return int(self._rows("SELECT count(*) FROM {table}")[0][0])

    def close(self) -> None:
        """Give back the connection; a second call does nothing."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _prepare(self, cursor: Any, embedder_name: str) -> None:
        """The table, made where there is none. One that is there must be ours, and of this embedder."""
        # Two processes may come at once; the lock goes with the transaction.
        self._execute(cursor, "SELECT pg_advisory_xact_lock(hashtext(%s))", [self._table])
        self._need_extension(cursor)
        there = self._execute(cursor, "SELECT to_regclass(quote_ident(%s))::oid", [self._table]).fetchone()[0]
        if there is not None:
            self._check_table(cursor, there, embedder_name)
            return
        self._execute(
            cursor,
            'CREATE TABLE {table} (id text COLLATE "C" PRIMARY KEY, '
            f"embedding {{vector}}({self.dimension}) NOT NULL, metadata jsonb NOT NULL)",
        )
        written = {"written_by": "pagoda", "embedder": embedder_name, "dimension": self.dimension}
        self._execute(cursor, "COMMENT ON TABLE {table} IS {comment}", comment=json.dumps(written, ensure_ascii=False))

    def _check_table(self, cursor: Any, oid: int, embedder_name: str) -> None:
        known = _read(cursor.execute("SELECT obj_description(%s, 'pg_class')", [oid]).fetchone()[0])
        if known.get("written_by") != "pagoda":
            raise ConfigError(f"table {self._table!r} of {self.where} was not written by pagoda: use another database")
        held = (str(known["embedder"]), int(known["dimension"]))
        check_embedder(self.where, held, (embedder_name, self.dimension))

    def _need_extension(self, cursor: Any) -> None:
        """The type `vector`, installed where that is allowed. Raises ConfigError."""
        if self._finds_extension(cursor):
            return
        try:
            self._execute(cursor, "CREATE EXTENSION IF NOT EXISTS vector")
        except self._driver.Error as error:
            raise ConfigError(
                f"the database {self.where} lacks the extension vector ({_reason(error)}): install pgvector on its "
                "server, and let its owner run CREATE EXTENSION vector"
            ) from error
        self._finds_extension(cursor)

    def _finds_extension(self, cursor: Any) -> bool:
        """Whether it is installed, and in which schema, which need not be on the search path."""
        found = cursor.execute(
            "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace "
            "WHERE extname = 'vector'"
        ).fetchone()
        self._schema = found[0] if found else self._schema
        return found is not None

    def _upsert(self, cursor: Any, rows: Sequence[tuple[str, bytes, str]]) -> None:
        self._execute(
            cursor, "CREATE TEMPORARY TABLE fresh (id text, embedding {vector}, metadata text) ON COMMIT DROP"
        )
        with cursor.copy("COPY fresh FROM STDIN (FORMAT BINARY)") as copy:
            # In binary form a text and a row of bytes are what they are; the server reads the bytes as its own type.
            copy.set_types(["text", "bytea", "text"])
            for row in rows:
                copy.write_row(row)
        self._execute(
            cursor,
            "INSERT INTO {table} SELECT id, embedding, metadata::jsonb FROM fresh ON CONFLICT (id) DO UPDATE "
            "SET embedding = EXCLUDED.embedding, metadata = EXCLUDED.metadata",
        )

    def _execute(self, cursor: Any, text: str, values: Sequence[Any] = (), *, comment: str = "") -> Any:
        """A statement whose {table}, {schema}, {vector} and {comment} are filled in as names and a text."""
        sql = self._driver.sql
        filled = sql.SQL(text).format(
            table=sql.Identifier(self._table),
            schema=sql.Identifier(self._schema),
            vector=sql.Identifier(self._schema, "vector"),
            comment=sql.Literal(comment),
        )
        return cursor.execute(filled, values)

    def _rows(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a question gives, asked patiently."""
        return self._patiently(lambda cursor: self._execute(cursor, text, values).fetchall())

    def _unpacked(self, vectors: Sequence[bytes]) -> np.ndarray:
        data = b"".join(vector[_HEADER.size :] for vector in vectors)
        return np.frombuffer(data, dtype=">f4").astype(np.float32).reshape(len(vectors), self.dimension)

    def _patiently(self, work: Callable[[Any], _T]) -> _T:
        """What `work` gives, done in one transaction; a server that does not answer is asked again."""

        def attempt() -> _T:
            with self._mutex, self._transaction() as cursor:
                return work(cursor)

        return self._patience.call(attempt, may_pass=self._may_pass, told=self._told)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A cursor of a connection that is alive; what is done with it is committed at the end, or taken back."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        with self._connection.transaction(), self._connection.cursor(binary=True) as cursor:
            yield cursor

    def _connect(self) -> Any:
        seconds = max(1, round(self._patience.timeout_s))
        connection = self._driver.connect(
            self.where,
            autocommit=True,
            connect_timeout=seconds,
            application_name="pagoda",
            # A server that vanishes without a word: TCP would wait for a quarter of an hour.
            keepalives_idle=seconds,
            tcp_user_timeout=1000 * seconds,
        )
        connection.execute(f"SET statement_timeout = {1000 * seconds}")
        return connection

    def _may_pass(self, error: Exception) -> bool:
        """No connection, a restart, a deadlock; not a wrong password or a missing database, which stay as they are."""
        if not isinstance(error, self._driver.OperationalError):
            return False
        state = getattr(error, "sqlstate", None)
        if state is not None:
            return state[:2] in ("08", "40", "53", "57")
        return not any(words in str(error) for words in ("authentication failed", "does not exist", "no password"))

    def _told(self, error: Exception) -> StoreError:
        reason = _reason(error)
        if getattr(error, "sqlstate", None) == "53100" or "no space left" in reason.lower():
            return StoreError(
                f"no space left on the disk of {self.where}: free some and run again; what was committed is kept"
            )
        if "authentication failed" in reason or "no password supplied" in reason:
            return StoreError(
                f"the vector store at {self.where} does not let this user in ({reason}): set PGPASSWORD, or write the "
                "password into ~/.pgpass"
            )
        if isinstance(error, self._driver.OperationalError):
            return unreachable(self.where, reason)
        return StoreError(f"the vector store at {self.where} fails ({reason}): check the rights of its user")


def table_name(name: str) -> str:
    """A name that PostgreSQL takes, of at most 63 bytes.

    >>> table_name("pagoda-3f2a"), len(table_name("手册" * 40))
    ('pagoda-3f2a', 50)
    """
    if name.isascii() and name.startswith("pagoda-") and len(name) <= _LONGEST_TABLE_NAME and "\0" not in name:
        return name
    return f"pagoda-vectors-{hashlib.sha256(name.encode()).hexdigest()[:35]}"


def _packed(vectors: np.ndarray) -> Iterator[bytes]:
    header = _HEADER.pack(vectors.shape[1], 0)
    for row in np.ascontiguousarray(vectors, dtype=">f4"):
        yield header + row.tobytes()


def _parts(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _NAMES_PER_CALL):
        yield names[start : start + _NAMES_PER_CALL]


def _read(comment: str | None) -> dict[str, Any]:
    try:
        found = json.loads(comment or "")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    """The server's words in one line; drivers repeat them for each address that they tried."""
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__


def _psycopg() -> Any:
    try:
        import psycopg
        import psycopg.sql
    except ImportError as error:
        # Also where the driver is there and PostgreSQL's own library is not.
        raise MissingExtraError("the vector store (psycopg)", "pgvector") from error
    return psycopg
