"""Linear layers that know how they are split over ranks.

On the token's path: seven times in every decoder layer. Column-parallel layers split their outputs, row-
parallel ones their inputs and then sum over the ranks, so that an attention or an MLP block needs one
all-reduce (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053, section 3). At one rank both are a plain
`x @ W^T + b`, bit for bit. Each parameter carries a `weight_loader`, called with it and the full tensor of a
checkpoint, that keeps this rank's shard; a matrix may come in codes instead (`PackedLayer.adopt`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import nn

from pagoda.distributed import ParallelGroup, tree_sum
from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.interface import Kernels, Matrix
from pagoda.layers.shares import Shares, divided


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
        wanted = whole_shape(self.weight)
        if list(codes.shape) != wanted:
            raise CheckpointError(f"codes of the shape {list(codes.shape)}, expected {wanted}")
        self._take(codes)

    def _take(self, codes: GroupedCodes) -> None:
        """This rank's codes, in place of `weight`."""
        assert self.weight is not None
        packed = self.kernels.pack_codes(codes, self.weight.dtype)
        if isinstance(packed, torch.Tensor) and packed.shape == self.weight.shape:  # as checkpoints have it
            self.weight.data.copy_(packed)
        else:
            self._hold(packed)

    def _hold(self, packed: Matrix) -> None:
        self.packed = packed
        self.register_parameter("weight", None)


