"""Late interaction: each word of a question looks for the word of a chunk that is closest to it in meaning.

On a question's path: question -> words and vectors -> *the best of them compared word by word* -> Hits -> answer. The
vectors of the chunks' tokens lie in the snapshot, so that a question costs milliseconds and no network reads a chunk
again. A rare word weighs more, as in BM25. Paper: Khattab and Zaharia 2020, "ColBERT" (arXiv 2004.12832).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pagoda.rag.embedding.token_vectors import num_tokens, token_ids, unpacked
from pagoda.rag.embedding.vectors import TokenVectors
from pagoda.rag.index.snapshot import Snapshot

_CHUNKS_AT_ONCE = 10_000
"""Whose tokens are held together while they are counted."""


class LateInteraction:
    """Compares questions with chunks of one snapshot. Never changes; threads may share it."""

    def __init__(self, snapshot: Snapshot, dimension: int) -> None:
        self._tokens = snapshot.tokens
        self._dimension = dimension
        # [num_chunks + 1]: chunk i's sentences are bounds[i] to bounds[i + 1].
        self._bounds = np.searchsorted(snapshot.owner, np.arange(len(snapshot.chunks) + 1))
        self._num_chunks = len(snapshot.chunks)
        self._num_with = _chunks_with_each_token(snapshot, dimension)

    def scores(self, question: TokenVectors, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean similarity of the question's words: to each whole chunk, to its best sentence; float64 [len(rows)] each.

        NaN for a chunk without tokens, and for all where the question has none.
        """
        whole, best = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        # (place in rows, sentence) of every sentence with tokens, those of a chunk side by side.
        found = [(place, s) for place, row in enumerate(rows) for s in self._sentences(row) if self._tokens[s]]
        if len(question.ids) and found:
            closest = self._closest(question, [sentence for _, sentence in found])
            weights = self._weights(question.ids)
            # first: where each chunk's sentences begin among the found ones, for reduceat.
            places, first = np.unique([place for place, _ in found], return_index=True)
            # The whole chunk: each word may find its match in another sentence. The best sentence: all in the same.
            whole[places] = weights @ np.maximum.reduceat(closest, first, axis=1)
            best[places] = np.maximum.reduceat(weights @ closest, first)
        return whole, best

    def _sentences(self, row: int) -> range:
        return range(int(self._bounds[row]), int(self._bounds[row + 1]))

    def _closest(self, question: TokenVectors, sentences: Sequence[int]) -> np.ndarray:
        """[question's tokens, sentences]: the highest cosine that each token has in each sentence."""
        blobs = [self._tokens[sentence] for sentence in sentences]
        ends = np.cumsum([num_tokens(blob, self._dimension) for blob in blobs])
        # [question's tokens, tokens of all sentences], of which reduceat keeps the highest in each sentence.
        products = question.vectors @ unpacked(b"".join(blobs), self._dimension).vectors.T
        return np.maximum.reduceat(products, np.concatenate([[0], ends[:-1]]), axis=1)

    def _weights(self, ids: np.ndarray) -> np.ndarray:
        """[n] with sum 1: how rare each token is among the chunks."""
        # A token of the question that no chunk holds may lie beyond the counted ids.
        num_with = np.where(ids < len(self._num_with), self._num_with[np.minimum(ids, len(self._num_with) - 1)], 0)
        rarity = np.log1p((self._num_chunks - num_with + 0.5) / (num_with + 0.5))
        return rarity / rarity.sum()


def _chunks_with_each_token(snapshot: Snapshot, dimension: int) -> np.ndarray:
    """By token id: the number of chunks that hold it."""
    found = np.zeros(1, dtype=np.int64)
    ends = np.searchsorted(snapshot.owner, np.arange(0, len(snapshot.chunks) + _CHUNKS_AT_ONCE, _CHUNKS_AT_ONCE))
    for first, last in itertools.pairwise(ends.tolist()):
        blobs = snapshot.tokens[first:last]
        ids = token_ids(b"".join(blobs), dimension)
        owners = np.repeat(snapshot.owner[first:last].astype(np.int64), [num_tokens(b, dimension) for b in blobs])
        # (chunk, token) as one number, so that a token counts once a chunk however often it stands there.
        vocabulary = max(int(ids.max(initial=0)) + 1, len(found))
        counts = np.bincount(np.unique(owners * vocabulary + ids) % vocabulary, minlength=vocabulary)
        found = counts + np.pad(found, (0, vocabulary - len(found)))
    return found
