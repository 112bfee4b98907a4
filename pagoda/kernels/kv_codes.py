"""Keys and values in bytes: each token's of one head as whole numbers of 8 bits, with a scale of their own behind them.

On the token's path where `kv_cache_dtype="int8"`: a cache of bytes holds twice the tokens. This is the definition; the
native kernels store the same numbers in an order of their own. A scale for every token and head follows from nothing
but that token, so the bits of a request stay its own (KIVI, Liu et al. 2024, arXiv 2402.02750, section 3, groups them
otherwise to get down to 2 bits).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SCALE_BYTES = 2
"""A bf16 behind the bytes of a head."""
_MOST = 127.0


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
