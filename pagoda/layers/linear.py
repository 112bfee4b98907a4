"""Linear layers that know how they are split over ranks.

On the token's path: seven times in every decoder layer. Column-parallel layers split their outputs, row-
parallel ones their inputs and then sum over the ranks, so that an attention or an MLP block needs one
all-reduce (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053, section 3). At one rank both are a plain
`x @ W^T + b`, bit for bit. Each parameter carries a `weight_loader` that takes the full tensor of a
checkpoint and keeps this rank's shard.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from pagoda.distributed import ParallelGroup
from pagoda.errors import ConfigError
from pagoda.kernels.interface import Kernels


class _ParallelLinear(nn.Module):
    """What both kinds share: parameters of this rank's shape, and loading."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        shard_dim: int | None,
        bias_shard_dim: int | None,
        kernels: Kernels,
        group: ParallelGroup,
    ) -> None:
        super().__init__()
        self.kernels, self.group = kernels, group
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        set_weight_loader(self.weight, group, shard_dim)
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        if self.bias is not None:
            set_weight_loader(self.bias, group, bias_shard_dim)


class ColumnParallelLinear(_ParallelLinear):
    """`[T, in] -> [T, out / size]`: each rank computes its own slice of the outputs."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool, kernels: Kernels, group: ParallelGroup
    ) -> None:
        local = shard_size(out_features, group, "output features")
        super().__init__(in_features, local, bias=bias, shard_dim=0, bias_shard_dim=0, kernels=kernels, group=group)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kernels.linear(x, self.weight, self.bias)


class RowParallelLinear(_ParallelLinear):
    """`[T, in / size] -> [T, out]`: each rank holds a slice of the inputs; the partial products are summed."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool, kernels: Kernels, group: ParallelGroup
    ) -> None:
        local = shard_size(in_features, group, "input features")
        super().__init__(local, out_features, bias=bias, shard_dim=1, bias_shard_dim=None, kernels=kernels, group=group)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.group.size == 1:
            return self.kernels.linear(x, self.weight, self.bias)
        # The bias belongs to the sum, so it is added once, after it.
        summed = self.group.all_reduce(self.kernels.linear(x, self.weight, None))
        return summed if self.bias is None else summed + self.bias


def shard_size(total: int, group: ParallelGroup, what: str) -> int:
    """This rank's share of `total`. Raises ConfigError where it does not divide."""
    if total % group.size:
        raise ConfigError(f"{total} {what} cannot be split over tensor_parallel_size={group.size} ranks evenly")
    return total // group.size


def set_weight_loader(parameter: nn.Parameter, group: ParallelGroup, shard_dim: int | None) -> None:
    """Attach `parameter.weight_loader(full_tensor)`; `shard_dim` None means every rank holds it whole."""
    parameter.weight_loader = partial(_load_shard, parameter, group, shard_dim)  # type: ignore[attr-defined]


def _load_shard(parameter: nn.Parameter, group: ParallelGroup, shard_dim: int | None, full: torch.Tensor) -> None:
    if shard_dim is not None and group.size > 1:
        length = parameter.shape[shard_dim]
        if full.shape[shard_dim] != length * group.size:
            raise ValueError(f"{group.size} ranks of {length} do not make up {full.shape[shard_dim]}")
        full = full.narrow(shard_dim, group.rank * length, length)
    parameter.data.copy_(full)
