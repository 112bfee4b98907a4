"""The MLP of a decoder layer: gated or plain.

On the token's path: once in every decoder layer, after attention. A rank holds its own columns of the first matrices
and its own rows of the last, so that a block needs one sum over the ranks.
"""

from __future__ import annotations

import torch
from torch import nn

from pagoda.layers.kit import LayerKit


class GatedMLP(nn.Module):
    """`down(act(gate(x)) * up(x))`; with silu it is SwiGLU, with gelu GEGLU (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, hidden_size: int, intermediate_size: int, activation: str, kit: LayerKit, *, bias: bool) -> None:
        super().__init__()
        self.kernels, self.activation = kit.kernels, activation
        self.gate_proj = kit.column(hidden_size, intermediate_size, bias=bias)
        self.up_proj = kit.column(hidden_size, intermediate_size, bias=bias)
        self.down_proj = kit.row(intermediate_size, hidden_size, bias=bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        # [T, intermediate_size / ranks]: each rank multiplies its own columns, so gate and up need no exchange.
        gate, up = self.gate_proj(hidden_states), self.up_proj(hidden_states)
        if self.activation == "silu":
            return self.down_proj(self.kernels.silu_and_mul(gate, up))  # [T, hidden_size]
        return self.down_proj(self.kernels.activate(gate, self.activation) * up)


class PlainMLP(nn.Module):
    """`down(act(up(x)))`, without a gate."""

    def __init__(self, hidden_size: int, intermediate_size: int, activation: str, kit: LayerKit, *, bias: bool) -> None:
        super().__init__()
        self.kernels, self.activation = kit.kernels, activation
        self.up_proj = kit.column(hidden_size, intermediate_size, bias=bias)
        self.down_proj = kit.row(intermediate_size, hidden_size, bias=bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.kernels.activate(self.up_proj(hidden_states), self.activation))
