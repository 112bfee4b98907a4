"""What questions are asked of: the chunks and vectors of one generation of an index, in memory and as files.

Third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. A snapshot never changes,
so that a question sees one moment while another process writes. Its files spare a new process the vector store.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from pagoda.rag.documents.document import Chunk
from pagoda.rag.documents.places import Places
from pagoda.rag.embedding.vectors import Embedder, PassageEmbedder, reads

_FOLDER = re.compile(r"snapshot-(\d+)")
_SIZES = "sizes.json"
_MAPPED_BYTES = 64 << 20
"""Files of this size are read as they are used; smaller ones at once, so that nobody can cut them off meanwhile."""


@dataclass(frozen=True)
class Snapshot:
    """All that a question is asked of, at one moment.

    vectors: [num_sentences, dimension] float32, L2-normalised, sentences in the order of the chunks
    owner: [num_sentences] int32, the row of `chunks` that each sentence belongs to
    tokens: of each sentence, packed (see `token_vectors`); empty where the embedder tells none
    """

    generation: int
    chunks: list[Chunk]
    vectors: np.ndarray
    owner: np.ndarray
    tokens: Sequence[bytes] = ()


def vector_ids(chunk: Chunk) -> list[str]:
    """The name of each sentence's vector: the chunk, and where in it the sentence stands.

    The chunk's id is a hash of its source, place and text, so that a name determines what was embedded: writing a
    vector twice is harmless, and what a killed run embedded is found again.

    A chunk that the embedder cannot read has none.

    >>> vector_ids(Chunk("c", "a.txt", "One. Two.", 10, 19, 1, sentences=((10, 14), (15, 19))))
    ['c#0-4', 'c#5-9']
    """
    return [f"{chunk.chunk_id}#{start - chunk.start}-{end - chunk.start}" for start, end in chunk.embedded_spans]


def seen_by(embedder: Embedder, chunk: Chunk) -> Chunk:
    """A chunk as an embedder has it: not at all, by its sentences, or as a whole.

    What it cannot read is found by its words; its vectors would cost most of the time and never count.
    """
    is_read = reads(embedder, chunk.text)
    is_whole = is_read and isinstance(embedder, PassageEmbedder) and embedder.wants_whole(chunk.text)
    return replace(chunk, is_embedded=is_read, is_whole=is_whole)


def owners(chunks: list[Chunk]) -> np.ndarray:
    """[num_sentences] int32: the row of the chunk that each sentence belongs to."""
    counts = [len(vector_ids(chunk)) for chunk in chunks]
    return np.repeat(np.arange(len(chunks), dtype=np.int32), counts)


class _Blobs(Sequence[bytes]):
    """Stretches of a file; of a large one they are read when they are asked for: most questions want few of them."""

    def __init__(self, file: Path, sizes: np.ndarray) -> None:
        """Raises ValueError where the file has another length, OSError."""
        self._ends = np.concatenate([[0], np.cumsum(sizes)])
        if file.stat().st_size != self._ends[-1]:
            raise ValueError("the tokens are not whole")
        is_large = self._ends[-1] >= max(1, _MAPPED_BYTES)
        self._data = np.memmap(file, dtype=np.uint8, mode="r") if is_large else np.fromfile(file, dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        return self._data[self._ends[place] : self._ends[place + 1]].tobytes()


def save_snapshot(snapshot: Snapshot, folder: Path) -> Snapshot:
    """Write it below `folder` and remove older ones. It can be computed anew: no space for it is no error.

    Gives the same with vectors and tokens as they lie in the files, where these could be written.
    """
    with contextlib.suppress(OSError):
        draft = Path(tempfile.mkdtemp(prefix="snapshot-draft-", dir=folder))
        try:
            draft.chmod(0o755)
            np.save(draft / "vectors.npy", snapshot.vectors)
            np.save(draft / "token_sizes.npy", np.array([len(blob) for blob in snapshot.tokens], dtype=np.int64))
            with (draft / "tokens.bin").open("wb") as binary:
                binary.writelines(snapshot.tokens)
            with (draft / "chunks.jsonl").open("w", encoding="utf-8") as file:
                # What `asdict` would say, which copies every number of every sentence before it is written.
                lines = (json.dumps(vars(chunk), default=vars, ensure_ascii=False) for chunk in snapshot.chunks)
                file.writelines(line + "\n" for line in lines)
            sizes = {path.name: path.stat().st_size for path in draft.iterdir()}
            (draft / _SIZES).write_text(json.dumps(sizes), encoding="utf-8")
            target = folder / f"snapshot-{snapshot.generation}"
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
            snapshot = replace(snapshot, vectors=_load_vectors(target), tokens=_load_tokens(target))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    _remove_all_but(folder, snapshot.generation)
    return snapshot


def load_snapshot(folder: Path, generation: int | None = None) -> Snapshot | None:
    """The snapshot of a generation, or the newest where none is named; None where there is none that can be read."""
    saved = dict(_saved(folder))
    if generation is None:
        generation = max(saved, default=None)
    if generation not in saved:
        return None
    try:
        vectors = _load_vectors(saved[generation])
        with (saved[generation] / "chunks.jsonl").open(encoding="utf-8") as file:
            chunks = [chunk_from(json.loads(line)) for line in file]
        tokens = _load_tokens(saved[generation])
    except (OSError, ValueError, KeyError, TypeError):
        # Removed by a writer while it was read, or damaged: it is made anew from the store.
        return None
    owner = owners(chunks)
    is_whole = len(owner) == len(vectors) and len(tokens) in (0, len(vectors))
    return Snapshot(generation, chunks, vectors, owner, tokens) if is_whole else None


def is_saved(folder: Path, generation: int) -> bool:
    """Whether the snapshot of a generation is there, by the sizes of its files: reading them takes seconds."""
    place = folder / f"snapshot-{generation}"
    try:
        sizes = json.loads((place / _SIZES).read_text(encoding="utf-8"))
        return all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        # Gone; or written before sizes were, and then it is read.
        return load_snapshot(folder, generation) is not None


def _load_vectors(folder: Path) -> np.ndarray:
    """[num_sentences, dimension]. Raises OSError, ValueError."""
    file = folder / "vectors.npy"
    vectors: np.ndarray = np.load(file, mmap_mode="r" if file.stat().st_size >= _MAPPED_BYTES else None)
    return vectors


def _load_tokens(folder: Path) -> Sequence[bytes]:
    """Of each sentence. Raises OSError, ValueError."""
    return _Blobs(folder / "tokens.bin", np.load(folder / "token_sizes.npy"))


def _saved(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob("snapshot-*"):
        if match := _FOLDER.fullmatch(path.name):
            yield int(match[1]), path


def _remove_all_but(folder: Path, generation: int) -> None:
    for other, path in _saved(folder):
        if other != generation:
            shutil.rmtree(path, ignore_errors=True)


def chunk_from(fields: Mapping[str, Any]) -> Chunk:
    """What `dataclasses.asdict` made of a chunk, by way of JSON. Raises KeyError, TypeError, ValueError."""
    sentences = tuple((start, end) for start, end in fields["sentences"])
    return Chunk(**{**fields, "sentences": sentences, "places": Places.from_dict(fields["places"])})
