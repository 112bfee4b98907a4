"""A layer of attention and an MLP, out of pagoda's norm and RoPE: what the examples beside it are made of.

Tokens see one another, before and behind. Pre-norm with RMSNorm (arXiv 1910.07467); queries and keys are turned by RoPE
(arXiv 2104.09864), at whatever positions an example has for its tokens.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from pagoda.layers import RMSNorm, RotaryEmbedding


class Block(nn.Module):
    """Attention, then an MLP as wide as `inner`, each added to what it read; `dropout` of both in training."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        rotary: RotaryEmbedding,
        rotation: tuple[torch.Tensor, torch.Tensor],
        seen: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`[batch, tokens, width]` -> the same.

        rotation: `rotary(positions)`, made once for all blocks
        seen:     `[batch, tokens]`, which tokens are looked at; None: all
        """
        query, key, value = self.qkv(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        query, key = (rotary.turned(part, *rotation) for part in (query, key))
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [batch, heads, tokens, head_dim]
        mask = None if seen is None else seen[:, None, None]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(F.silu(self.up(self.norms[1](x)))))
