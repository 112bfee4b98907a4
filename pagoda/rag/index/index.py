"""An index on disk: the catalog of documents, the store of their vectors, and the lock of whoever writes.

Third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. Readers take a
`Snapshot` and need neither lock nor store; a writer opens the store under the lock and closes it again, because
Chroma keeps parts of a collection in memory and would not see what another process wrote.

    folder/catalog.sqlite3   the truth: documents and chunks
    folder/vectors/          Chroma's files, unless a server keeps them
    folder/snapshot-N/       chunks and vectors of generation N; can be computed anew, as all of cache/ can
    folder/writer.lock       held while somebody writes
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.installation import program
from pagoda.rag.documents.document import Chunk
from pagoda.rag.errors import IndexLockedError, MissingVectorsError, RagError
from pagoda.rag.index.catalog import Catalog
from pagoda.rag.index.options import IndexOptions
from pagoda.rag.index.snapshot import Snapshot, is_saved, load_snapshot, owners, save_snapshot, vector_ids
from pagoda.rag.index.stores.addresses import check_address, server_kind
from pagoda.rag.index.stores.opening import open_store
from pagoda.rag.index.vector_store import VectorStore, check_embedder

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder

CATALOG_NAME = "catalog.sqlite3"
EMBEDDED = "embedded"
_OPTIONS = "options"
_VECTORS_AT_ONCE = 20_000
_LOCK_NAME, _HOLDER_NAME = "writer.lock", "writer.pid"
_OURS = re.compile(rf"{re.escape(_LOCK_NAME)}|{re.escape(_HOLDER_NAME)}|.+\.new(?:-journal|-wal|-shm)?")


@dataclass(frozen=True, kw_only=True)
class IndexStatus:
    """What an index holds. size_bytes: of its folder; updated_at: ISO time in UTC, empty before the first document."""

    path: str
    generation: int
    num_documents: int
    num_chunks: int
    num_characters: int
    embedder: str
    dimension: int
    store: str
    size_bytes: int
    updated_at: str


class RagIndex:
    """Open with `RagIndex.open`; close when done, or use as a context manager. Threads may share it."""

    def __init__(self, path: Path, catalog: Catalog, store: str, *, read_only: bool) -> None:
        meta = catalog.meta()
        self.path = path
        self.catalog = catalog
        self.read_only = read_only
        self._embedder_name, self._dimension = meta["embedder"], int(meta["dimension"])
        self._store = store
        self._snapshot: Snapshot | None = None
        self._mutex = threading.Lock()

    @classmethod
    def open(
        cls,
        path: str | Path,
        embedder: Embedder | None,
        *,
        read_only: bool = False,
        store_url: str | None = None,
        embedder_given: str | None = None,
    ) -> Self:
        """Open the index in the folder `path`; make one there if there is none, unless `read_only`.

        embedder: None is enough for who only reads what the index says of itself
        embedder_given: the name or the folder that it was loaded by, which a new index keeps
        store_url: address of a server that keeps the vectors, see `stores/addresses`; an index stays with the kind of
            store it was made with
        Raises ConfigError where the folder is something else, or was written with another embedder.
        """
        folder = Path(path).expanduser().absolute()
        if store_url is not None:
            check_address(store_url)
        catalog = Catalog(folder / CATALOG_NAME)
        if not catalog.file.is_file():
            _check_vacant(folder)
            if read_only or embedder is None:
                raise ConfigError(f"there is no index in {folder}: make one with `{program()} rag index PATH`")
            _create(folder, embedder, store_url, embedder_given)
        catalog.check()
        meta = catalog.meta()
        if embedder is not None:
            check_embedder(str(folder), (meta["embedder"], int(meta["dimension"])), (embedder.name, embedder.dimension))
        store = _chosen_store(folder, meta["store"], store_url)
        return cls(folder, catalog, store, read_only=read_only or embedder is None)

    @property
    def generation(self) -> int:
        """Grows with each change of a document."""
        return self.catalog.generation

    @property
    def options(self) -> IndexOptions:
        """What was asked for when documents were last added."""
        return IndexOptions.from_json(self.catalog.meta().get(_OPTIONS, "{}"))

    def keep_options(self, options: IndexOptions) -> None:
        """Keep them for the next run. The caller holds the lock."""
        self.catalog.note(_OPTIONS, options.as_json())

    def chunks(self) -> list[Chunk]:
        """Every chunk, ordered by source and position."""
        return self.catalog.chunks()

    def chunk(self, chunk_id: str) -> Chunk | None:
        """One chunk, or None where no document has it."""
        return self.catalog.chunk(chunk_id)

    def snapshot(self) -> Snapshot:
        """Chunks and vectors of the present generation, made once for each.

        While another writes it may be the last one that was whole. Raises IndexLockedError where there is none yet.
        """
        with self._mutex:
            if self._snapshot is None or self._snapshot.generation != self.generation:
                self._snapshot = self._newest_snapshot()
            return self._snapshot

    def cache_folder(self, name: str, generation: int) -> Path:
        """A folder for what can be computed anew from a generation (a BM25 index); those of others are removed."""
        folder = self.path / "cache" / name / str(generation)
        with contextlib.suppress(OSError):
            for other in folder.parent.glob("*"):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def status(self) -> IndexStatus:
        """Sizes and names."""
        meta = self.catalog.meta()
        documents, chunks, characters = self.catalog.counts()
        return IndexStatus(
            path=str(self.path),
            generation=int(meta["generation"]),
            num_documents=documents,
            num_chunks=chunks,
            num_characters=characters,
            embedder=self._embedder_name,
            dimension=self._dimension,
            store=self._store,
            size_bytes=_num_bytes(self.path),
            updated_at=meta.get("updated_at", ""),
        )

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[], VectorStore]]:
        """Hold the lock; what is yielded opens the store at its first call. Raises IndexLockedError."""
        if self.read_only:
            raise ConfigError(f"the index {self.path} was opened with read_only=True: open it without to change it")
        opened: list[VectorStore] = []

        def store() -> VectorStore:
            if not opened:
                opened.append(self._open_store())
            return opened[0]

        with _lock(self.path):
            try:
                yield store
            finally:
                for entry in opened:
                    entry.close()

    def keep_snapshot(self, store: VectorStore) -> Snapshot:
        """Make the snapshot of the present generation from `store`, and save it. The caller holds the lock."""
        generation, chunks = self.catalog.chunks_at_generation()
        names = [name for chunk in chunks for name in vector_ids(chunk)]
        # The last snapshot holds most of them already: one more document must not cost reading all.
        older = self._snapshot or load_snapshot(self.path)
        vectors = _gather(names, older, store, self._dimension)
        snapshot = Snapshot(generation, chunks, vectors, owners(chunks), _gather_tokens(names, older, self.catalog))
        return save_snapshot(snapshot, self.path)

    def has_lost_snapshot(self) -> bool:
        """Whether the files that spare readers the vector store are gone or cut off, though there is something in them.

        A reader cannot note that the store lacks vectors, too; the next writer looks for himself.
        """
        return self.catalog.counts()[1] > 0 and not is_saved(self.path, self.generation)

    def close(self) -> None:
        """Give the memory back; a second call does nothing."""
        self._snapshot = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _newest_snapshot(self) -> Snapshot:
        saved = load_snapshot(self.path, self.generation)
        if saved is not None:
            return saved
        try:
            with _lock(self.path), contextlib.closing(self._open_store()) as store:
                return self.keep_snapshot(store)
        except MissingVectorsError:
            if not self.read_only:
                self.catalog.mark_unfinished(True)
            raise
        except IndexLockedError:
            older = self._snapshot or load_snapshot(self.path)
            if older is None:
                raise
            return older

    def _open_store(self) -> VectorStore:
        where: str | Path = self.path / "vectors" if self._store == EMBEDDED else self._store
        name = f"pagoda-{self.catalog.meta()['index_id']}"
        return open_store(where, name, embedder_name=self._embedder_name, dimension=self._dimension)


def _num_bytes(folder: Path) -> int:
    """Of all files in a folder; a writer may take some of them away meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).stat().st_size
    return total


