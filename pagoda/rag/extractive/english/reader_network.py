"""MiniLM as a reader: question and passage side by side through its layers, a score for each piece to begin or end.

On a question's path: question -> Hits -> pieces and features -> *network* -> span. The lower layers are the embedder's
own; of the upper ones only the change ships (`reader`). Papers: Devlin et al. 2019, "BERT" (arXiv
1810.04805), section 4.3, where the first piece, [CLS], stands for "no answer"; Wang et al. 2020, "MiniLM" (arXiv
2002.10957).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pagoda.minilm.encoder import HIDDEN, NUM_LAYERS, Encoder
from pagoda.minilm.package import read_weights
from pagoda.rag.extractive.english.reader_input import NUM_FEATURES

FROZEN = 2
"""How many of MiniLM's layers stay as they are."""
_SHIPPED_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}
"""Names of a layer's parts in the file that ships, and in MiniLM's; the fingerprint is of parts in this order."""


class ReaderNetwork:
    """MiniLM with features added on the way, and two scores a piece."""

    def __init__(self, folder: Path) -> None:
        """folder: the packaged MiniLM's."""
        weights = read_weights(folder)
        names = _upper_names()
        upper = {theirs: weights[theirs].clone() for theirs in names.values()}
        self._encoder = Encoder({**weights, **upper})
        self._shipped = {**{ours: upper[theirs] for ours, theirs in names.items()}, **_new_weights()}
        for value in self._shipped.values():
            value.requires_grad_()

    def shipped(self) -> dict[str, Tensor]:
        """The weights that training changes, by name; in place, for the network reads from these tensors."""
        return dict(self._shipped)

    def logits(
        self, ids: Tensor, types: Tensor, features: Tensor, mask: Tensor | None = None, dropout: float = 0.0
    ) -> Tensor:
        """[B, T, 2] of each piece being the first and the last of the answer; piece 0 means "none".

        ids, types: [B, T]; features: [B, T, NUM_FEATURES]; mask: bool [B, 1, 1, T], True where there is a piece
        """
        hidden = self._encoder.run(self._encoder.embed(ids, types), mask, range(FROZEN))  # [B, T, HIDDEN]
        # What the vocabulary does not tell, capitals and words in common, enters below the first trained layer.
        hidden = hidden + self._linear("features", features)
        hidden = self._encoder.run(hidden, mask, range(FROZEN, NUM_LAYERS), dropout)
        # [B, T, HIDDEN + NUM_FEATURES] to [B, T, 2].
        return self._linear("edges", torch.cat([F.dropout(hidden, dropout, dropout > 0), features], dim=-1))

    def _linear(self, name: str, values: Tensor) -> Tensor:
        return F.linear(values, self._shipped[name + ".weight"], self._shipped[name + ".bias"])


def _upper_names() -> dict[str, str]:
    """Names of the tuned layers' tensors: in the file that ships, in MiniLM's."""
    return {
        f"layers.{layer}.{ours}.{kind}": f"encoder.layer.{layer}.{theirs}.{kind}"
        for layer in range(FROZEN, NUM_LAYERS)
        for ours, theirs in _SHIPPED_NAMES.items()
        for kind in ("weight", "bias")
    }


def _new_weights() -> dict[str, Tensor]:
    """What MiniLM has not: a way in for the features, and the scores of the edges."""
    return {
        "features.weight": 0.02 * torch.randn(HIDDEN, NUM_FEATURES),
        "features.bias": torch.zeros(HIDDEN),
        "edges.weight": 0.02 * torch.randn(2, HIDDEN + NUM_FEATURES),
        "edges.bias": torch.zeros(2),
    }
