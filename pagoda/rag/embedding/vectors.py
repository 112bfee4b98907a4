"""What an embedder promises: vectors of whole texts, and of the tokens in them where it tells those.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index. Stands
above no implementation, so that whoever keeps or compares vectors needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

UNREADABLE_SHARE = 0.2
"""An embedder with more unknown tokens than this does not read a text; measured on English and Chinese questions."""
_OTHER_SCRIPT = re.compile(r"[^\W\d_\u0000-\u024f]")
_SAMPLE_CHARACTERS = 160


class Embedder(Protocol):
    """What turns texts into vectors.

    name: recorded in an index, which refuses another; dimension: of its vectors
    max_tokens: longest text that it reads whole, without the tokens that it adds itself
    """

    name: str
    dimension: int
    max_tokens: int

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without those that the embedder adds."""
        ...

    def unknown_share(self, text: str) -> float:
        """Share of the tokens that mean nothing to the embedder, 0 to 1; 0 for an empty text."""
        ...

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        """float32 [len(texts), dimension], L2-normalised. on_progress: gets the number of texts done so far."""
        ...


@dataclass(frozen=True)
class TokenVectors:
    """The tokens of one text that carry meaning. ids: int64 [n]; vectors: float32 [n, dimension], L2-normalised."""

    ids: np.ndarray
    vectors: np.ndarray


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that tells the vectors of tokens, too."""

    def embed_tokens(
        self,
        texts: Sequence[str],
        headings: Sequence[str] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors]]:
        """What `embed` gives, and the tokens of each text; those of what it begins with, its heading, are left out."""
        ...


def reads(embedder: Embedder, text: str) -> bool:
    """Whether an embedder knows enough of a text's tokens. Plain Latin text is not worth counting."""
    sample = text[:_SAMPLE_CHARACTERS]
    return _OTHER_SCRIPT.search(sample) is None or embedder.unknown_share(sample) <= UNREADABLE_SHARE


@runtime_checkable
class PassageEmbedder(Embedder, Protocol):
    """An embedder that wants some texts as whole passages, not by their sentences."""

    def wants_whole(self, text: str) -> bool:
        """Whether a passage is one text to it."""
        ...


def normalised(vectors: np.ndarray) -> np.ndarray:
    """[n, dimension] with length 1 each; one of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)