def embedder_of_index(path: str | Path) -> str | None:
    """The name or the folder of the embedder that the index in a folder was made with, where it was named.

    None where it was not, and where there is no index.
    """
    catalog = Catalog(Path(path).expanduser().absolute() / CATALOG_NAME)
    if not catalog.file.is_file():
        return None
    catalog.check()
    return catalog.meta().get("embedder_given")


def _gather(names: list[str], older: Snapshot | None, store: VectorStore, dimension: int) -> np.ndarray:
    """[len(names), dimension] float32: from an older snapshot where it has them, else from the store."""
    known = [name for chunk in older.chunks for name in vector_ids(chunk)] if older else []
    rows = {name: row for row, name in enumerate(known)}
    vectors = np.empty((len(names), dimension), dtype=np.float32)
    held = [(place, rows[name]) for place, name in enumerate(names) if name in rows]
    missing = [place for place, name in enumerate(names) if name not in rows]
    if older is not None and held:
        vectors[[place for place, _ in held]] = older.vectors[[row for _, row in held]]
    for start in range(0, len(missing), _VECTORS_AT_ONCE):
        part = missing[start : start + _VECTORS_AT_ONCE]
        vectors[part] = store.get([names[place] for place in part])
    return vectors


def _gather_tokens(names: list[str], older: Snapshot | None, catalog: Catalog) -> list[bytes]:
    """Of each name: from an older snapshot where it has them, else from the catalog; [] where no name has any."""
    held: dict[str, bytes] = {}
    if older is not None and older.tokens:
        known = (name for chunk in older.chunks for name in vector_ids(chunk))
        held = {name: blob for name, blob in zip(known, older.tokens, strict=True) if blob}
    found = held | catalog.tokens([name for name in names if name not in held])
    tokens = [found.get(name, b"") for name in names]
    return tokens if any(tokens) else []


