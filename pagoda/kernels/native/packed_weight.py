"""A matrix as the library reads it, and the element types that it computes in.

Beside the token's path: made once at load, read by every product.
"""

from __future__ import annotations

import contextlib
import mmap
import weakref
from dataclasses import dataclass

import torch

from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.native import library
from pagoda.kernels.native.lying_codes import LyingCodes

_LINE, _LARGE_PAGE, _CHUNK_BYTES = 64, 2 << 20, 16 << 20
_LEAST_KEPT = 64 << 10
_DTYPES = {torch.float32: 0, torch.bfloat16: 1}


@dataclass(frozen=True)
class PackedWeight:
    """A matrix as the kernels read it: `data`, uint8, holds panels of outputs (`csrc/ops.h`, `csrc/codes.h`).

    dtype: of what it is multiplied with; format: how codes lie, None where the elements are of `dtype` themselves
    order: int64 `[in]`, the input of the layer that each column belongs to; None for as they stand
    """

    data: torch.Tensor
    out_features: int
    in_features: int
    dtype: torch.dtype
    format: library.CodeFormat | None = None
    order: torch.Tensor | None = None

    @property
    def format_address(self) -> int:
        """As the library takes it."""
        return 0 if self.format is None else self.format.address

    @classmethod
    def of(cls, weight: torch.Tensor, kernels: library.Kernels, arena: Arena) -> PackedWeight:
        """`weight [out, in]`, fp32 or bf16, copied into its panels, which lie in `arena`."""
        weight = weight.detach().contiguous()
        dtype = dtype_number(weight.dtype)
        out_features, in_features = weight.shape
        data = arena.take(library.packed_bytes(out_features, in_features, dtype))
        kernels.pack_weight(weight.data_ptr(), data.data_ptr(), out_features, in_features, dtype)
        return cls(data, out_features, in_features, weight.dtype)

    @classmethod
    def of_codes(
        cls, codes: GroupedCodes, dtype: torch.dtype, kernels: library.Kernels, arena: Arena
    ) -> PackedWeight | None:
        """The same of a matrix in codes; None where their groups are of a size that the kernels do not have."""
        lying = LyingCodes.of(codes)
        if lying is None:
            return None
        out_features, in_features = codes.shape
        data = arena.take(lying.format.packed_bytes(out_features, in_features))
        numbers = codes.codes.contiguous()
        kernels.pack_codes(
            numbers.data_ptr(),
            address_of(lying.scales),
            address_of(lying.shifts),
            address_of(lying.scale_steps),
            address_of(lying.shift_steps),
            out_features,
            in_features,
            lying.format,
            data.data_ptr(),
        )
        return cls(data, out_features, in_features, dtype, lying.format, codes.order)


class Arena:
    """Memory for packed weights, one behind the other, in large pages where the system has them.

    A step reads every weight once: in pages of 4 KiB a good part of that time went by looking up where they are. What a
    large matrix leaves of a chunk is kept for smaller ones: a large page is there as a whole once any of it is written.
    """

    def __init__(self) -> None:
        self._left: list[tuple[weakref.ref[mmap.mmap], int, int]] = []
        """Of each chunk that somebody holds, where what is left of it begins and ends."""

    def take(self, num_bytes: int) -> torch.Tensor:
        """`[num_bytes]` uint8, not initialised, on a line of the cache; lives as long as somebody holds it."""
        padded = -(-num_bytes // _LINE) * _LINE
        mapped, start, end = self._part_of(padded)
        if end - start - padded >= _LEAST_KEPT:
            self._left.append((weakref.ref(mapped), start + padded, end))
        return torch.frombuffer(mapped, dtype=torch.uint8)[start : start + num_bytes]

    def _part_of(self, num_bytes: int) -> tuple[mmap.mmap, int, int]:
        """The first that is large enough, else a new chunk; it is no longer among those that are left."""
        self._left = [each for each in self._left if each[0]() is not None]
        for place, (chunk, start, end) in enumerate(self._left):
            if end - start >= num_bytes and (mapped := chunk()) is not None:
                del self._left[place]
                return mapped, start, end
        return _chunk(max(num_bytes, _CHUNK_BYTES))


def _chunk(num_bytes: int) -> tuple[mmap.mmap, int, int]:
    """New memory, and where whole large pages in it begin and end."""
    size = -(-num_bytes // _LARGE_PAGE) * _LARGE_PAGE
    # Private: memory that could be shared with another process has no large pages.
    mapped = mmap.mmap(-1, size + _LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux, and even there a kernel may be built without them
        with contextlib.suppress(OSError):
            mapped.madvise(mmap.MADV_HUGEPAGE)
    start = -torch.frombuffer(mapped, dtype=torch.uint8).data_ptr() % _LARGE_PAGE
    return mapped, start, start + size


def address_of(tensor: torch.Tensor | None) -> int:
    """Where its elements lie, as the library takes it: 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def is_computed(dtype: torch.dtype) -> bool:
    """Whether the library has kernels for elements of `dtype`."""
    return dtype in _DTYPES


def dtype_number(dtype: torch.dtype) -> int:
    """What the library calls `dtype`. Raises ValueError for one that it does not compute in."""
    if dtype not in _DTYPES:
        raise ValueError(f"native kernels compute in float32 and bfloat16, not in {dtype}")
    return _DTYPES[dtype]