class ParallelLinear(PackedLayer):
    """What both kinds share: parameters of this rank's shape, and loading. Made by `kit.LayerKit`.

    shares: of the outputs or the inputs; None divides them by their number
    """

    split: Split

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        kernels: Kernels,
        group: ParallelGroup,
        shares: Shares | None = None,
    ) -> None:
        by_column = self.split is Split.COLUMN
        if shares is None:
            what = "output features" if by_column else "input features"
            shares = divided(out_features if by_column else in_features, group, what)
        if by_column:
            out_features = shares.length
        else:
            in_features = shares.length
        super().__init__(in_features, out_features, kernels)
        self.group, self.shares = group, shares
        assert self.weight is not None
        set_weight_loader(self.weight, shares, self.split.dim)
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        if self.bias is not None:
            # A slice of the outputs has its slice of the bias; a slice of the inputs adds to all outputs.
            set_weight_loader(self.bias, shares if by_column else None, 0)

    def _take(self, codes: GroupedCodes) -> None:
        super()._take(self.shares.of_codes(codes, self.split.dim))

    def multiply(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """This rank's product, `[T, in] -> [T, out]`."""
        return self.kernels.linear(x, self.matrix, bias)


class ColumnParallelLinear(ParallelLinear):
    """`[T, in] -> [T, out / size]`: each rank computes its own slice of the outputs."""

    split = Split.COLUMN

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.multiply(x, self.bias)


class RowParallelLinear(ParallelLinear):
    """`[T, in / size] -> [T, out]`: each rank holds a slice of the inputs; the partial products are summed.

    leaves_open: the sum is due once, where several layers' are added up: then this rank's parts come out as they are,
        side by side, `[T, parts * out]`

    Where the shares are fixed, a rank's product is the sum of those of its blocks, in fp32 and in the order of
    `tree_sum`: then all that is added, and in what order, is the same for any number of ranks.
    """

    split = Split.ROW

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        kernels: Kernels,
        group: ParallelGroup,
        shares: Shares | None = None,
        leaves_open: bool = False,
    ) -> None:
        super().__init__(in_features, out_features, bias=bias, kernels=kernels, group=group, shares=shares)
        self.leaves_open = leaves_open
        self._inputs: torch.Tensor | None = None
        """Of a matrix in an order of its own: the layer's inputs that the columns of this rank belong to."""
        self._blocks = self.shares.blocks

    def finish_loading(self) -> None:
        if len(self._blocks) == 1:
            super().finish_loading()
        elif self.weight is not None:
            self._hold([self.kernels.pack(self.weight.detach().narrow(1, *block)) for block in self._blocks])

    def _take(self, codes: GroupedCodes) -> None:
        assert self.weight is not None
        shares = self.shares
        if codes.order is not None and not self._is_whole:
            # Neighbours in its order have a scale in common, so it is divided in that order; whose inputs these are is
            # anybody's guess, so the ranks' inputs are gathered first.
            unit = codes.group_size if codes.shape[1] // codes.group_size >= _num_pieces(shares) else 0
            num_blocks = _num_pieces(shares) if shares.is_fixed else 0
            shares = divided(codes.shape[1], self.group, "groups of inputs", num_blocks=num_blocks, unit=unit)
            self._inputs = shares.of_tensor(codes.order, 0)
            self._blocks = shares.blocks
            codes = replace(codes, order=None)
        own = shares.of_codes(codes, 1)
        if len(self._blocks) == 1:
            PackedLayer._take(self, own)
        else:
            blocks = [own.narrow(1, *block) for block in self._blocks]
            self._hold([self.kernels.pack_codes(block, self.weight.dtype) for block in blocks])

    @property
    def gathers_inputs(self) -> bool:
        """Whether its columns belong to inputs of other ranks, too, which it asks them for."""
        return self._inputs is not None

    @property
    def _is_whole(self) -> bool:
        return self.group.size == 1 and len(self.shares.blocks) == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._is_whole:
            return self.multiply(x, self.bias)
        parts = self._parts(x)
        if self.leaves_open:
            return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        # The bias belongs to the sum, so it is added once, after it.
        summed = self.group.all_reduce(tree_sum(parts)).to(x.dtype)  # [T, out] of partial sums -> [T, out]
        return summed if self.bias is None else summed + self.bias

    def _parts(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The products of this rank's blocks, `[T, out]` each."""
        if self._inputs is not None:
            x = self.group.all_gather(x, self.shares.widths)[:, self._inputs]
        if len(self._blocks) == 1:
            parts = [self.multiply(x, None)]
        else:
            given = self.packed or [self.weight]
            parts = [
                self.kernels.linear(x.narrow(1, *block), matrix, None)
                for block, matrix in zip(self._blocks, given, strict=True)
            ]
        return [part.float() for part in parts] if self.shares.is_fixed else parts


class ReplicatedLinear(PackedLayer):
    """`[T, in] -> [T, out]`, computed whole by every rank: for outputs that are few and that all ranks need."""

    def __init__(self, in_features: int, out_features: int, *, kernels: Kernels) -> None:
        super().__init__(in_features, out_features, kernels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kernels.linear(x, self.matrix, None)


@dataclass(frozen=True)
class ShardLoader:
    """Fills a parameter with this rank's shard of a full tensor; shares None: every rank holds it whole.

    It does not hold the parameter: a cycle would keep the memory of one that is given up.
    """

    shares: Shares | None
    dim: int

    def __call__(self, parameter: nn.Parameter, full: torch.Tensor) -> None:
        """Raises ValueError where `full` is not of the whole shape."""
        if list(full.shape) != (wanted := self.whole_shape(parameter)):
            raise ValueError(f"shards of {wanted} are no part of {list(full.shape)}")
        # A view: no second copy of the tensor.
        parameter.data.copy_(full if self.shares is None else self.shares.of_tensor(full, self.dim))

    def whole_shape(self, parameter: nn.Parameter) -> list[int]:
        """Of the tensor that `parameter` is a shard of."""
        shape = list(parameter.shape)
        if self.shares is not None:
            shape[self.dim] = self.shares.total
        return shape


def set_weight_loader(parameter: nn.Parameter, shares: Shares | None, dim: int) -> None:
    """Attach `weight_loader(parameter, full_tensor)`, a ShardLoader."""
    parameter.weight_loader = ShardLoader(shares, dim)  # type: ignore[attr-defined]


def whole_shape(parameter: nn.Parameter) -> list[int]:
    """Of the stored tensor that `parameter`, or its whole, is filled with."""
    loader = getattr(parameter, "weight_loader", None)
    return loader.whole_shape(parameter) if isinstance(loader, ShardLoader) else list(parameter.shape)


def _num_pieces(shares: Shares) -> int:
    """Ranks, or blocks of all ranks."""
    return len(shares.ranges) * len(shares.blocks)
