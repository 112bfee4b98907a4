"""Blocks of GGML as codes and as numbers: what every quantised type means, in plain torch.

Off the token's path, at loading: kernels that compute in codes get these, all others the numbers that they mean, which
are those of llama.cpp's own decoder to the last bit (`ggml-quants.c`; a test holds them against the `gguf` package):
the same products in the same order, in float32. A block is one or two scales of half precision and a code for each
weight, x = d * q or x = d * q - m; K types (k-quants) have 256 weights and small integer scales for each 16 or 32 of
them; in IQ4 types and MXFP4 (OCP Microscaling Formats 1.0) a code is the number of a value in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from pagoda.kernels.block_types import BlockType
from pagoda.kernels.grouped_codes import GroupedCodes, TwoLevel

_IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
_FP4_VALUES = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)  # E2M1, doubled; so scales are halved
_CHUNK_WEIGHTS = 1 << 18
"""Weights decoded at a time: what is made on the way stays in the processor's cache."""


def decode_rows(data: torch.Tensor, block_type: BlockType) -> torch.Tensor:
    """The weights of whole rows, float32 [rows, weights of a row]; of F32 a view of `data`, else a tensor of its own.

    data: uint8 [rows, bytes of a row], as `block_type` stores them
    """
    if block_type.name == "F32":
        return data.view(torch.float32)
    blocks = data.reshape(-1, block_type.block_bytes)
    weights = torch.empty(len(blocks), block_type.block_size, dtype=torch.float32)

    def decode(chunk: slice) -> None:
        if block_type.is_float:
            weights[chunk] = _FLOATS[block_type.name](blocks[chunk])
        else:
            weights[chunk] = _CODES[block_type.name](blocks[chunk]).dense()

    _each_chunk(len(blocks), block_type, decode)
    return weights.view(len(data), -1)


def codes_of_rows(data: torch.Tensor, block_type: BlockType) -> GroupedCodes:
    """The same rows as codes: what `decode_rows` gives is their `dense()`, to the last bit.

    block_type: one whose weights are no numbers of their own
    """
    blocks = data.reshape(-1, block_type.block_bytes)
    read = _CODES[block_type.name]
    # A row is several blocks, each of which is a matrix of one row to whoever reads it.
    whole = read(blocks[:1]).mapped(lambda tensor: tensor.new_empty(len(blocks), tensor.shape[1]))

    def fill(chunk: slice) -> None:
        for place, part in zip(whole.row_tensors, read(blocks[chunk]).row_tensors, strict=True):
            place[chunk] = part

    _each_chunk(len(blocks), block_type, fill)
    return whole.mapped(lambda tensor: tensor.view(len(data), -1))


def _each_chunk(num_blocks: int, block_type: BlockType, work: Callable[[slice], None]) -> None:
    step = _CHUNK_WEIGHTS // block_type.block_size
    with _one_thread_each() as num_threads, ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(lambda start: work(slice(start, start + step)), range(0, num_blocks, step)))


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Operators run on the thread that calls them; how many such threads there should be instead.

    Dividing every one of many short operators costs more than it gains, and on a busy machine fifty times more, since
    each waits for the last of its threads.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


def _split(blocks: torch.Tensor, *sizes: int) -> Sequence[torch.Tensor]:
    """The fields of each block, [blocks, size] each, in their order."""
    return blocks.split(sizes, dim=1)


