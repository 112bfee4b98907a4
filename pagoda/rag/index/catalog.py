"""The catalog: which documents an index holds, which chunks each was cut into. It is the truth of an index.

Third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. A document changes in
three steps: vectors of its new chunks are written, then ONE transaction here swaps its chunks, then vectors that
nobody names any more go. A kill between any two of them leaves either the old document or the new one, whole.
SQLite in WAL mode (https://sqlite.org/wal.html): readers see one moment while a writer works. A connection lives as
long as one operation, so that threads share nothing and an index that was removed and made anew is noticed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk, Scalar
from pagoda.rag.documents.places import Places
from pagoda.rag.errors import RagError

# "pgda": SQLite keeps it in the file's header, so that anybody else's database is told apart before it is read.
APPLICATION_ID = 0x70676461
SCHEMA_VERSION = 4
BUSY_TIMEOUT_S = 10.0
_NAMES_PER_QUERY = 500
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, location TEXT NOT NULL UNIQUE, content_hash TEXT NOT NULL,
    file_hash TEXT NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, recipe TEXT NOT NULL,
    title TEXT NOT NULL, num_chars INTEGER NOT NULL, checked_at TEXT NOT NULL);
CREATE TABLE chunks (
    chunk_id TEXT PRIMARY KEY, document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    position INTEGER NOT NULL, text TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, line INTEGER NOT NULL,
    page INTEGER, title TEXT NOT NULL, sentences TEXT NOT NULL, metadata TEXT NOT NULL,
    places TEXT NOT NULL, section TEXT NOT NULL, is_embedded INTEGER NOT NULL);
CREATE TABLE tokens (name TEXT PRIMARY KEY, packed BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX chunks_of_document ON chunks (document_id, position);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
_CHUNK_COLUMNS = (
    "chunk_id, source, text, start, end, line, page, chunks.title, sentences, metadata, places, section, is_embedded"
)
_CHUNK_FIELDS = [name.strip().removeprefix("chunks.") for name in _CHUNK_COLUMNS.split(",")]
_DOCUMENT_COLUMNS = "source, location, content_hash, file_hash, mtime_ns, size, recipe, title, num_chars, checked_at"


def now() -> str:
    """The time as records keep it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class DocumentRecord:
    """What the catalog knows of a document beside its chunks.

    source: the name that people see; location: the absolute path of the file, which tells documents apart
    content_hash: of the text; file_hash: of the bytes; mtime_ns, size: of the file, the short-cut before hashing
    checked_at: when the file was last compared with this record
    recipe: how the text was cut and loaded; another recipe is a reason to cut again
    """

    source: str
    location: str
    content_hash: str
    file_hash: str
    mtime_ns: int
    size: int
    recipe: str
    title: str = ""
    num_chars: int = 0
    checked_at: str = field(default_factory=now)


