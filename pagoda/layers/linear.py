"""Linear layers that know how they are split over ranks.

On the token's path: seven times in every decoder layer. Column-parallel layers split their outputs, row-
parallel ones their inputs and then sum over the ranks, so that an attention or an MLP block needs one
all-reduce (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053, section 3). At one rank both are a plain
`x @ W^T + b`, bit for bit. How W is stored is the matter of a `WeightFormat`. Each parameter carries a
`weight_loader`, called with it and the full tensor of a checkpoint, that keeps this rank's shard.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from pagoda.distributed import ParallelGroup
from pagoda.errors import ConfigError
from pagoda.kernels.interface import Kernels, Matrix
from pagoda.layers.weights.dense import DENSE
from pagoda.layers.weights.format import Split, WeightFormat


class ParallelLinear(nn.Module):
    """What both kinds share: parameters of this rank's shape, and loading. Made by `kit.LayerKit`."""

    split: Split
    packed: Matrix | None = None
    """What the kernels made of `weight` once it was loaded, and took its place."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        weight_format: WeightFormat,
        kernels: Kernels,
        group: ParallelGroup,
    ) -> None:
        super().__init__()
        self.weight_format, self.kernels, self.group = weight_format, kernels, group
        if self.split is Split.COLUMN:
            out_features = shard_size(out_features, group, "output features")
        else:
            in_features = shard_size(in_features, group, "input features")
        # Registered on the layer itself, so that their names are the checkpoint's: `...q_proj.weight`.
        for name, parameter in weight_format.parameters(in_features, out_features).items():  # sizes of this rank
            self.register_parameter(name, parameter)
            set_weight_loader(parameter, group, weight_format.shard(name, self.split))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        if self.bias is not None:
            # A slice of the outputs has its slice of the bias; a slice of the inputs adds to all outputs.
            set_weight_loader(self.bias, group, 0 if self.split is Split.COLUMN else None)

    def finish_loading(self) -> None:
        """The parameters are filled: let the format lay them out as the kernels read them."""
        self.weight_format.finish(self, self.kernels)

    def multiply(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """This rank's product, `[T, in] -> [T, out]`."""
        return self.weight_format.apply(self, x, bias, self.kernels)


class ColumnParallelLinear(ParallelLinear):
    """`[T, in] -> [T, out / size]`: each rank computes its own slice of the outputs."""

    split = Split.COLUMN

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.multiply(x, self.bias)


class RowParallelLinear(ParallelLinear):
    """`[T, in / size] -> [T, out]`: each rank holds a slice of the inputs; the partial products are summed."""

    split = Split.ROW

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.group.size == 1:
            return self.multiply(x, self.bias)
        # The bias belongs to the sum, so it is added once, after it.
        summed = self.group.all_reduce(self.multiply(x, None))  # [T, out] of partial sums -> [T, out]
        return summed if self.bias is None else summed + self.bias


class ReplicatedLinear(nn.Module):
    """`[T, in] -> [T, out]`, computed whole by every rank: for outputs that are few and that all ranks need.

    Always a dense float matrix without bias, `weight [out, in]`.
    """

    def __init__(self, in_features: int, out_features: int, *, kernels: Kernels) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.kernels = kernels

    def finish_loading(self) -> None:
        """The weight is filled: let the kernels lay it out."""
        DENSE.finish(self, self.kernels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return DENSE.apply(self, x, None, self.kernels)


def shard_size(total: int, group: ParallelGroup, what: str) -> int:
    """This rank's share of `total`. Raises ConfigError where it does not divide."""
    if total % group.size:
        raise ConfigError(f"{total} {what} cannot be split over tensor_parallel_size={group.size} ranks evenly")
    return total // group.size


def set_weight_loader(parameter: nn.Parameter, group: ParallelGroup, shard_dim: int | None) -> None:
    """Attach `weight_loader(parameter, full_tensor)`; `shard_dim` None means every rank holds it whole."""
    # It does not hold the parameter: a cycle would keep the memory of one that is given up.
    parameter.weight_loader = partial(_load_shard, group, shard_dim)  # type: ignore[attr-defined]


def _load_shard(group: ParallelGroup, shard_dim: int | None, parameter: nn.Parameter, full: torch.Tensor) -> None:
    if shard_dim is not None and group.size > 1:
        length = parameter.shape[shard_dim]  # of this rank's shard
        if full.shape[shard_dim] != length * group.size:
            raise ValueError(f"{group.size} ranks of {length} do not make up {full.shape[shard_dim]}")
        full = full.narrow(shard_dim, group.rank * length, length)  # a view: no second copy of the tensor
    parameter.data.copy_(full)
