"""Whether a network with RoPE notices where its positions begin: it should see distances alone.

Beside the experiments; nothing is trained. RoPE (arXiv 2104.09864, eq. 34) turns a query and a key by their positions,
so that their product depends on the difference, as far as angles are exact. A network that is given whole sequences
counts positions from each one's first token, so that nothing can move; the engine's positions begin at 0. The layer
by itself is given any positions, and computes their angles in fp64; what fp32 does not hold of a large real is lost
before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

_TOKENS = 64
_REALS = (1.0, 1000.0, 100_000.5, 10_000_000.25)
_KINDS = {
    "whole numbers": (torch.int64, (1, 1000, 100_000, 10_000_000)),
    "fp32": (torch.float32, _REALS),
    "fp64": (torch.float64, _REALS),
}
_CONFIG = ModelConfig(
    vocab_size=97, hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, initializer_range=0.2,
)  # fmt: skip
Computed = Callable[[torch.Tensor], torch.Tensor]
"""Positions `[tokens]` to what must not depend on where they begin."""


@torch.no_grad()
def shift_rows() -> list[dict[str, Any]]:
    """For positions as whole numbers, fp32 and fp64, and some shifts: `moved`, the largest change of a logit.

    Rows whose `what` ends in "layer alone" tell of products of queries and keys instead.
    """
    rows = []
    for of, computed in {"": _logits(), ", layer alone": _products()}.items():
        for what, (dtype, shifts) in _KINDS.items():
            positions = torch.arange(_TOKENS, dtype=dtype)
            unmoved = computed(positions)
            for shift in shifts:
                moved = float((computed(positions + shift) - unmoved).abs().max())
                rows.append({"what": what + of, "shift": shift, "moved": moved})
    return rows


def _logits() -> Computed:
    """Of a random Llama."""
    model = LlamaForCausalLM(_CONFIG, ReferenceKernels())
    model.initialize(0)
    ids = torch.arange(_TOKENS) * 31 % _CONFIG.vocab_size
    attention = DenseAttention(1, _CONFIG.layer_windows)
    return lambda positions: model.compute_logits(model(ids, positions, attention))


def _products() -> Computed:
    """Of every query with every key, as attention weighs them: scores of the order of 1."""
    rotary = RotaryEmbedding(_CONFIG.rope)
    heads = torch.randn(2, _TOKENS, 1, _CONFIG.head_dim, generator=torch.Generator().manual_seed(0))

    def products(positions: torch.Tensor) -> torch.Tensor:
        query, key = (rotary.rotate(each, positions)[:, 0] for each in heads)
        return query @ key.T * _CONFIG.head_dim**-0.5

    return products
