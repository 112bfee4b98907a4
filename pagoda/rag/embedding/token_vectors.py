"""Token vectors: what each word of a sentence means in its place, kept in two bits a number.

Third station of a document's path, beside the vectors of whole sentences: file -> Document -> Chunks -> *index* ->
Hits -> answer. The network computes them on its way to the sentence's vector; function words and marks are left out.
Two bits need no training and no other text, so that they fit every embedder: on SQuAD they cost .003 of recall@1.
Paper: Santhanam et al. 2022, "ColBERTv2" (arXiv 2112.01488), which keeps the residuals of clusters in two bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pagoda.rag.embedding.vectors import Embedder, TokenEmbedder, TokenVectors

_ID_BYTES = 4
# A byte holds four codes; a code stands for the middle of its quarter, in deviations of the vector's numbers.
_LEVELS = (((np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3) - 1.5).astype(np.float32)


HeadedText = tuple[str, str]
"""A heading, which may be empty, and the text that it stands before."""


def embed_headed(embedder: Embedder, texts: Sequence[HeadedText]) -> tuple[np.ndarray, list[TokenVectors]]:
    """[len(texts), dimension] vectors, each read behind its heading, and the tokens of the texts.

    No tokens from an embedder that tells none.
    """
    whole = [heading + text for heading, text in texts]
    if isinstance(embedder, TokenEmbedder):
        return embedder.embed_tokens(whole, [heading for heading, _ in texts])
    return embedder.embed(whole), []


def packed(texts: Sequence[TokenVectors]) -> list[bytes]:
    """The tokens of each text as bytes: of each its id and two bits for each number; b"" for no tokens."""
    if not texts:
        return []
    # Tokens of all texts at once, [n] and [n, dimension / 4]; cut into texts at the end.
    ids = np.concatenate([text.ids for text in texts]).astype("<u4")
    codes = _codes(np.concatenate([text.vectors for text in texts]))
    rows = np.hstack([ids.view(np.uint8).reshape(len(ids), _ID_BYTES), codes])
    ends = np.cumsum([len(text.ids) for text in texts])
    return [part.tobytes() for part in np.split(rows, ends[:-1])]


def unpacked(blob: bytes, dimension: int) -> TokenVectors:
    """The tokens of one text, or of several whose bytes were joined.

    >>> one = TokenVectors(np.array([7]), np.array([[0.1, -0.1, 0.7, -0.7]], dtype=np.float32))
    >>> again = unpacked(packed([one])[0], dimension=4)
    >>> again.ids.tolist(), (3 * again.vectors / again.vectors.max()).round().tolist()
    ([7], [[1.0, -1.0, 3.0, -3.0]])
    """
    rows = _rows(blob, dimension)
    # [n, bytes, 4] to [n, dimension]: four levels a byte; the last byte of a row may hold some that are padding.
    vectors = _LEVELS[rows[:, _ID_BYTES:]].reshape(len(rows), -1)[:, :dimension]
    return TokenVectors(token_ids(blob, dimension), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def token_ids(blob: bytes, dimension: int) -> np.ndarray:
    """int64 [n]: the ids alone."""
    return np.ascontiguousarray(_rows(blob, dimension)[:, :_ID_BYTES]).view("<u4")[:, 0].astype(np.int64)


def num_tokens(blob: bytes, dimension: int) -> int:
    """How many tokens the bytes hold."""
    return len(blob) // _width(dimension)


def _codes(vectors: np.ndarray) -> np.ndarray:
    """[n, dimension] to uint8 [n, dimension / 4]: below, at, above zero, with the deviation as the other bounds."""
    scale = np.sqrt(np.einsum("nd,nd->n", vectors, vectors) / vectors.shape[1])[:, None]
    # 0 to 3 [n, dimension]: how many of the three bounds each number reaches.
    quarters = (vectors >= -scale).view(np.uint8) + (vectors >= 0).view(np.uint8) + (vectors >= scale).view(np.uint8)
    codes = np.pad(quarters, ((0, 0), (0, -vectors.shape[1] % 4)))
    # Four neighbours to a byte, the first in its lowest bits.
    return codes[:, 0::4] | codes[:, 1::4] << 2 | codes[:, 2::4] << 4 | codes[:, 3::4] << 6


def _rows(blob: bytes, dimension: int) -> np.ndarray:
    return np.frombuffer(blob, dtype=np.uint8).reshape(-1, _width(dimension))


def _width(dimension: int) -> int:
    return _ID_BYTES + -(-dimension // 4)
