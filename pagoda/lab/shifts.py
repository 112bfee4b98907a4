"""Whether a network with RoPE notices where its positions begin: it should see distances alone.

Beside the experiments; nothing is trained. RoPE (arXiv 2104.09864, eq. 34) turns a query and a key by their positions,
so that their product depends on the difference, as far as angles are exact. The layer counts reals from a sequence's
first token; whole numbers it takes as they are, as an engine's cache needs them, and their angles are computed in
fp32.
"""

from __future__ import annotations

from typing import Any

import torch

from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

_TOKENS = 64
_REALS = (1.0, 1000.0, 100_000.5, 10_000_000.25)
_KINDS = {
    "whole numbers": (torch.int64, (1, 1000, 100_000, 10_000_000)),
    "fp32": (torch.float32, _REALS),
    "fp64": (torch.float64, _REALS),
}


@torch.no_grad()
def shift_rows() -> list[dict[str, Any]]:
    """For positions as whole numbers, fp32 and fp64, and some shifts: `moved`, the largest change of a logit."""
    config = ModelConfig(
        vocab_size=97, hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config, ReferenceKernels())
    model.initialize(0)
    ids = torch.arange(_TOKENS) * 31 % config.vocab_size

    def logits(positions: torch.Tensor) -> torch.Tensor:
        return model.compute_logits(model(ids, positions, DenseAttention(1, config.layer_windows)))

    rows = []
    for what, (dtype, shifts) in _KINDS.items():
        positions = torch.arange(_TOKENS, dtype=dtype)
        unmoved = logits(positions)
        for shift in shifts:
            moved = float((logits(positions + shift) - unmoved).abs().max())
            rows.append({"what": what, "shift": shift, "moved": moved})
    return rows
