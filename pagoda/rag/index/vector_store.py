"""Where the vectors of the sentences live: the seam between an index and the program that keeps them.

Third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. A store is told which
vectors to keep under which names; what they mean stands in the catalog, which is the truth. Vectors come from our
embedder, whatever embedding functions a store has of its own, and questions are asked of a snapshot: so an index gives
the same answers over every store. The stores are in `stores/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Scalar
from pagoda.rag.errors import MissingVectorsError


class VectorStore(Protocol):
    """Named vectors, [dimension] float32 each, L2-normalised. Every method raises StoreError."""

    def add(self, ids: Sequence[str], vectors: np.ndarray, metadatas: Sequence[Mapping[str, Scalar]] = ()) -> None:
        """Keep `vectors` [n, dimension] under `ids` [n]; a name that exists takes the new vector."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Forget these; unknown names are nothing to forget."""
        ...

    def query(self, vector: np.ndarray, n: int) -> list[tuple[str, float]]:
        """The `n` nearest names with their cosine similarity, best first."""
        ...

    def get(self, ids: Sequence[str]) -> np.ndarray:
        """[len(ids), dimension] in the order of `ids`. Raises MissingVectorsError where one is not there."""
        ...

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` there are."""
        ...

    def ids(self) -> list[str]:
        """Every name."""
        ...

    def all(self) -> tuple[list[str], np.ndarray]:
        """Every name and its vector: ids [n], vectors [n, dimension]."""
        ...

    def count(self) -> int:
        """How many vectors there are."""
        ...

    def close(self) -> None:
        """Give back files and connections; a second call does nothing."""
        ...


def check_embedder(where: str, known: tuple[str, int], given: tuple[str, int]) -> None:
    """Raise ConfigError unless the embedder (name, dimension) is the one that the index was written with."""
    if known != given:
        raise ConfigError(
            f"{where} holds vectors of {known[0]} (dimension {known[1]}), but the embedder is {given[0]} (dimension "
            f"{given[1]}): open it with {known[0]}, or index the documents into a new folder"
        )


def check_shape(vectors: np.ndarray, num_names: int, dimension: int) -> None:
    """Raise ConfigError unless there is a vector of the store's dimension for each name."""
    if vectors.shape != (num_names, dimension):
        raise ConfigError(
            f"vectors have shape {list(vectors.shape)}, the store expects [{num_names}, {dimension}]: "
            "open the index with the embedder that wrote it"
        )


def missing_vectors(where: str, num_missing: int, num_names: int) -> MissingVectorsError:
    """What to say of names that a store has lost."""
    return MissingVectorsError(
        f"{num_missing} of {num_names} vectors are missing from {where}: index the documents again, which embeds anew "
        "what is missing"
    )
