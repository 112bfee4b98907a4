"""Normalisation.

On the token's path: twice or more in every decoder layer, and once before the head.
RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4) divides by the root mean square and applies one
gain: no mean, no bias. LayerNorm (Ba et al. 2016, arXiv 1607.06450, eq. 4) subtracts the mean first.
"""

from __future__ import annotations

import torch
from torch import nn

from pagoda.distributed import ParallelGroup
from pagoda.kernels.interface import Kernels
from pagoda.layers.linear import set_weight_loader
from pagoda.layers.norm_kinds import NormKind
from pagoda.layers.shares import Shares


class Norm(nn.Module):
    """What all norms share: a gain and a shift of `shape`, each as far as the kind has one."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, shape: int | tuple[int, ...], kind: NormKind, eps: float, kernels: Kernels) -> None:
        super().__init__()
        # On every rank whole: a row is normed as one.
        self.weight = nn.Parameter(torch.ones(shape)) if kind.has_weight else None
        self.bias = nn.Parameter(torch.zeros(shape)) if kind.has_bias else None
        self.kind, self.eps, self.kernels = kind, eps, kernels

    def initialize(self) -> None:
        """Gain 1 and shift 0, for training."""
        if self.weight is not None:
            self.weight.fill_(1.0 - self.kind.offset)
        if self.bias is not None:
            self.bias.fill_(0.0)


class RMSNorm(Norm):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last dimension, in fp32, whatever the dtype of `x`."""

    weight: nn.Parameter

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        return self.kernels.rms_norm(hidden_states, self.weight, self.eps)


class WideRMSNorm(RMSNorm):
    """The same with the gain `offset + weight`, rounded to the dtype of `x` after it, as Gemma and OLMo 2 do."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        gain = self.kind.offset + self.weight.float()  # in bf16, 1 + w would lose most of w
        return self.kernels.rms_norm(hidden_states.float(), gain, self.eps).to(hidden_states.dtype)


class LayerNorm(Norm):
    """`(x - mean) / sqrt(var + eps) * (offset + weight) + bias` over the last dimension, in fp32."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        gain = None if self.weight is None else self.kind.offset + self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return self.kernels.layer_norm(hidden_states.float(), gain, bias, self.eps).to(hidden_states.dtype)


class PerHeadNorm(Norm):
    """Each head normed by itself with a gain of its own, `[heads, head_dim]`: StableLM 2, Command R+."""

    def __init__(self, heads: Shares, head_dim: int, kind: NormKind, eps: float, kernels: Kernels) -> None:
        super().__init__((heads.length, head_dim), kind, eps, kernels)
        assert self.weight is not None
        set_weight_loader(self.weight, heads, 0)  # a rank holds whole heads

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        """`[T, heads, head_dim]` -> the same shape and dtype."""
        assert self.weight is not None
        normed = self.kernels.layer_norm(heads.float(), None, None, self.eps)
        return (normed * self.weight.float()).to(heads.dtype)


class WholeWidthNorm(Norm):
    """All heads of a token normed as one row, over all ranks: OLMo 2."""

    def __init__(
        self, heads: Shares, head_dim: int, kind: NormKind, eps: float, kernels: Kernels, group: ParallelGroup
    ) -> None:
        super().__init__(heads.total * head_dim, kind, eps, kernels)
        self.group, self.shares = group, heads.times(head_dim)

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        """`[T, heads, head_dim]` -> the same shape and dtype."""
        assert self.weight is not None
        row = heads.flatten(1)  # [T, heads * head_dim], of this rank
        if self.group.size > 1:  # every rank norms the whole row: so its bits are those of one rank
            row = self.shares.whole(self.group.all_gather(row, self.shares.widths))
        normed = self.kernels.rms_norm(row.float(), self.weight.float(), self.eps)
        return self.shares.of_tensor(normed, 1).to(heads.dtype).reshape(heads.shape)
