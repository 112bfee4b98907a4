"""Linear layers that know how they are split over ranks.

On the token's path: seven times in every decoder layer. Column-parallel layers split their outputs, row-
parallel ones their inputs and then sum over the ranks, so that an attention or an MLP block needs one
all-reduce (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053, section 3). At one rank both are a plain
`x @ W^T + b`, bit for bit. Each parameter carries a `weight_loader`, called with it and the full tensor of a
checkpoint, that keeps this rank's shard; a matrix may come in codes instead (`PackedLayer.adopt`).
"""

from __future__ import annotations

from enum import Enum
from functools import partial

import torch
from torch import nn

from pagoda.distributed import ParallelGroup
from pagoda.errors import CheckpointError, ConfigError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.interface import Kernels, Matrix


class Split(Enum):
    """How a layer is divided over ranks."""

    COLUMN = "by output"
    ROW = "by input"

    @property
    def dim(self) -> int:
        """The dimension of `weight [out, in]` that ranks divide."""
        return 0 if self is Split.COLUMN else 1


class PackedLayer(nn.Module):
    """A layer whose `weight [out, in]` gives way, once it is loaded, to what the kernels make of it.

    packed: None until then, and where kernels read a matrix as checkpoints have it
    """

    weight: nn.Parameter | None
    packed: Matrix | None = None

    def __init__(self, in_features: int, out_features: int, kernels: Kernels) -> None:
        super().__init__()
        # Memory is taken where it is written to: one that is replaced by codes never is.
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.kernels = kernels

    @property
    def matrix(self) -> Matrix:
        """What the kernels multiply by."""
        return self.packed if self.weight is None else self.weight

    def finish_loading(self) -> None:
        """The parameters are filled: kernels that read another order get it, and the checkpoint's is given back."""
        if self.weight is not None and (packed := self.kernels.pack(self.weight)) is not self.weight:
            self._hold(packed)

    def adopt(self, codes: GroupedCodes) -> None:
        """Take a matrix `[out, in]` of codes in place of `weight`. Raises CheckpointError for another shape."""
        assert self.weight is not None
        if codes.shape != self.weight.shape:
            raise CheckpointError(f"codes of the shape {list(codes.shape)}, expected {list(self.weight.shape)}")
        packed = self.kernels.pack_codes(codes, self.weight.dtype)
        if isinstance(packed, torch.Tensor):  # as checkpoints have it
            self.weight.data.copy_(packed)
        else:
            self._hold(packed)

    def _hold(self, packed: Matrix) -> None:
        self.packed = packed
        self.register_parameter("weight", None)


class ParallelLinear(PackedLayer):
    """What both kinds share: parameters of this rank's shape, and loading. Made by `kit.LayerKit`."""

    split: Split

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool, kernels: Kernels, group: ParallelGroup
    ) -> None:
        if self.split is Split.COLUMN:
            out_features = shard_size(out_features, group, "output features")
        else:
            in_features = shard_size(in_features, group, "input features")
        super().__init__(in_features, out_features, kernels)
        self.group = group
        assert self.weight is not None
        set_weight_loader(self.weight, group, self.split.dim)
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        if self.bias is not None:
            # A slice of the outputs has its slice of the bias; a slice of the inputs adds to all outputs.
            set_weight_loader(self.bias, group, 0 if self.split is Split.COLUMN else None)

    def adopt(self, codes: GroupedCodes) -> None:
        """As `PackedLayer.adopt`, of the whole matrix: this rank's shard is cut out here."""
        super().adopt(shard_of(codes, self.group, self.split.dim))

    def multiply(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """This rank's product, `[T, in] -> [T, out]`."""
        return self.kernels.linear(x, self.matrix, bias)


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


class ReplicatedLinear(PackedLayer):
    """`[T, in] -> [T, out]`, computed whole by every rank: for outputs that are few and that all ranks need."""

    def __init__(self, in_features: int, out_features: int, *, kernels: Kernels) -> None:
        super().__init__(in_features, out_features, kernels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kernels.linear(x, self.matrix, None)


def shard_size(total: int, group: ParallelGroup, what: str) -> int:
    """This rank's share of `total`. Raises ConfigError where it does not divide."""
    if total % group.size:
        raise ConfigError(f"{total} {what} cannot be split over tensor_parallel_size={group.size} ranks evenly")
    return total // group.size


def set_weight_loader(parameter: nn.Parameter, group: ParallelGroup, shard_dim: int | None) -> None:
    """Attach `weight_loader(parameter, full_tensor)`; `shard_dim` None means every rank holds it whole."""
    # It does not hold the parameter: a cycle would keep the memory of one that is given up.
    parameter.weight_loader = partial(_load_shard, group, shard_dim)  # type: ignore[attr-defined]


def shard_of(codes: GroupedCodes, group: ParallelGroup, dim: int) -> GroupedCodes:
    """This rank's share of a whole matrix. Raises CheckpointError where it does not divide into whole groups."""
    if group.size == 1:
        return codes
    length, rest = divmod(codes.shape[dim], group.size)
    if rest:
        raise CheckpointError(f"codes of the shape {list(codes.shape)} do not divide over {group.size} ranks")
    return codes.narrow(dim, group.rank * length, length)


def _load_shard(group: ParallelGroup, shard_dim: int | None, parameter: nn.Parameter, full: torch.Tensor) -> None:
    if shard_dim is not None and group.size > 1:
        length = parameter.shape[shard_dim]  # of this rank's shard
        if full.shape[shard_dim] != length * group.size:
            raise ValueError(f"{group.size} ranks of {length} do not make up {full.shape[shard_dim]}")
        full = full.narrow(shard_dim, group.rank * length, length)  # a view: no second copy of the tensor
    parameter.data.copy_(full)
