"""Keys and values in bytes: each token's of one head as whole numbers of 8 bits, with a scale of their own behind them.

On the token's path where `kv_cache_dtype="int8"`: a cache of bytes holds twice the tokens. This is the definition; the
native kernels store the same numbers in an order of their own. A scale for every token and head follows from nothing
but that token, so the bits of a request stay its own.

Keys of some models have a few dimensions a hundred times as large as the others (KIVI, Liu et al. 2024, arXiv
2402.02750, section 3), which would leave these but a step or two. So keys, and queries with them, are turned by a
Hadamard matrix first, as QuaRot does (Ashkboos et al. 2024, arXiv 2404.00456, section 4): products of the two stay as
they were, and what was large in one dimension is spread over all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SCALE_BYTES = 2
"""A bf16 behind the bytes of a head."""
MOST_HEAD_DIM = 1024
_MOST = 127.0


def turned(x: torch.Tensor) -> torch.Tensor:
    """`[..., head_dim]` of any floats -> fp32 of the same shape, times a symmetric Hadamard matrix of length 1.

    Of a head whose size is no power of two, so many dimensions at a time as its largest such divisor.
    """
    import torch

    size = x.shape[-1] & -x.shape[-1]
    wide = x.float().unflatten(-1, (-1, size))
    half = 1
    while half < size:  # Fino and Algazi 1976: sums and differences of neighbours, then of pairs, and so on
        first, second = wide.unflatten(-1, (-1, 2, half)).unbind(-2)
        wide = torch.stack((first + second, first - second), dim=-2).flatten(-3)
        half *= 2
    return (wide * size**-0.5).flatten(-2)


def to_codes(x: torch.Tensor) -> torch.Tensor:
    """`[..., head_dim]` of finite floats -> int8 `[..., head_dim + SCALE_BYTES]`."""
    import torch  # here, so that sizes can be asked for without it

    wide = x.float()
    scale = (wide.abs().amax(-1, keepdim=True) / _MOST).bfloat16()
    # The scale is rounded first; where it came out smaller, the largest number is cut.
    whole = (wide / scale.float()).nan_to_num(0.0).round().clamp(-_MOST, _MOST)
    return torch.cat((whole.to(torch.int8), scale.view(torch.int8)), dim=-1)


def to_floats(codes: torch.Tensor) -> torch.Tensor:
    """int8 `[..., head_dim + SCALE_BYTES]` -> fp32 `[..., head_dim]`."""
    import torch

    whole, scale = codes.split((codes.shape[-1] - SCALE_BYTES, SCALE_BYTES), dim=-1)
    return whole.float() * scale.contiguous().view(torch.bfloat16).float()
