"""The packaged all-MiniLM-L6-v2 as an embedder: what is embedded with where nothing else is named.

Between the second and the third station of a document's path: file -> Document -> Chunks -> *vectors* -> index ->
Hits -> answer; a question is embedded the same way. The network is `pagoda.minilm`'s, so that neither a framework of
models nor, for a question, torch has to be loaded. Texts are read beside others of exactly their length: nothing is
padded. Papers: Reimers and Gurevych 2019, "Sentence-BERT" (arXiv 1908.10084), whose mean over all tokens is the vector
of a text; Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import MissingExtraError
from pagoda.minilm.numpy_encoder import NumpyEncoder
from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.rag.embedding.vectors import TokenVectors, normalised
from pagoda.rag.embedding.vocabulary import TokenVocabulary

if TYPE_CHECKING:
    from pagoda.minilm.encoder import Encoder
    from pagoda.minilm.native_encoder import NativeEncoder

PACKAGED_NAME = "all-MiniLM-L6-v2"
_CLS, _SEP, _UNKNOWN, _PADDING, _MASK = 101, 102, 100, 0, 103
_MAX_PIECES = 256
"""With [CLS] and [SEP]; what the model's makers trained it with, of the 512 that its positions allow."""
_PIECES_PER_BATCH = 2048
_FEW_TEXTS, _TEXTS_AT_ONCE = 8, 4096
_FEW_PIECES = 2048
"""Read without torch: its import takes as long as reading some thousands of pieces."""


class MiniLmEmbedder:
    """The packaged model. Threads may share it. Raises MissingExtraError."""

    name = PACKAGED_NAME
    dimension = HIDDEN
    max_tokens = _MAX_PIECES - 2

    def __init__(self, folder: Path | None = None) -> None:
        """folder: of all-MiniLM-L6-v2; None is the package's."""
        folder = folder or packaged_folder(f"the packaged embedder {PACKAGED_NAME}", "rag")
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise MissingExtraError("the packaged embedder (tokenizers)", "rag") from error
        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        special = (_CLS, _SEP, _UNKNOWN, _PADDING, _MASK)
        self._vocabulary = TokenVocabulary(self._token_ids, self._tokenizer.id_to_token, _UNKNOWN, special)

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without [CLS] and [SEP]."""
        return [len(ids) for ids in self._token_ids(texts)]

    def unknown_share(self, text: str) -> float:
        """Share of the tokens that mean nothing to it, 0 to 1; see TokenVocabulary."""
        return self._vocabulary.unknown_share(text)

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        """float32 [len(texts), dimension], L2-normalised. on_progress: gets the number of texts done so far."""
        vectors = np.zeros((len(texts), HIDDEN), dtype=np.float32)
        for rows, _, hidden in self._read(texts, on_progress):
            vectors[rows] = hidden.mean(axis=1)
        return normalised(vectors)

    def embed_tokens(
        self,
        texts: Sequence[str],
        headings: Sequence[str] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors]]:
        """What `embed` gives, and the tokens of each text without function words, marks and unknown ones.

        headings: what each text begins with to be understood; its tokens are read and left out, too
        """
        vectors = np.zeros((len(texts), HIDDEN), dtype=np.float32)
        tokens: dict[int, TokenVectors] = {}
        num_before = self._vocabulary.num_meaningful(headings) if headings else [0] * len(texts)
        for rows, ids, hidden in self._read(texts, on_progress):
            vectors[rows] = hidden.mean(axis=1)
            is_kept = self._vocabulary.is_meaningful(ids)
            # Of all texts at once: single ones are so small that taking them apart costs more than the tokens.
            kept, ends = normalised(hidden[is_kept]), np.cumsum(is_kept.sum(axis=1))[:-1]
            for row, one, found in zip(rows, np.split(ids[is_kept], ends), np.split(kept, ends), strict=True):
                tokens[row] = TokenVectors(one[num_before[row] :], found[num_before[row] :])
        return normalised(vectors), [tokens[row] for row in range(len(texts))]

    def _read(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None
    ) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
        """Batches of texts of one length: rows, ids [n, pieces], and what the network says [n, pieces, HIDDEN]."""
        pieces = [[_CLS, *ids[: self.max_tokens], _SEP] for ids in self._token_ids(texts)]
        are_few = sum(map(len, pieces)) <= _FEW_PIECES
        num_done = 0
        parts = list(_of_one_length([len(ids) for ids in pieces]))
        batches = [np.array([pieces[row] for row in rows], dtype=np.int64) for rows in parts]
        read = map(self._through, batches) if are_few else self._read_many(batches)
        for rows, ids, hidden in zip(parts, batches, read, strict=True):
            yield rows, ids, hidden
            num_done += len(rows)
            if on_progress is not None:
                on_progress(num_done)

    def _through(self, ids: np.ndarray) -> np.ndarray:
        return self._encoder.run(self._encoder.embed(ids), range(NUM_LAYERS))

    def _read_many(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same by kernels that take less time: the native ones where they are built, or torch's."""
        if self._native_encoder is not None:
            yield from self._native_encoder.read(batches)
        else:
            yield from map(self._through_torch, batches)

    def _through_torch(self, ids: np.ndarray) -> np.ndarray:
        import torch

        encoder = self._torch_encoder
        with torch.inference_mode():
            hidden: np.ndarray = encoder.run(encoder.embed(torch.from_numpy(ids)), None, range(NUM_LAYERS)).numpy()
        return hidden

    @cached_property
    def _weights(self) -> dict[str, np.ndarray]:
        return read_arrays(self._folder)

    @cached_property
    def _encoder(self) -> NumpyEncoder:
        return NumpyEncoder(self._weights)

    @cached_property
    def _native_encoder(self) -> NativeEncoder | None:
        from pagoda.minilm.native_encoder import native_encoder

        return native_encoder(self._weights)

    @cached_property
    def _torch_encoder(self) -> Encoder:
        import torch

        from pagoda.minilm.encoder import Encoder

        return Encoder({name: torch.from_numpy(array) for name, array in self._weights.items()})

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        # A few texts wait longer for the tokenizer's threads than they take, on a busy machine a thousand times so.
        if len(texts) <= _FEW_TEXTS:
            return [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        found: list[list[int]] = []
        # What it knows of a text takes some hundred times the text, and a document may have a million of them.
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(texts[start : start + _TEXTS_AT_ONCE])
            found += [entry.ids for entry in self._tokenizer.encode_batch_fast(part, add_special_tokens=False)]
        return found


def _of_one_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of one length each, the short ones first, with at most _PIECES_PER_BATCH pieces together.

    >>> list(_of_one_length([3, 5, 3]))
    [[0, 2], [1]]
    """
    by_length: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        by_length.setdefault(length, []).append(row)
    for length, rows in sorted(by_length.items()):
        size = max(1, _PIECES_PER_BATCH // length)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
