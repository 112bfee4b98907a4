"""MiniLM as a reader: question and passage side by side through its layers, a score for each piece to begin or end.

On a question's path: question -> Hits -> pieces and features -> *network* -> span. The lower layers are the embedder's
own; of the upper ones only the change ships (`pagoda/rag/reader.py`). Papers: Devlin et al. 2019, "BERT" (arXiv
1810.04805), section 4.3, where the first piece, [CLS], stands for "no answer"; Wang et al. 2020, "MiniLM" (arXiv
2002.10957).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from pagoda.rag.reader_input import NUM_FEATURES

WIDTH, HEADS, LAYERS, FROZEN = 384, 12, 6, 2
"""Width of a piece, attention heads, MiniLM's layers, and how many of them stay as they are."""
_EPSILON = 1e-12
_LAYER_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}


class ReaderLayer(nn.Module):
    """One BERT layer: self-attention, then two linear maps, each added to what came in and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.attended, self.attended_norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.inner, self.outer = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.outer_norm = nn.LayerNorm(WIDTH, eps=_EPSILON)

    def forward(self, hidden: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
        """hidden: [B, T, WIDTH]; mask: [B, 1, 1, T], True where there is a piece; None where all are."""
        batch, length, _ = hidden.shape
        q, k, v = (
            part(hidden).view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        # Written out: torch's fused attention takes a third of a training step on a CPU, at these lengths.
        scores = (q @ k.transpose(2, 3)) * (WIDTH // HEADS) ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e4)
        mixed = (scores.softmax(dim=-1).to(v.dtype) @ v).transpose(1, 2).reshape(batch, length, WIDTH)
        hidden = self.attended_norm(hidden + F.dropout(self.attended(mixed), dropout, self.training))
        inner = self.outer(F.gelu(self.inner(hidden)))
        out: Tensor = self.outer_norm(hidden + F.dropout(inner, dropout, self.training))
        return out


class ReaderNetwork(nn.Module):
    """MiniLM with features added on the way, and two scores a piece."""

    def __init__(self, folder: Path) -> None:
        """folder: the packaged MiniLM's."""
        super().__init__()
        self.words, self.positions = nn.Embedding(30522, WIDTH), nn.Embedding(512, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=_EPSILON)
        self.layers = nn.ModuleList(ReaderLayer() for _ in range(LAYERS))
        self.features = nn.Linear(NUM_FEATURES, WIDTH)
        self.edges = nn.Linear(WIDTH + NUM_FEATURES, 2)
        nn.init.normal_(self.features.weight, std=0.02)
        nn.init.normal_(self.edges.weight, std=0.02)
        nn.init.zeros_(self.features.bias)
        nn.init.zeros_(self.edges.bias)
        self.load_state_dict(minilm_weights(folder), strict=False)

    def shipped(self) -> dict[str, nn.Parameter]:
        """The weights that training changes, by name."""
        kept = ("features.", "edges.", *(f"layers.{i}." for i in range(FROZEN, LAYERS)))
        return {name: value for name, value in self.named_parameters() if name.startswith(kept)}

    def forward(
        self, ids: Tensor, types: Tensor, features: Tensor, mask: Tensor | None = None, dropout: float = 0.0
    ) -> Tensor:
        """[B, T, 2] logits of each piece being the first and the last of the answer; piece 0 means "none".

        ids, types: [B, T]; features: [B, T, NUM_FEATURES]; mask: as a layer's
        """
        with torch.no_grad():
            hidden = self._lower(ids, types, mask)
        hidden = hidden + self.features(features)
        for layer in self.layers[FROZEN:]:
            hidden = layer(hidden, mask, dropout)
        out: Tensor = self.edges(torch.cat([F.dropout(hidden, dropout, self.training), features], dim=-1))
        return out

    def _lower(self, ids: Tensor, types: Tensor, mask: Tensor | None) -> Tensor:
        places = torch.arange(ids.shape[1])
        hidden: Tensor = self.norm(self.words(ids) + self.positions(places) + self.types(types))
        for layer in self.layers[:FROZEN]:
            hidden = layer(hidden, mask, 0.0)
        return hidden


def minilm_weights(folder: Path) -> dict[str, Tensor]:
    """MiniLM's weights under the network's names, float32."""
    names = {
        "words.weight": "embeddings.word_embeddings.weight",
        "positions.weight": "embeddings.position_embeddings.weight",
        "types.weight": "embeddings.token_type_embeddings.weight",
        "norm.weight": "embeddings.LayerNorm.weight",
        "norm.bias": "embeddings.LayerNorm.bias",
    }
    for layer in range(LAYERS):
        for ours, theirs in _LAYER_NAMES.items():
            for kind in ("weight", "bias"):
                names[f"layers.{layer}.{ours}.{kind}"] = f"encoder.layer.{layer}.{theirs}.{kind}"
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return {ours: file.get_tensor(theirs).float() for ours, theirs in names.items()}
