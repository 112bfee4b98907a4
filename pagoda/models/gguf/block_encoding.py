"""Grouped codes as the blocks of GGUF files: Q4_0, Q5_0 and Q8_0, exactly.

Beside the token's path, while a quantised model is written. In these three a block is 32 neighbouring inputs under one
scale of 16 bits, with codes around zero, so codes in groups of 32 go into them without being rounded again. How bits
lie is ggml's (`ggml-common.h`, github.com/ggml-org/llama.cpp): a scale, then of 5 bits the highest of each, then
nibbles, of which the low ones are the block's first half.
"""

from __future__ import annotations

import numpy as np

from pagoda.errors import CheckpointError
from pagoda.kernels.block_types import BY_NAME, BlockType
from pagoda.kernels.grouped_codes import GroupedCodes

BLOCK = 32
_BY_BITS = {4: "Q4_0", 5: "Q5_0", 8: "Q8_0"}


def type_for(bits: int, group_size: int | None, symmetric: bool) -> BlockType:
    """The block type of codes. Raises CheckpointError where none has them."""
    if bits not in _BY_BITS or group_size != BLOCK or not symmetric:
        raise CheckpointError(
            f"{bits} bits in groups of {group_size}{'' if symmetric else ', asymmetric,'} have no block type: GGUF "
            f"files take symmetric groups of {BLOCK} in {', '.join(map(str, _BY_BITS))} bits"
        )
    return BY_NAME[_BY_BITS[bits]]


def encoded(codes: GroupedCodes) -> np.ndarray:
    """`[out, bytes of a row]` uint8. Raises CheckpointError for codes that no block type has."""
    block = type_for(codes.bits, codes.group_size, codes.shifts is None and codes.zero == 1 << (codes.bits - 1))
    scales = codes.scales.numpy().astype("<f2")[:, :, None].view(np.uint8)  # type: ignore[union-attr]
    numbers = codes.codes.numpy().reshape(len(codes.codes), -1, BLOCK)  # [out, blocks, 32]
    parts = [scales]
    if block.name == "Q8_0":
        parts.append((numbers ^ 128).astype(np.uint8))  # less 128, as a byte with a sign has it
    else:
        if block.name == "Q5_0":
            parts.append(np.packbits(numbers >> 4, axis=2, bitorder="little"))
        low = numbers & 15
        parts.append(low[:, :, : BLOCK // 2] | low[:, :, BLOCK // 2 :] << 4)
    return np.ascontiguousarray(np.concatenate(parts, axis=2).reshape(len(numbers), -1))