def _as(field: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The bytes of a field [blocks, n] as numbers [blocks, n / size of one]."""
    # `contiguous` would leave the only row of a tensor where it lies, which may be at no multiple of a number's size.
    return field.clone(memory_format=torch.contiguous_format).view(dtype)


def _half(field: torch.Tensor) -> torch.Tensor:
    return _as(field, torch.float16).float()


def _shifted(codes: torch.Tensor, group: int, shifts: Sequence[int], mask: int) -> torch.Tensor:
    """Codes that share bytes: of each `group` bytes, first all that lie at the first shift, then at the next, ...

    codes: uint8 [blocks, n] -> uint8 [blocks, n * len(shifts)]
    """
    # Four bytes at a time: what a shift moves over the border of a byte, the mask takes away.
    words = _as(codes, torch.int32).unflatten(1, (-1, group // 4))
    parts = words.new_empty(*words.shape[:2], len(shifts), group // 4)
    for place, shift in enumerate(shifts):
        torch.bitwise_and(words >> shift, mask * 0x01010101, out=parts[:, :, place])
    return parts.view(torch.uint8).flatten(1)


def _nibbles(codes: torch.Tensor, group: int) -> torch.Tensor:
    return _shifted(codes, group, (0, 4), 0x0F)


def _fifth_bits(field: torch.Tensor) -> torch.Tensor:
    """The highest bit of 32 codes, one after another in four bytes: uint8 [blocks, 32], 0 or 16."""
    bits = torch.arange(256).unsqueeze(1) >> torch.arange(8) & 1
    eight = (bits << 4).to(torch.uint8).view(torch.int64).flatten()  # of each byte, its eight codes in one word
    return eight[field.int()].view(torch.uint8)


def _f16(blocks: torch.Tensor) -> torch.Tensor:
    return _as(blocks, torch.float16).float()


def _bf16(blocks: torch.Tensor) -> torch.Tensor:
    return _as(blocks, torch.bfloat16).float()


def _q4_0(blocks: torch.Tensor) -> GroupedCodes:
    d, codes = _split(blocks, 2, 16)
    return GroupedCodes(_nibbles(codes, 16), 4, 32, _half(d), zero=8)


def _q4_1(blocks: torch.Tensor) -> GroupedCodes:
    d, m, codes = _split(blocks, 2, 2, 16)
    return GroupedCodes(_nibbles(codes, 16), 4, 32, _half(d), -_half(m))


def _q5_0(blocks: torch.Tensor) -> GroupedCodes:
    d, high, codes = _split(blocks, 2, 4, 16)
    return GroupedCodes(_nibbles(codes, 16) | _fifth_bits(high), 5, 32, _half(d), zero=16)


def _q5_1(blocks: torch.Tensor) -> GroupedCodes:
    d, m, high, codes = _split(blocks, 2, 2, 4, 16)
    return GroupedCodes(_nibbles(codes, 16) | _fifth_bits(high), 5, 32, _half(d), -_half(m))


def _q8_0(blocks: torch.Tensor) -> GroupedCodes:
    d, codes = _split(blocks, 2, 32)
    return GroupedCodes(codes ^ 128, 8, 32, _half(d), zero=128)  # the sign bit turned: codes + 128


def _q2_k(blocks: torch.Tensor) -> GroupedCodes:
    scales, codes, d, m = _split(blocks, 16, 64, 2, 2)
    two = _shifted(codes, 32, (0, 2, 4, 6), 3)
    return GroupedCodes(two, 2, 16, TwoLevel(scales & 0x0F, _half(d)), TwoLevel(scales >> 4, _half(m)))


def _q3_k(blocks: torch.Tensor) -> GroupedCodes:
    high, codes, scales, d = _split(blocks, 32, 64, 12, 2)
    three = _shifted(codes, 32, (0, 2, 4, 6), 3) | (_shifted(high, 32, range(8), 1) << 2)
    low, top = scales.split((8, 4), dim=1)  # 16 scales of 6 bits
    six = _nibbles(low, 8) | (_shifted(top, 4, (0, 2, 4, 6), 3) << 4)
    return GroupedCodes(three, 3, 16, TwoLevel((six - 32).view(torch.int8), _half(d)), zero=4)


def _k_factors(packed: torch.Tensor, d: torch.Tensor, m: torch.Tensor) -> tuple[TwoLevel, TwoLevel]:
    """Eight scales and eight minima of 6 bits each, in twelve bytes.

    The first four of each stand in the low bits of a byte; of the last four, four bits share a byte and the two high
    ones stand above the first four.
    """
    scales, minima, low = packed.split(4, dim=1)
    all_scales = torch.cat((scales & 0x3F, (low & 0x0F) | ((scales >> 2) & 0x30)), dim=1)
    all_minima = torch.cat((minima & 0x3F, (low >> 4) | ((minima >> 2) & 0x30)), dim=1)
    return TwoLevel(all_scales, _half(d)), TwoLevel(all_minima, _half(m))


def _q4_k(blocks: torch.Tensor) -> GroupedCodes:
    d, m, packed, codes = _split(blocks, 2, 2, 12, 128)
    return GroupedCodes(_nibbles(codes, 32), 4, 32, *_k_factors(packed, d, m))


def _q5_k(blocks: torch.Tensor) -> GroupedCodes:
    d, m, packed, high, codes = _split(blocks, 2, 2, 12, 32, 128)
    five = _nibbles(codes, 32) | (_shifted(high, 32, range(8), 1) << 4)
    return GroupedCodes(five, 5, 32, *_k_factors(packed, d, m))


def _q6_k(blocks: torch.Tensor) -> GroupedCodes:
    low, high, scales, d = _split(blocks, 128, 64, 16, 2)
    six = _nibbles(low, 64) | (_shifted(high, 32, (0, 2, 4, 6), 3) << 4)
    return GroupedCodes(six, 6, 16, TwoLevel(_as(scales, torch.int8), _half(d)), zero=32)


def _iq4_nl(blocks: torch.Tensor) -> GroupedCodes:
    d, codes = _split(blocks, 2, 16)
    return GroupedCodes(_nibbles(codes, 16), 4, 32, _half(d), values=torch.tensor(_IQ4_VALUES, dtype=torch.int8))


def _iq4_xs(blocks: torch.Tensor) -> GroupedCodes:
    d, high, low, codes = _split(blocks, 2, 2, 4, 128)
    # Eight scales of 6 bits: the low four by nibbles of one byte after another, the high two in 16 bits.
    four = ((low.unsqueeze(2) >> torch.tensor((0, 4), dtype=torch.uint8)) & 0x0F).flatten(1)
    two = ((high.unsqueeze(2) >> torch.tensor((0, 2, 4, 6), dtype=torch.uint8)) & 3).flatten(1)
    scales = TwoLevel(((four | (two << 4)) - 32).view(torch.int8), _half(d))
    return GroupedCodes(_nibbles(codes, 16), 4, 32, scales, values=torch.tensor(_IQ4_VALUES, dtype=torch.int8))


def _mxfp4(blocks: torch.Tensor) -> GroupedCodes:
    e, codes = _split(blocks, 1, 16)
    # E8M0: a power of two, here halved. Below 2^-126 floats have no exponent of their own, so those are shifted bits.
    exponent = e.int()
    bits = torch.where(exponent < 2, 0x00200000 << exponent.clamp(max=1), (exponent - 1) << 23)
    values = torch.tensor(_FP4_VALUES, dtype=torch.int8)
    return GroupedCodes(_nibbles(codes, 16), 4, 32, bits.view(torch.float32), values=values)


_FLOATS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"F16": _f16, "BF16": _bf16}
"""uint8 [blocks, bytes of a block] -> float32 [blocks, 1]."""
_CODES: dict[str, Callable[[torch.Tensor], GroupedCodes]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "IQ4_NL": _iq4_nl,
    "IQ4_XS": _iq4_xs,
    "MXFP4": _mxfp4,
}
"""uint8 [blocks, bytes of a block] -> a matrix whose rows are the blocks."""