class Catalog:
    """The catalog in one SQLite file. Raises ConfigError where the file is somebody else's, RagError where it fails."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    def create(cls, file: Path, meta: Mapping[str, str]) -> Catalog:
        """A new catalog. It is made beside its place and moved there, so that a half-made one is never seen."""
        draft = file.with_name(f"{file.name}.{uuid.uuid4().hex}.new")
        entries = {"generation": "0", "index_id": uuid.uuid4().hex, **meta}
        with _told(file):
            with contextlib.closing(sqlite3.connect(draft)) as database:
                database.executescript(_SCHEMA)
                database.executemany("INSERT INTO meta VALUES (?, ?)", entries.items())
                database.commit()
                database.execute("PRAGMA journal_mode = WAL")
            draft.replace(file)
        return cls(file)

    def check(self) -> None:
        """Raise ConfigError unless this is a catalog that this version of pagoda reads."""
        with _told(self.file), self._connect() as database:
            application_id = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
        if application_id != APPLICATION_ID:
            raise ConfigError(
                f"{self.file} is a database of another program, not an index of pagoda: name a new folder"
            )
        if version != SCHEMA_VERSION:
            raise ConfigError(
                f"{self.file} has schema version {version}, this pagoda reads version {SCHEMA_VERSION}: "
                "index the documents into a new folder, or use the pagoda that wrote it"
            )

    def meta(self) -> dict[str, str]:
        """Names of the embedder and of the store, the generation, the time of the last change."""
        with self._reading() as database:
            return dict(database.execute("SELECT key, value FROM meta"))

    @property
    def generation(self) -> int:
        """Grows with each change of a document."""
        return int(self.meta()["generation"])

    def documents(self) -> list[DocumentRecord]:
        """Every document, ordered by source."""
        with self._reading() as database:
            rows = database.execute(f"SELECT {_DOCUMENT_COLUMNS} FROM documents ORDER BY source")
            return [DocumentRecord(*row) for row in rows]

    def chunks(self, source: str | None = None) -> list[Chunk]:
        """Every chunk, of one document or of all, ordered by source and position."""
        return self.chunks_at_generation(source)[1]

    def chunks_at_generation(self, source: str | None = None) -> tuple[int, list[Chunk]]:
        """The generation and its chunks, read at the same moment."""
        with self._reading() as database:
            generation = int(database.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])
            rows = database.execute(
                f"SELECT {_CHUNK_COLUMNS} FROM chunks JOIN documents ON documents.id = document_id "
                "WHERE ?1 IS NULL OR source = ?1 ORDER BY source, position",
                (source,),
            )
            return generation, [_chunk(row) for row in rows]

    def contents(self) -> tuple[int, list[tuple[DocumentRecord, list[Chunk]]]]:
        """The generation and every document with its chunks, read at the same moment, ordered by source."""
        with self._reading() as database:
            generation = int(database.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])
            rows = database.execute(f"SELECT {_DOCUMENT_COLUMNS} FROM documents ORDER BY source").fetchall()
            found = {row[0]: (DocumentRecord(*row), list[Chunk]()) for row in rows}
            for row in database.execute(
                f"SELECT {_CHUNK_COLUMNS} FROM chunks JOIN documents ON documents.id = document_id ORDER BY position"
            ):
                chunk = _chunk(row)
                found[chunk.source][1].append(chunk)
        return generation, list(found.values())

    def chunk(self, chunk_id: str) -> Chunk | None:
        """One chunk, or None where no document has it."""
        with self._reading() as database:
            row = database.execute(
                f"SELECT {_CHUNK_COLUMNS} FROM chunks JOIN documents ON documents.id = document_id WHERE chunk_id = ?",
                (chunk_id,),
            ).fetchone()
        return None if row is None else _chunk(row)

    def counts(self) -> tuple[int, int, int]:
        """Documents, chunks, characters of the documents."""
        with self._reading() as database:
            documents, characters = database.execute("SELECT count(*), total(num_chars) FROM documents").fetchone()
            (chunks,) = database.execute("SELECT count(*) FROM chunks").fetchone()
        return documents, chunks, int(characters)

    def replace(self, documents: Iterable[tuple[DocumentRecord, Sequence[Chunk]]], deleted: Iterable[str] = ()) -> None:
        """In one transaction: these documents have these chunks, and the `deleted` sources are gone."""
        with self._writing() as database:
            database.executemany("DELETE FROM documents WHERE source = ?", [(source,) for source in deleted])
            for record, chunks in documents:
                database.execute(
                    "DELETE FROM documents WHERE source = ? OR location = ?", (record.source, record.location)
                )
                document_id = _insert_document(database, record)
                rows = [_row(chunk, document_id, position) for position, chunk in enumerate(chunks)]
                database.executemany(f"INSERT INTO chunks VALUES ({', '.join('?' * 14)})", rows)
            database.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
            database.execute("INSERT OR REPLACE INTO meta VALUES ('updated_at', ?)", (now(),))

    def touch(self, records: Iterable[DocumentRecord]) -> None:
        """Note where the files of unchanged documents are and when they were written; no new generation."""
        rows = [(r.location, r.file_hash, r.mtime_ns, r.size, r.checked_at, r.source) for r in records]
        names = "location = ?, file_hash = ?, mtime_ns = ?, size = ?, checked_at = ?"
        with self._writing() as database:
            database.executemany(f"UPDATE documents SET {names} WHERE source = ?", rows)

    def add_tokens(self, packed: Mapping[str, bytes]) -> None:
        """Keep the packed tokens of sentences by the names of their vectors; no new generation."""
        with self._writing() as database:
            database.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?)", packed.items())

    def tokens(self, names: Sequence[str]) -> dict[str, bytes]:
        """The packed tokens of those of `names` that have any."""
        found: dict[str, bytes] = {}
        with self._reading() as database:
            for start in range(0, len(names), _NAMES_PER_QUERY):
                part = names[start : start + _NAMES_PER_QUERY]
                marks = ", ".join("?" * len(part))
                found.update(database.execute(f"SELECT name, packed FROM tokens WHERE name IN ({marks})", part))
        return found

    def token_names(self) -> set[str]:
        """Every name that has tokens."""
        with self._reading() as database:
            return {name for (name,) in database.execute("SELECT name FROM tokens")}

    def delete_tokens(self, names: Iterable[str]) -> None:
        """Forget these; unknown names are nothing to forget."""
        with self._writing() as database:
            database.executemany("DELETE FROM tokens WHERE name = ?", [(name,) for name in names])

    def is_unfinished(self) -> bool:
        """Whether a run that wrote did not come to its end, or vectors were found to be missing."""
        return self.meta().get("unfinished") == "1"

    def mark_unfinished(self, unfinished: bool) -> None:
        """Note that a run begins to write, or came to its end; no new generation."""
        self.note("unfinished", str(int(unfinished)))

    def note(self, key: str, value: str) -> None:
        """Keep one more fact about the index; no new generation."""
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _told(self.file), self._connect() as database:
            # One transaction: whatever is read in it belongs to the same moment.
            database.execute("BEGIN")
            yield database

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _told(self.file), self._connect() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """A connection in autocommit mode, closed at the end; what was not committed is rolled back by that."""
        uri = f"{self.file.absolute().as_uri()}?{_uri_mode(self.file)}"
        database = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            database.execute("PRAGMA foreign_keys = ON")
            # FULL: a document that was reported as indexed survives a loss of power, too.
            database.execute("PRAGMA synchronous = FULL")
            yield database
        finally:
            database.close()


def _uri_mode(file: Path) -> str:
    """WAL needs a file beside the database; where nobody can make one, nobody can write either: immutable."""
    wal = file.with_name(f"{file.name}-wal")
    frozen = not os.access(file.parent, os.W_OK) and not wal.exists()
    return "mode=ro&immutable=1" if frozen else "mode=rw"


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    """SQLite's errors in our words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RagError(_advice(file, str(error))) from error
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{file} is not an index of pagoda, or is damaged ({error}): name a new folder") from error
    except OSError as error:
        raise RagError(_advice(file, error.strerror or str(error))) from error


