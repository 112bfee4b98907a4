"""Opens the store that an index keeps its vectors in.

Third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. The program behind the
seam is imported when it is wanted, since each is an extra of its own.
"""

from __future__ import annotations

from pathlib import Path

from pagoda.rag.index.stores.addresses import server_kind
from pagoda.rag.index.stores.patience import StorePatience
from pagoda.rag.index.vector_store import VectorStore


def open_store(
    where: str | Path, name: str, *, embedder_name: str, dimension: int, patience: StorePatience | None = None
) -> VectorStore:
    """The collection `name` of the store at `where`, made where there is none.

    where: a folder for the embedded store, or the address of a server (see `addresses`)
    Raises ConfigError where it was written for another embedder or by somebody else, StoreError where it fails,
    MissingExtraError.
    """
    if server_kind(where) == "pgvector":
        from pagoda.rag.index.stores.pgvector import PgVectorStore

        return PgVectorStore(str(where), name, embedder_name=embedder_name, dimension=dimension, patience=patience)
    from pagoda.rag.index.stores.chroma import ChromaStore

    return ChromaStore(where, name, embedder_name=embedder_name, dimension=dimension, patience=patience)
