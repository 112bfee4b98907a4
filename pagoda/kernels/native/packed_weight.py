"""A matrix as the library reads it, and the element types that it computes in.

Beside the token's path: made once at load, read by every product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pagoda.kernels.native import library

_DTYPES = {torch.float32: 0, torch.bfloat16: 1}


@dataclass(frozen=True)
class PackedWeight:
    """A matrix as the kernels read it: `data`, uint8, holds panels of outputs (`csrc/ops.h`)."""

    data: torch.Tensor
    out_features: int
    in_features: int
    dtype: torch.dtype

    @classmethod
    def of(cls, weight: torch.Tensor) -> PackedWeight:
        """`weight [out, in]`, fp32 or bf16, copied into its panels."""
        weight = weight.detach().contiguous()
        dtype = dtype_number(weight.dtype)
        out_features, in_features = weight.shape
        data = torch.empty(library.packed_bytes(out_features, in_features, dtype), dtype=torch.uint8)
        library.pack_weight(weight.data_ptr(), data.data_ptr(), out_features, in_features, dtype)
        return cls(data, out_features, in_features, weight.dtype)


def is_computed(dtype: torch.dtype) -> bool:
    """Whether the library has kernels for elements of `dtype`."""
    return dtype in _DTYPES


def dtype_number(dtype: torch.dtype) -> int:
    """What the library calls `dtype`. Raises ValueError for one that it does not compute in."""
    if dtype not in _DTYPES:
        raise ValueError(f"native kernels compute in float32 and bfloat16, not in {dtype}")
    return _DTYPES[dtype]
