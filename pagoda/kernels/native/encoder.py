"""What an encoder's layers ask of the C++ kernels beside products in floats: bytes, attention over whole texts, norms.

Below `minilm`, whose `native_encoder` reads every sentence of every document with it. A row is rounded to whole numbers
of 8 bits with one scale, a matrix with one scale for each output, and their products are summed in whole numbers: a
row's bits are its own, whatever stands beside it. Everything runs in the thread that calls, which has an object of its
own.
Papers: Dettmers et al. 2022, "LLM.int8()" (arXiv 2208.07339); Devlin et al. 2018, "BERT" (arXiv 1810.04805).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pagoda.kernels.native import library
from pagoda.kernels.native.packed_weight import address_of, dtype_number

_MOST = 127
_VECTOR, _PANEL = 16, 32
"""Rows are read in vectors of so many elements, outputs written in panels."""


@dataclass(frozen=True)
class ByteWeight:
    """A matrix in whole numbers: `data`, uint8, in panels (`csrc/ops.h`); scales, bias: float32 `[out]`."""

    data: torch.Tensor
    scales: torch.Tensor
    bias: torch.Tensor
    in_features: int

    @classmethod
    def of(cls, weight: torch.Tensor, bias: torch.Tensor) -> ByteWeight:
        """weight: float32 `[out, in]`, rounded to its scales. Raises ValueError for sizes that fill no panel."""
        out_features, in_features = weight.shape
        if out_features % _PANEL or in_features % _VECTOR:
            raise ValueError(f"a matrix {list(weight.shape)}, expected multiples of {_PANEL} and {_VECTOR}")
        scales = weight.abs().amax(dim=1).clamp_min(1e-30) / _MOST
        numbers = (weight / scales[:, None]).round().to(torch.int8).contiguous()
        data = torch.empty(out_features * in_features, dtype=torch.uint8)
        library.pack_bytes(numbers.data_ptr(), out_features, in_features, data.data_ptr())
        return cls(data, scales, bias.float().contiguous(), in_features)


class EncoderKernels:
    """The operations of one thread.

    instruction_set: one of `library.instruction_sets()`, or "" for the best of this machine
    """

    def __init__(self, instruction_set: str = "") -> None:
        self._library = library.EncoderKernels(instruction_set or library.instruction_sets()[0])

    def linear(self, x: torch.Tensor, weight: ByteWeight, dtype: torch.dtype, gelu: bool = False) -> torch.Tensor:
        """`x [rows, in]`, fp32 or bf16, by the matrix, plus its bias; its GELU where asked for: `[rows, out]`."""
        x, out_features = _rows(x, weight.in_features), len(weight.bias)
        y = torch.empty(len(x), out_features, dtype=dtype)
        self._library.multiply(
            x.data_ptr(),
            len(x),
            weight.in_features,
            dtype_number(x.dtype),
            weight.data.data_ptr(),
            weight.scales.data_ptr(),
            weight.bias.data_ptr(),
            out_features,
            y.data_ptr(),
            dtype_number(dtype),
            gelu,
        )
        return y

    def attend(self, told: torch.Tensor, num_texts: int, num_heads: int) -> torch.Tensor:
        """Softmax attention within each text, every piece seeing all: `[pieces, width]`.

        told: `[pieces, 3 * width]`, queries, keys and values, of texts of one length behind one another
        """
        width = told.shape[1] // 3
        if len(told) % num_texts or width % (num_heads * _VECTOR):
            raise ValueError(
                f"{list(told.shape)} of {num_texts} texts, {num_heads} heads: expected heads of {_VECTOR}s"
            )
        told = _rows(told, 3 * width)
        y = told.new_empty(len(told), width)
        sizes = num_texts, len(told) // num_texts, num_heads, width // num_heads
        self._library.attend(told.data_ptr(), y.data_ptr(), *sizes, dtype_number(told.dtype))
        return y

    def add_and_normalise(
        self,
        x: torch.Tensor,
        added: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        eps: float,
        narrow: torch.Tensor | None = None,
    ) -> None:
        """`x [rows, size]`, float32, becomes LayerNorm(x + added) where it lies.

        added: fp32 or bf16, of x's shape; narrow: bf16 of x's shape, which gets the same
        """
        added = _rows(added, x.shape[1])
        if x.dtype != torch.float32 or not x.is_contiguous() or added.shape != x.shape or x.shape[1] % _VECTOR:
            raise ValueError(f"x {list(x.shape)} {x.dtype}, added {list(added.shape)}: expected alike, x float32")
        self._library.add_and_normalise(
            x.data_ptr(),
            added.data_ptr(),
            weight.data_ptr(),
            bias.data_ptr(),
            address_of(narrow),
            len(x),
            x.shape[1],
            eps,
            dtype_number(added.dtype),
        )


def _rows(x: torch.Tensor, size: int) -> torch.Tensor:
    """`[rows, size]` whose elements lie side by side. Raises ValueError for another shape."""
    if x.dim() != 2 or x.shape[1] != size:
        raise ValueError(f"x {list(x.shape)}, expected [rows, {size}]")
    return x.contiguous()
