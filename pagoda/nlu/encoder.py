"""What understanding English asks of MiniLM: wordpieces of given words, and layers that read one sentence quickly.

On the path *sentence -> Understanding*, for English; the layers are in `pagoda/minilm/encoder.py`. Papers: Devlin et
al. 2018, "BERT" (arXiv 1810.04805); Wang et al. 2020, "MiniLM" (arXiv 2002.10957); Reimers and Gurevych 2019,
"Sentence-BERT" (arXiv 1908.10084).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import MissingExtraError
from pagoda.hardware import has_bf16
from pagoda.minilm import package
from pagoda.minilm.encoder import Encoder

if TYPE_CHECKING:
    import torch

MAX_PIECES = 128
"""Wordpieces that are read of a sentence; what is longer is no turn of a dialogue."""


class Pieces:
    """Wordpieces of a sentence. ids: with [CLS] and [SEP]; first: position of each word's first piece, or 0 if cut."""

    __slots__ = ("first", "ids")

    def __init__(self, ids: list[int], first: list[int]) -> None:
        self.ids = ids
        self.first = first


class Wordpieces:
    """Splits given words into wordpieces, so that the tagger's words and MiniLM's are the same."""

    def __init__(self, folder: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise MissingExtraError("the fast understanding of English (tokenizers)", "dialogue") from error
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._known: dict[str, list[int]] = {}

    def of_words(self, words: Sequence[str]) -> Pieces:
        """Pieces of a sentence's words; a word that comes after MAX_PIECES points at [CLS]."""
        ids, first = [101], []
        for word in words:
            pieces = self._of_word(word)
            if len(ids) + len(pieces) >= MAX_PIECES:
                first.append(0)
                continue
            first.append(len(ids))
            ids.extend(pieces)
        return Pieces([*ids, 102], first)

    def _of_word(self, word: str) -> list[int]:
        known = self._known.get(word)
        if known is None:
            known = self._tokenizer.encode(word, add_special_tokens=False).ids or [100]
            if len(self._known) < 50_000:
                self._known[word] = known
        return known


def packaged_folder() -> Path:
    """Where the packaged MiniLM lies. Raises MissingExtraError."""
    return package.packaged_folder("the fast understanding of English (all-MiniLM-L6-v2)", "dialogue")


def packaged_encoder(changed: Mapping[str, torch.Tensor] | None = None) -> Encoder:
    """The packaged MiniLM, with the tensors of `changed` in place of its own. Raises MissingExtraError."""
    return Encoder({**package.read_weights(packaged_folder()), **(changed or {})})


def for_reading(encoder: Encoder) -> Encoder:
    """One for reading only, in bfloat16 where the processor multiplies it: half the memory traffic."""
    if not has_bf16("cpu"):
        return encoder
    halved = {
        name: value.detach().bfloat16()
        for name, value in encoder.weights.items()
        if name.startswith("encoder.layer.") and "LayerNorm" not in name
    }
    return Encoder({**encoder.weights, **halved})


def padded(sentences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids of unlike length as int64 [batch, longest], and bool [batch, longest]: where they are."""
    longest = max(map(len, sentences))
    ids = np.zeros((len(sentences), longest), np.int64)
    there = np.zeros((len(sentences), longest), bool)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = sentence
        there[row, : len(sentence)] = True
    return ids, there
