"""Chroma as the store of vectors: embedded in a folder, or a server behind an address.

Below the third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. Chroma's own
embedding functions and its telemetry are off, so that nothing leaves the machine. Its index is HNSW (Malkov &
Yashunin, arXiv 1603.09320), built with a short candidate list: retrieval scores a snapshot exactly, and building must
not slow the embedder down.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.rag.documents.document import Scalar
from pagoda.rag.errors import StoreError
from pagoda.rag.index.stores.addresses import server_kind
from pagoda.rag.index.stores.patience import StorePatience, unreachable
from pagoda.rag.index.vector_store import check_embedder, check_shape, missing_vectors

# 20,000 vectors: 0.1 ms each and .99 of the exact ten nearest found; Chroma's own defaults take five times as long.
HNSW = {"space": "cosine", "ef_construction": 32, "max_neighbors": 8, "batch_size": 20_000, "sync_threshold": 20_000}
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")
_T = TypeVar("_T")


class ChromaStore:
    """A collection of Chroma as a VectorStore.

    where: a folder, or http(s)://host:port; name: of the collection, any text
    Raises ConfigError where the collection was written for another embedder, StoreError where Chroma fails.
    """

    def __init__(
        self,
        where: str | Path,
        name: str,
        *,
        embedder_name: str,
        dimension: int,
        patience: StorePatience | None = None,
    ) -> None:
        self.where = str(where)
        self.dimension = dimension
        self._patience = patience or StorePatience()
        self._is_remote = server_kind(self.where) is not None
        self._client = self._patiently(self._connect)
        try:
            self._collection = self._patiently(self._open, name, embedder_name)
            self._max_batch_size = self._patiently(self._client.get_max_batch_size)
        except BaseException:
            self.close()
            raise

    def add(self, ids: Sequence[str], vectors: np.ndarray, metadatas: Sequence[Mapping[str, Scalar]] = ()) -> None:
        """Keep `vectors` [n, dimension] under `ids` [n]; a name that exists takes the new vector."""
        check_shape(vectors, len(ids), self.dimension)
        for part in self._batches(len(ids)):
            known = [dict(entry) for entry in metadatas[part]] or None
            batch, names = np.ascontiguousarray(vectors[part], dtype=np.float32), list(ids[part])
            self._patiently(self._collection.upsert, names, embeddings=batch, metadatas=known)

    def delete(self, ids: Sequence[str]) -> None:
        """Forget these; unknown names are nothing to forget."""
        for part in self._batches(len(ids)):
            self._patiently(self._collection.delete, list(ids[part]))

    def query(self, vector: np.ndarray, n: int) -> list[tuple[str, float]]:
        """The `n` nearest names with their cosine similarity, best first."""
        question = np.asarray(vector, dtype=np.float32).reshape(1, self.dimension)
        found = self._patiently(self._collection.query, query_embeddings=question, n_results=n, include=["distances"])
        return [(name, 1.0 - distance) for name, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def get(self, ids: Sequence[str]) -> np.ndarray:
        """[len(ids), dimension] in the order of `ids`. Raises MissingVectorsError where one is not there."""
        # Chroma refuses to be asked for a name twice.
        names = list(dict.fromkeys(ids))
        rows = {name: row for row, name in enumerate(names)}
        vectors = np.empty((len(names), self.dimension), dtype=np.float32)
        num_found = 0
        for part in self._batches(len(names)):
            found = self._patiently(self._collection.get, names[part], include=["embeddings"])
            if found["ids"]:
                vectors[[rows[name] for name in found["ids"]]] = found["embeddings"]
                num_found += len(found["ids"])
        if num_found < len(names):
            raise missing_vectors(self.where, len(names) - num_found, len(names))
        return vectors[[rows[name] for name in ids]]

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` there are."""
        found = (
            self._patiently(self._collection.get, list(ids[part]), include=[])["ids"]
            for part in self._batches(len(ids))
        )
        return {name for names in found for name in names}

    def ids(self) -> list[str]:
        """Every name."""
        return [name for found in self._pages([]) for name in found["ids"]]

    def all(self) -> tuple[list[str], np.ndarray]:
        """Every name and its vector: ids [n], vectors [n, dimension]."""
        pages = [page for page in self._pages(["embeddings"]) if page["ids"]]
        names = [name for page in pages for name in page["ids"]]
        parts = [np.asarray(page["embeddings"], dtype=np.float32) for page in pages]
        return names, np.concatenate([np.zeros((0, self.dimension), dtype=np.float32), *parts])

    def count(self) -> int:
        """How many vectors there are."""
        return self._patiently(self._collection.count)

    def close(self) -> None:
        """Give back files and connections; a second call does nothing."""
        self._client.close()

    def _pages(self, include: list[str]) -> Iterator[dict[str, Any]]:
        """A server answers a page at a time, so that no answer grows beyond what it may send."""
        for part in self._batches(self.count()):
            size = part.stop - part.start
            yield self._patiently(self._collection.get, limit=size, offset=part.start, include=include)

    def _batches(self, total: int) -> Iterator[slice]:
        for start in range(0, total, self._max_batch_size):
            yield slice(start, min(start + self._max_batch_size, total))

    def _connect(self) -> Any:
        chromadb = _chromadb()
        # Telemetry is on by default and would open a connection.
        settings = chromadb.config.Settings(anonymized_telemetry=False, allow_reset=False)
        if not self._is_remote:
            return chromadb.PersistentClient(self.where, settings=settings)
        address = urllib.parse.urlsplit(self.where)
        # Chroma's client waits forever for a server that accepts and says nothing: knock with a timeout first.
        _knock(self.where, self._patience.timeout_s)
        secure = address.scheme == "https"
        port = address.port or (443 if secure else 80)
        client = chromadb.HttpClient(host=address.hostname, port=port, ssl=secure, settings=settings)
        session = getattr(client._server, "_session", None)
        if session is not None:
            session.timeout = self._patience.timeout_s
        return client

    def _open(self, name: str, embedder_name: str) -> Any:
        written = {"written_by": "pagoda", "embedder": embedder_name, "dimension": self.dimension}
        collection = self._client.get_or_create_collection(
            legal_name(name), embedding_function=None, metadata=written, configuration={"hnsw": HNSW}
        )
        found = collection.metadata or {}
        if found.get("written_by") != "pagoda":
            raise ConfigError(
                f"collection {collection.name!r} of {self.where} was not written by pagoda: use another store"
            )
        known = (str(found["embedder"]), int(found["dimension"]))
        check_embedder(self.where, known, (embedder_name, self.dimension))
        return collection

    def _patiently(self, call: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """The call's result; a server that does not answer is asked again."""

        def may_pass(error: Exception) -> bool:
            return self._is_remote and _is_passing(error)

        return self._patience.call(lambda: call(*args, **kwargs), may_pass=may_pass, told=self._told)

    def _told(self, error: Exception) -> StoreError:
        reason = f"{type(error).__name__}: {error}".strip().rstrip(":")
        if self._is_remote:
            return unreachable(self.where, reason)
        if any(words in reason.lower() for words in ("disk is full", "no space left")):
            return StoreError(
                f"no space left on the disk of {self.where}: free some and run again; what was committed is kept"
            )
        return StoreError(
            f"the vector store in {self.where} fails ({reason}): check the folder's permissions and space; where it "
            "is damaged, delete that folder and index the documents again"
        )


def legal_name(name: str) -> str:
    """A name as Chroma takes it: 3 to 512 of [a-zA-Z0-9._-]; any other text by its hash.

    >>> legal_name("handbook"), legal_name("手册")
    ('handbook', 'pagoda-5fe4e25d932cd06e')
    """
    if _LEGAL_NAME.fullmatch(name):
        return name
    return f"pagoda-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _is_passing(error: Exception) -> bool:
    """Whether a second try may help: no connection, a timeout, a server that says "later" or fails itself."""
    code = getattr(error, "code", None)
    status = code() if callable(code) else getattr(getattr(error, "response", None), "status_code", None)
    return status in (429, 500, 502, 503, 504) or (status is None and not isinstance(error, (TypeError, KeyError)))


def _knock(url: str, timeout_s: float) -> None:
    """Raise OSError unless somebody answers at `url`; any answer will do, the client checks what it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(urllib.error.HTTPError):
        opener.open(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=timeout_s).close()


def _chromadb() -> Any:
    try:
        import chromadb
        import chromadb.config
    except ModuleNotFoundError as error:
        raise MissingExtraError("the vector store (chromadb)", "rag") from error
    return chromadb
