"""Grouped codes as the blocks of GGUF files, exactly: Q4_0, Q5_0, Q8_0 and the k-quants Q4_K, Q5_K and Q6_K.

Beside the token's path, while a quantised model is written. In the first three a block is 32 neighbouring inputs under
one scale of 16 bits, with codes around zero; in a k-quant it is 256 inputs in groups, whose scales and shifts are whole
numbers of few bits under two such steps. Codes that were found on these very grids go into them without being rounded
again. How bits lie is ggml's (`ggml-common.h`, github.com/ggml-org/llama.cpp), as `kernels/reference/blocks` reads it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pagoda.errors import CheckpointError
from pagoda.kernels.block_types import BY_NAME, BlockType
from pagoda.kernels.grouped_codes import GroupedCodes, TwoLevel

BLOCK = 32
_TYPES: dict[tuple[int, int | None, bool, bool], str] = {
    (4, BLOCK, True, False): "Q4_0",
    (5, BLOCK, True, False): "Q5_0",
    (8, BLOCK, True, False): "Q8_0",
    (4, BLOCK, False, True): "Q4_K",
    (5, BLOCK, False, True): "Q5_K",
    (6, 16, True, True): "Q6_K",
}


def type_for(bits: int, group_size: int | None, symmetric: bool, two_level: bool) -> BlockType:
    """The block type of codes. Raises CheckpointError where none has them."""
    name = _TYPES.get((bits, group_size, symmetric, two_level))
    if name is None:
        raise CheckpointError(
            f"{bits} bits in groups of {group_size}{'' if symmetric else ', asymmetric,'} have no block type: GGUF "
            f"files take {', '.join(_TYPES.values())}"
        )
    return BY_NAME[name]


def encoded(codes: GroupedCodes) -> np.ndarray:
    """`[out, bytes of a row]` uint8. Raises CheckpointError for codes that no block type has."""
    symmetric = codes.shifts is None and codes.zero == 1 << (codes.bits - 1)
    block = type_for(codes.bits, codes.group_size, symmetric, isinstance(codes.scales, TwoLevel))
    numbers = codes.codes.numpy().reshape(len(codes.codes), -1, block.block_size)  # [out, blocks, weights of a block]
    parts = _PARTS[block.name](codes, numbers)
    return np.ascontiguousarray(np.concatenate(parts, axis=2).reshape(len(numbers), -1))


Parts = list[np.ndarray]
"""The fields of each block, in their order, each uint8 `[out, blocks, bytes]`."""


def _halves(numbers: np.ndarray) -> np.ndarray:
    """Floats `[out, blocks]` as the bytes of half precision."""
    return numbers.astype("<f2")[:, :, None].view(np.uint8)


def _scales(codes: GroupedCodes) -> np.ndarray:
    return _halves(codes.scales.numpy())  # type: ignore[union-attr]


def _pairs(numbers: np.ndarray, group: int) -> np.ndarray:
    """The low four bits of codes, two in a byte: of each two groups the first below the second."""
    low = (numbers & 15).reshape(*numbers.shape[:2], -1, 2, group)
    return (low[:, :, :, 0] | low[:, :, :, 1] << 4).reshape(*numbers.shape[:2], -1)


def _stacked(bits: np.ndarray, width: int) -> np.ndarray:
    """High bits `[out, blocks, rows, bytes, values]` of `width` bits each, the first value of a byte lowest."""
    shifts = (np.arange(bits.shape[-1]) * width).astype(np.uint8)
    return np.bitwise_or.reduce(bits << shifts, axis=-1).reshape(*bits.shape[:2], -1)


def _q4_0(codes: GroupedCodes, numbers: np.ndarray) -> Parts:
    return [_scales(codes), _pairs(numbers, BLOCK // 2)]


def _q5_0(codes: GroupedCodes, numbers: np.ndarray) -> Parts:
    return [_scales(codes), np.packbits(numbers >> 4, axis=2, bitorder="little"), _pairs(numbers, BLOCK // 2)]


def _q8_0(codes: GroupedCodes, numbers: np.ndarray) -> Parts:
    return [_scales(codes), (numbers ^ 128).astype(np.uint8)]  # less 128, as a byte with a sign has it


def _steps_and_factors(codes: GroupedCodes) -> Parts:
    """Two steps, then eight scales and eight shifts of 6 bits each in twelve bytes.

    The first four of each have a byte of their own, whose two high bits are those of the last four.
    """
    assert isinstance(codes.scales, TwoLevel)
    assert isinstance(codes.shifts, TwoLevel)
    scales, shifts = (each.codes.numpy().reshape(len(each.codes), -1, 8) for each in (codes.scales, codes.shifts))
    low = (scales[:, :, 4:] & 15) | (shifts[:, :, 4:] & 15) << 4
    packed = [each[:, :, :4] | (each[:, :, 4:] >> 4) << 6 for each in (scales, shifts)]
    return [_halves(codes.scales.steps.numpy()), _halves(codes.shifts.steps.numpy()), *packed, low]


def _q4_k(codes: GroupedCodes, numbers: np.ndarray) -> Parts:
    return [*_steps_and_factors(codes), _pairs(numbers, 32)]


def _q5_k(codes: GroupedCodes, numbers: np.ndarray) -> Parts:
    fifth = (numbers >> 4).reshape(*numbers.shape[:2], 1, 8, 32).swapaxes(3, 4)
    return [*_steps_and_factors(codes), _stacked(fifth, 1), _pairs(numbers, 32)]


def _q6_k(codes: GroupedCodes, numbers: np.ndarray) -> Parts:
    assert isinstance(codes.scales, TwoLevel)
    high = (numbers >> 4).reshape(*numbers.shape[:2], 2, 4, 32).swapaxes(3, 4)
    scales = codes.scales.codes.numpy().astype(np.int8).view(np.uint8).reshape(*numbers.shape[:2], 16)
    return [_pairs(numbers, 64), _stacked(high, 2), scales, _halves(codes.scales.steps.numpy())]


_PARTS: dict[str, Callable[[GroupedCodes, np.ndarray], Parts]] = {
    "Q4_0": _q4_0,
    "Q5_0": _q5_0,
    "Q8_0": _q8_0,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