def _check_vacant(folder: Path) -> None:
    """Raise ConfigError where the folder is somebody else's."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file, expected the folder of an index: name a folder")
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    # Another process may be making the index this moment: its catalog has a name of its own until it is whole.
    others = [] if CATALOG_NAME in names else [name for name in names if not _OURS.fullmatch(name)]
    if "chroma.sqlite3" in others:
        raise ConfigError(f"{folder} is a Chroma store of another program, not an index of pagoda: name a new folder")
    if others:
        raise ConfigError(
            f"{folder} holds other files ({', '.join(sorted(others)[:3])}) and no index: name a new or an empty folder"
        )


def _create(folder: Path, embedder: Embedder, store_url: str | None, embedder_given: str | None) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RagError(
            f"the index folder {folder} cannot be made ({error.strerror}): name one in a place that you may write to"
        ) from error
    with _lock(folder, timeout_s=10.0):
        # Somebody else may have made it while this process waited for the lock.
        if not (folder / CATALOG_NAME).is_file():
            meta = {"embedder": embedder.name, "dimension": str(embedder.dimension), "store": store_url or EMBEDDED}
            if embedder_given is not None:
                meta["embedder_given"] = embedder_given
            Catalog.create(folder / CATALOG_NAME, meta)


def _chosen_store(folder: Path, known: str, store_url: str | None) -> str:
    """A server may move to another address; another kind of store does not hold what was written."""
    if store_url is not None and server_kind(known) != server_kind(store_url):
        where = "in its own folder" if known == EMBEDDED else f"at {known}"
        raise ConfigError(
            f"{folder} keeps its vectors {where}, but the store is given as {store_url}: open it without an address, "
            "index the documents into a new folder, or move it there with `rag export` and `rag import`"
        )
    return store_url or known


@contextlib.contextmanager
def _lock(folder: Path, timeout_s: float = 0.0) -> Iterator[None]:
    """One writer at a time; the system lets go of the lock of a process that dies."""
    filelock = _filelock()
    lock = filelock.FileLock(folder / _LOCK_NAME, timeout=timeout_s)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise IndexLockedError(
            f"another process{_holder(folder)} writes to the index {folder}: wait for it to end and run again; "
            "nothing was changed"
        ) from None
    except OSError as error:
        raise RagError(
            f"the index {folder} cannot be written ({error.strerror}): make the folder writable, or open the index "
            "with read_only=True"
        ) from error
    try:
        with contextlib.suppress(OSError):
            (folder / _HOLDER_NAME).write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        lock.release()


def _holder(folder: Path) -> str:
    """The process that holds the lock, as far as it could say so."""
    try:
        return f" (process {(folder / _HOLDER_NAME).read_text(encoding='ascii')})"
    except OSError:
        return ""


def _filelock() -> Any:
    try:
        import filelock
    except ModuleNotFoundError as error:
        raise MissingExtraError("the index (filelock)", "rag") from error
    return filelock
