"""An index as one file that other programs read, and an index from such a file.

Beside the third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. JSON Lines: a
line that says what follows, a line for each document, after it a line for each of its chunks, and at last a line that
says how many there were, without which the file is not whole.

    {"format": "pagoda-index", "version": 1, "embedder": NAME, "dimension": N, "vectors": true, "documents": N, ...}
    {"document": {"source", "title", "content_hash", ...}}
    {"chunk": {"chunk_id", "source", "text", "start", "end", "line", "page", "section", "metadata", "sentences", ...},
     "vectors": BASE64}
    {"end": {"documents": N, "chunks": N}}

vectors: of the chunk's sentences, [num_sentences, dimension] float32, little-endian, L2-normalised; tokens: those of
late interaction, packed, a text for each sentence. Where files lay on the machine that wrote the index is not told.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from dataclasses import fields as fields_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk
from pagoda.rag.errors import IndexLockedError, RagError
from pagoda.rag.index.catalog import DocumentRecord
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.snapshot import Snapshot, chunk_from, seen_by, vector_ids
from pagoda.rag.index.writer import IndexWriter

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder

FORMAT, VERSION = "pagoda-index", 1
_BATCH_SENTENCES = 2048
_FLOAT = np.dtype("<f4")


@dataclass
class _Entry:
    """A document with its chunks. vectors: by their names; tokens: likewise."""

    record: DocumentRecord
    chunks: list[Chunk] = field(default_factory=list)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)


def export_index(
    index: RagIndex, file: str | Path, *, vectors: bool = False, on_progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Write what an index holds to `file`, which is there whole or as it was; how many documents and chunks.

    vectors: those of the sentences, too; on_progress: takes how many chunks are written, of how many
    Raises RagError where the file cannot be written, IndexLockedError where its vectors are being written.
    """
    generation, documents = index.catalog.contents()
    extras = _extras(index, generation) if vectors else {}
    total = sum(len(chunks) for _, chunks in documents)
    counts = {"documents": len(documents), "chunks": total}
    done = 0
    with _replacing(Path(file).expanduser()) as draft:
        _write(draft, {**_header(index), "vectors": vectors, **counts})
        for record, chunks in documents:
            told = asdict(record)
            del told["location"]
            _write(draft, {"document": told})
            for chunk in chunks:
                _write(draft, {"chunk": asdict(chunk), **extras.get(chunk.chunk_id, {})})
            done += len(chunks)
            if on_progress is not None:
                on_progress(done, total)
        _write(draft, {"end": counts})
    return len(documents), total


def _header(index: RagIndex) -> dict[str, Any]:
    meta = index.catalog.meta()
    made = {"embedder": meta["embedder"], "dimension": int(meta["dimension"]), "updated_at": meta.get("updated_at", "")}
    return {"format": FORMAT, "version": VERSION, **made}


def import_index(
    file: str | Path, index: RagIndex, embedder: Embedder, on_progress: Callable[[int], None] | None = None
) -> tuple[int, int]:
    """Put what an export holds into an empty index; how many documents and chunks.

    Sentences without a vector in the file are embedded. on_progress: takes how many more have one
    Raises ConfigError where the index is not empty, the file is no export or not whole, or its vectors are another
    embedder's, and then nothing was changed; what a kill interrupts is continued by the next run of `add`.
    """
    with index.writing() as open_store:
        if index.catalog.counts()[0]:
            raise ConfigError(f"{index.path} holds documents already: name a new folder for what is imported")
        entries = _read(Path(file).expanduser(), embedder)
        index.catalog.mark_unfinished(True)
        for entry in entries:
            _keep(entry, index, open_store)
        index.catalog.replace((entry.record, entry.chunks) for entry in entries)
        # Whatever has no vector yet is what an interrupted run would have left.
        writer = IndexWriter(index, open_store, embedder, _BATCH_SENTENCES)
        writer.repair(on_progress or (lambda num_sentences: None))
        writer.finish()
        index.keep_snapshot(open_store())
    return len(entries), sum(len(entry.chunks) for entry in entries)


def _keep(entry: _Entry, index: RagIndex, open_store: Callable[[], Any]) -> None:
    """Tokens before vectors, as an index is written."""
    if entry.tokens:
        index.catalog.add_tokens(entry.tokens)
    if entry.vectors:
        open_store().add(list(entry.vectors), np.stack(list(entry.vectors.values())))


def _extras(index: RagIndex, generation: int) -> dict[str, dict[str, Any]]:
    """Vectors and tokens of each chunk, as lines hold them."""
    snapshot = index.snapshot()
    if snapshot.generation != generation:
        raise IndexLockedError(
            f"the index {index.path} is being written, and its vectors are not all there yet: wait for it to end and "
            "run again, or export without vectors"
        )
    return dict(_chunk_extras(snapshot))


