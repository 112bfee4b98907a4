"""Normalisation.

On the token's path: twice in every decoder layer, before attention and before the MLP.
RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4) divides by the root mean square and applies one
gain: no mean, no bias.
"""

from __future__ import annotations

import torch
from torch import nn

from pagoda.kernels.interface import Kernels


class RMSNorm(nn.Module):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last dimension, in fp32, whatever the dtype of `x`."""

    def __init__(self, hidden_size: int, eps: float, kernels: Kernels) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))  # on every rank whole: a row is normed as one
        self.eps = eps
        self.kernels = kernels

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        return self.kernels.rms_norm(hidden_states, self.weight, self.eps)
