"""MiniLM's layers as plain functions over tensors: any of them can be run, kept, tuned or replaced by itself.

Below `rag`, which finds answers with them (passage -> span), and `dialogue`, which understands sentences with them
(sentence -> Understanding). sentence-transformers runs a model as a whole; here the lower layers can be computed once
while the upper ones are trained, and one sentence costs no framework. Papers: Devlin et al. 2018, "BERT" (arXiv
1810.04805); Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pagoda.minilm.shape import EPSILON, HIDDEN, NUM_HEADS

if TYPE_CHECKING:
    import torch

_NEVER = -1e4


class Encoder:
    """Embeddings and layers.

    weights: by the names of BERT's checkpoints; a layer's matrices may be bfloat16, and then it multiplies in it
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.weights = dict(weights)

    def layer_names(self, layer: int) -> list[str]:
        """Names of a layer's tensors, 0 the lowest."""
        return [name for name in self.weights if name.startswith(f"encoder.layer.{layer}.")]

    def embed(self, ids: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
        """[batch, pieces, HIDDEN], below the first layer.

        ids, types: int64 [batch, pieces]; a type is 0 for the first text and 1 for the second, None: there is no second
        """
        w, prefix = self.weights, "embeddings."
        total = w[prefix + "word_embeddings.weight"][ids]
        total = total + w[prefix + "position_embeddings.weight"][: ids.shape[1]]
        total = total + w[prefix + "token_type_embeddings.weight"][0 if types is None else types]
        return self._normalised(total, prefix + "LayerNorm")

    def run(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor | None,
        layers: Iterable[int],
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
    ) -> torch.Tensor:
        """hidden [batch, pieces, HIDDEN] through the layers.

        mask: bool [batch, 1, 1, pieces], None: all are pieces
        dropout: of what a layer adds; attention_dropout: of what its attention looks at. Both 0 outside training
        """
        for layer in layers:
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}.", dropout, attention_dropout)
        return hidden

    def _layer(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, prefix: str, dropout: float, attention_dropout: float
    ) -> torch.Tensor:
        """One BERT layer: self-attention, then two linear maps, each added to what came in and normalised."""
        from torch.nn import functional as f

        size, length, _ = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{prefix}attention.self.{name}").view(size, length, NUM_HEADS, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = attention(query, key, value, mask, attention_dropout).transpose(1, 2).flatten(2)
        mixed = f.dropout(self._linear(mixed, f"{prefix}attention.output.dense"), dropout, dropout > 0)
        hidden = self._normalised(hidden + mixed, f"{prefix}attention.output.LayerNorm")
        wide = f.gelu(self._linear(hidden, f"{prefix}intermediate.dense"))
        wide = f.dropout(self._linear(wide, f"{prefix}output.dense"), dropout, dropout > 0)
        return self._normalised(hidden + wide, f"{prefix}output.LayerNorm")

    def _linear(self, values: torch.Tensor, name: str) -> torch.Tensor:
        import torch
        from torch.nn.functional import linear

        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        if weight.dtype != torch.bfloat16:
            return linear(values, weight, bias)
        return linear(values.bfloat16(), weight, bias).float()

    def _normalised(self, values: torch.Tensor, name: str) -> torch.Tensor:
        from torch.nn.functional import layer_norm

        return layer_norm(values, (HIDDEN,), self.weights[name + ".weight"], self.weights[name + ".bias"], EPSILON)


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, dropout: float
) -> torch.Tensor:
    """Softmax attention, [batch, heads, pieces, width] each; mask: bool, True where there is a piece.

    torch's fused form where only reading is meant: a passage of 200 pieces takes a tenth less time by it. Its gradient
    is slow on a CPU at these lengths and makes a training step a sixth longer, so where one is wanted attention is
    written out; with dropout torch writes it out itself.
    """
    from torch.nn.functional import scaled_dot_product_attention

    if not query.requires_grad or dropout > 0:
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    scores = (query @ key.transpose(2, 3)) * query.shape[3] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, _NEVER)
    return scores.softmax(dim=3).to(value.dtype) @ value