def _chunk_extras(snapshot: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    row = 0
    for chunk in snapshot.chunks:
        first, row = row, row + len(vector_ids(chunk))
        found: dict[str, Any] = {"vectors": _text(snapshot.vectors[first:row].astype(_FLOAT).tobytes())}
        if snapshot.tokens:
            found["tokens"] = [_text(blob) for blob in snapshot.tokens[first:row]]
        yield chunk.chunk_id, found


def _read(file: Path, embedder: Embedder) -> list[_Entry]:
    """All of an export. Raises ConfigError."""
    try:
        with file.open(encoding="utf-8") as lines:
            header = _parsed(file, 1, next(lines, ""))
            _check_header(file, header, embedder)
            entries = _entries(file, lines, embedder.dimension)
    except OSError as error:
        raise RagError(f"{file} cannot be read ({error.strerror}): check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no export of an index: it is no UTF-8") from error
    if not header["vectors"]:
        for entry in entries:
            # Another embedder reads other chunks.
            entry.chunks = [seen_by(embedder, chunk) for chunk in entry.chunks]
    return entries


def _check_header(file: Path, header: dict[str, Any], embedder: Embedder) -> None:
    if header.get("format") != FORMAT:
        raise ConfigError(f"{file} is no export of an index: its first line does not say so")
    if header.get("version") != VERSION:
        raise ConfigError(f"{file} has version {header.get('version')}, this pagoda reads version {VERSION}")
    known = (header.get("embedder"), header.get("dimension"))
    if not isinstance(header.get("vectors"), bool):
        raise ConfigError(f"{file} does not say whether it holds vectors: export the index again")
    if header["vectors"] and known != (embedder.name, embedder.dimension):
        raise ConfigError(
            f"{file} holds vectors of {known[0]} (dimension {known[1]}), but the embedder is {embedder.name} (dimension"
            f" {embedder.dimension}): import it with --embedder {known[0]}, or export it without vectors"
        )


def _entries(file: Path, lines: Iterator[str], dimension: int) -> list[_Entry]:
    entries: list[_Entry] = []
    names: set[str] = set()
    sources: set[str] = set()
    for number, line in enumerate(lines, start=2):
        told = _parsed(file, number, line)
        if "end" in told:
            num_chunks = sum(len(entry.chunks) for entry in entries)
            if told["end"] == {"documents": len(entries), "chunks": num_chunks} and next(lines, None) is None:
                return entries
            break
        with _understood(file, number):
            if "document" in told:
                # The file is found again by its name; where it lay elsewhere says nothing here.
                record = DocumentRecord(**told["document"], location=told["document"]["source"])
                _check_types(record)
                if record.source in sources:
                    raise ValueError(f"document {record.source} stands in it twice")
                sources.add(record.source)
                entries.append(_Entry(record))
            else:
                chunk = _take_chunk(entries[-1], told, dimension)
                if chunk.chunk_id in names:
                    raise ValueError(f"chunk {chunk.chunk_id} stands in it twice")
                names.add(chunk.chunk_id)
    raise ConfigError(f"{file} is not whole: its last line does not say what it should hold; export the index again")


def _take_chunk(entry: _Entry, fields: dict[str, Any], dimension: int) -> Chunk:
    chunk = chunk_from(fields["chunk"])
    _check_types(chunk)
    if not 0 <= chunk.start <= chunk.end <= entry.record.num_chars or len(chunk.text) != chunk.end - chunk.start:
        raise ValueError(f"chunk {chunk.chunk_id} is not where it says")
    if chunk.source != entry.record.source:
        raise ValueError(f"chunk of {chunk.source} below document {entry.record.source}")
    entry.chunks.append(chunk)
    names = vector_ids(chunk)
    if "vectors" in fields:
        data = base64.b64decode(fields["vectors"], validate=True)
        vectors = np.frombuffer(data, dtype=_FLOAT).reshape(len(names), dimension).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("vectors that are not finite")
        entry.vectors.update(zip(names, vectors, strict=True))
    tokens = [base64.b64decode(text, validate=True) for text in fields.get("tokens", ())]
    if tokens:
        entry.tokens.update(zip(names, tokens, strict=True))
    return chunk


def _check_types(found: DocumentRecord | Chunk) -> None:
    """Raises TypeError, ValueError where a text, a number or a truth is something else, or a text cannot be kept."""
    kinds = {"str": str, "int": int, "int | None": int | None, "bool": bool}
    for known in fields_of(found):
        value, kind = getattr(found, known.name), kinds.get(str(known.type))
        if kind is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise TypeError(f"{known.name} is {value!r:.40}, expected {known.type}")
        if isinstance(value, str):
            # Half a pair of surrogates is no character.
            value.encode()


def _parsed(file: Path, number: int, line: str) -> dict[str, Any]:
    with _understood(file, number):
        fields = json.loads(line)
        if not isinstance(fields, dict):
            raise ValueError("no object")
        return fields


@contextlib.contextmanager
def _understood(file: Path, number: int) -> Iterator[None]:
    """What a line lacks or has too much, in our words."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        told = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{file} is no export of an index, or is damaged in line {number} ({told})") from error


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Any]:
    """A file beside `target` that takes its place at the end, and is gone where something fails."""
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.new")
    try:
        try:
            with draft.open("x", encoding="utf-8", newline="\n") as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise RagError(f"{target} cannot be written ({error.strerror}): name a file in a folder with space") from error


def _write(draft: Any, fields: dict[str, Any]) -> None:
    draft.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
