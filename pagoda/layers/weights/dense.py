"""The plain format: one float matrix, in the dtype that the model comes into being in.

On the token's path, seven times a layer. What is trained is always dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pagoda.layers.weights.format import Split

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pagoda.kernels.interface import Kernels, Matrix


@dataclass(frozen=True)
class DenseWeight:
    """`weight [out, in]`; see `format.WeightFormat` for what each method promises."""

    name: str = "dense"

    def parameters(self, in_features: int, out_features: int) -> dict[str, nn.Parameter]:
        import torch  # here, so that sizes can be asked for without it

        return {"weight": torch.nn.Parameter(torch.empty(out_features, in_features))}

    def shard(self, name: str, split: Split) -> int | None:
        return 0 if split is Split.COLUMN else 1

    def finish(self, layer: nn.Module, kernels: Kernels) -> None:
        """Kernels that read another order get it, and what the checkpoint held is given back."""
        weight = cast("torch.Tensor", layer.weight)
        packed = kernels.pack(weight)
        if packed is not weight:
            layer.packed = packed
            layer.register_parameter("weight", None)

    def apply(self, layer: nn.Module, x: torch.Tensor, bias: torch.Tensor | None, kernels: Kernels) -> torch.Tensor:
        return kernels.linear(x, matrix_of(layer), bias)

    def num_bytes(self, in_features: int, out_features: int, dtype_bytes: int) -> int:
        return in_features * out_features * dtype_bytes


def matrix_of(layer: nn.Module) -> Matrix:
    """What the kernels multiply by: what they made of the layer's weight, or that itself."""
    return layer.weight if layer.weight is not None else layer.packed


DENSE = DenseWeight()