def _advice(file: Path, reason: str) -> str:
    """What to do about a failure, by the words that SQLite or the system found for it."""
    lowered = reason.lower()
    if "full" in lowered or "no space" in lowered:
        return f"no space left on the disk of {file}: free some and run again; what was committed is kept"
    if "locked" in lowered:
        return f"{file} is locked by another process: wait for it to end and run again; nothing was changed"
    if "readonly" in lowered or "read-only" in lowered or "permission" in lowered:
        return f"{file} cannot be written ({reason}): make its folder writable, or open it with read_only=True"
    return f"{file} cannot be used ({reason}): check the folder and its permissions"


def _insert_document(database: sqlite3.Connection, record: DocumentRecord) -> int:
    marks = ", ".join("?" * len(_DOCUMENT_COLUMNS.split(",")))
    values = tuple(getattr(record, name.strip()) for name in _DOCUMENT_COLUMNS.split(","))
    cursor = database.execute(f"INSERT INTO documents ({_DOCUMENT_COLUMNS}) VALUES ({marks})", values)
    assert cursor.lastrowid is not None, "an INSERT has a row"
    return cursor.lastrowid


def _row(chunk: Chunk, document_id: int, position: int) -> tuple[Scalar | None, ...]:
    place = (chunk.start, chunk.end, chunk.line, chunk.page)
    sentences, metadata = json.dumps(chunk.sentences), json.dumps(dict(chunk.metadata), ensure_ascii=False)
    packed = (sentences, metadata, json.dumps(asdict(chunk.places)))
    about = (chunk.section, chunk.is_embedded + chunk.is_whole)
    return (chunk.chunk_id, document_id, position, chunk.text, *place, chunk.title, *packed, *about)


def _chunk(row: tuple[Any, ...]) -> Chunk:
    """`row`: of _CHUNK_COLUMNS."""
    fields = dict(zip(_CHUNK_FIELDS, row, strict=True))
    fields["sentences"] = tuple((first, last) for first, last in json.loads(fields["sentences"]))
    fields["metadata"] = json.loads(fields["metadata"])
    fields["places"] = Places.from_dict(json.loads(fields["places"]))
    # 0: not at all, 1: its sentences, 2: all of it.
    fields["is_whole"] = fields["is_embedded"] > 1
    fields["is_embedded"] = fields["is_embedded"] > 0
    return Chunk(**fields)
