"""Normalisation.

On the token's path: twice or more in every decoder layer, and once before the head.
RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4) divides by the root mean square and applies one
gain: no mean, no bias. LayerNorm (Ba et al. 2016, arXiv 1607.06450, eq. 4) subtracts the mean first. `norm_kinds` lists
what else a network may be trained with; `make_norm` makes each.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from pagoda.distributed import ParallelGroup
from pagoda.errors import ConfigError, nearest
from pagoda.kernels.interface import Kernels
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.linear import set_weight_loader
from pagoda.layers.norm_kinds import GAIN_AT_START, NORM_KINDS, NormKind
from pagoda.layers.shares import Shares


class Norm(nn.Module):
    """What all norms share: a gain and a shift of `shape`, each as far as the kind has one.

    kind: None is the class's usual one
    kernels: what computes it; None is torch
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    usual_kind = "rms_norm"

    def __init__(
        self,
        shape: int | tuple[int, ...],
        kind: NormKind | None = None,
        eps: float = 1e-6,
        kernels: Kernels | None = None,
    ) -> None:
        super().__init__()
        kind = kind or NORM_KINDS[self.usual_kind]
        # On every rank whole: a row is normed as one.
        self.weight = nn.Parameter(torch.ones(shape)) if kind.has_weight else None
        self.bias = nn.Parameter(torch.zeros(shape)) if kind.has_bias else None
        self.kind, self.eps, self.kernels = kind, eps, kernels or ReferenceKernels()
        self._add_numbers()
        with torch.no_grad():
            self.initialize()

    def _add_numbers(self) -> None:
        """Parameters beside gain and shift, where a kind has some."""

    def initialize(self) -> None:
        """Gain 1 and shift 0, for training."""
        if self.weight is not None:
            self.weight.fill_(1.0 - self.kind.offset)
        if self.bias is not None:
            self.bias.fill_(0.0)

    def follow(self, progress: float) -> None:
        """Training is so far, 0 to 1: what most norms need not know."""


class RMSNorm(Norm):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last dimension, in fp32, whatever the dtype of `x`."""

    weight: nn.Parameter

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        return self.kernels.rms_norm(hidden_states, self.weight, self.eps)


class WideRMSNorm(RMSNorm):
    """The same with the gain `offset + weight`, rounded to the dtype of `x` after it, as Gemma and OLMo 2 do."""

    usual_kind = "rms_norm_wide"

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        gain = self.kind.offset + self.weight.float()  # in bf16, 1 + w would lose most of w
        return self.kernels.rms_norm(hidden_states.float(), gain, self.eps).to(hidden_states.dtype)


class LayerNorm(Norm):
    """`(x - mean) / sqrt(var + eps) * (offset + weight) + bias` over the last dimension, in fp32."""

    usual_kind = "layer_norm"

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        gain = None if self.weight is None else self.kind.offset + self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return self.kernels.layer_norm(hidden_states.float(), gain, bias, self.eps).to(hidden_states.dtype)


class PartialRMSNorm(Norm):
    """RMSNorm whose mean square is that of a row's first values: pRMSNorm (arXiv 1910.07467, section 5)."""

    weight: nn.Parameter
    usual_kind = "rms_norm_partial"

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        wide = hidden_states.float()
        measured = wide[..., : math.ceil(wide.shape[-1] * self.kind.share)]
        scale = torch.rsqrt(measured.square().mean(-1, keepdim=True) + self.eps)  # [..., 1]
        return (wide * scale * (self.kind.offset + self.weight.float())).to(hidden_states.dtype)


class AdaptiveRMSNorm(Norm):
    """RMSNorm whose gain follows the row: `x / rms * rms ** exponent * weight`, the exponent one learned number.

    0 is RMSNorm, which forgets how large a row was; 1 is no norm; training finds what each place of a network wants.
    """

    weight: nn.Parameter
    usual_kind = "rms_norm_adaptive"

    def _add_numbers(self) -> None:
        self.exponent = nn.Parameter(torch.zeros(()))

    def initialize(self) -> None:
        """Gain 1, for training: RMSNorm."""
        super().initialize()
        self.exponent.fill_(0.0)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        wide = hidden_states.float()
        log_square = torch.log(wide.square().mean(-1, keepdim=True) + self.eps)  # [..., 1]
        # Through exp and log, which torch rounds alike at every place of a tensor; `**` it does not.
        scale = torch.exp((self.exponent.float() - 1) / 2 * log_square)
        return (wide * scale * (self.kind.offset + self.weight.float())).to(hidden_states.dtype)


class ScheduledRMSNorm(Norm):
    """RMSNorm whose gain grows with training, from `GAIN_AT_START` times the weight to the weight itself.

    progress: 0 at the start and 1 at the end, which the trainer tells; stored, so that a checkpoint on the way is read
        as it was
    """

    weight: nn.Parameter
    usual_kind = "rms_norm_scheduled"

    def _add_numbers(self) -> None:
        self.progress = nn.Parameter(torch.ones(()), requires_grad=False)

    @torch.no_grad()
    def follow(self, progress: float) -> None:
        """Training is so far, 0 to 1."""
        self.progress.fill_(progress)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same shape and dtype."""
        gain = (self.kind.offset + self.weight.float()) * (GAIN_AT_START + (1 - GAIN_AT_START) * self.progress.float())
        return self.kernels.rms_norm(hidden_states.float(), gain, self.eps).to(hidden_states.dtype)


class NoNorm(Norm):
    """Rows as they are."""

    usual_kind = "none"

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[..., hidden_size]` -> the same tensor."""
        return hidden_states


def make_norm(size: int, kind: str | NormKind = "rms_norm", eps: float = 1e-6, kernels: Kernels | None = None) -> Norm:
    """`[..., size]` -> the same shape, normed over the last dimension.

    kind: one of `NORM_KINDS`, or a kind of one's own. Raises ConfigError for a name that is none, and for a kind whose
        fields ask for what no norm here computes.
    """
    if isinstance(kind, str):
        if kind not in NORM_KINDS:
            raise ConfigError(f"the norm {kind!r} is not known; {nearest(kind, NORM_KINDS)}")
        kind = NORM_KINDS[kind]
    if (fault := kind.fault) is not None:
        raise ConfigError(f"make_norm was given a kind with {fault}")
    return _class_of(kind)(size, kind, eps, kernels)


def _class_of(kind: NormKind) -> type[Norm]:
    if not kind.has_scale:
        return NoNorm
    if kind.follows:
        return {"rms": AdaptiveRMSNorm, "training": ScheduledRMSNorm}[kind.follows]
    if kind.share < 1:
        return PartialRMSNorm
    if kind.centred:
        return LayerNorm
    return WideRMSNorm if kind.is_wide else RMSNorm


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
