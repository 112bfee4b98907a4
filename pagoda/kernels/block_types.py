"""Block types of GGML: how llama.cpp's files store a row of weights, block by block, and how many bytes that takes.

Off the token's path: a file's table of tensors names a type for each, and from here come the sizes that `pagoda plan`
adds up and the reader checks. Decoding is `reference/blocks`. A matrix is stored row by row, a row is whole blocks of
its inputs, so rows can be permuted and divided without touching a code. Facts: `ggml.h` and `ggml-common.h` of
llama.cpp (github.com/ggml-org/llama.cpp). Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockType:
    """One way to store weights, `block_size` of them in `block_bytes` bytes; `number` is its id in GGUF files."""

    name: str
    number: int
    block_size: int
    block_bytes: int

    @property
    def is_float(self) -> bool:
        """Whether each weight is a number of its own, without a scale that it shares with its neighbours."""
        return self.block_size == 1

    @property
    def bits(self) -> float:
        """Bits that one weight takes, scales included."""
        return 8 * self.block_bytes / self.block_size

    def row_bytes(self, num_weights: int) -> int:
        """Bytes of a row; `num_weights` must be whole blocks."""
        return num_weights // self.block_size * self.block_bytes


_TYPES = (
    BlockType("F32", 0, 1, 4),
    BlockType("F16", 1, 1, 2),
    BlockType("BF16", 30, 1, 2),
    BlockType("Q4_0", 2, 32, 18),
    BlockType("Q4_1", 3, 32, 20),
    BlockType("Q5_0", 6, 32, 22),
    BlockType("Q5_1", 7, 32, 24),
    BlockType("Q8_0", 8, 32, 34),
    BlockType("Q2_K", 10, 256, 84),
    BlockType("Q3_K", 11, 256, 110),
    BlockType("Q4_K", 12, 256, 144),
    BlockType("Q5_K", 13, 256, 176),
    BlockType("Q6_K", 14, 256, 210),
    BlockType("IQ4_NL", 20, 32, 18),
    BlockType("IQ4_XS", 23, 256, 136),
    BlockType("MXFP4", 39, 32, 17),
)
BLOCK_TYPES = {each.number: each for each in _TYPES}
"""The types that are read, by their number in a file."""
BY_NAME = {each.name: each for each in _TYPES}
UNREAD = {
    4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S",
    22: "IQ2_S", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8",
    33: "Q4_0_8_8", 34: "TQ1_0", 35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 40: "NVFP4",
    41: "Q1_0",
}  # fmt: skip
"""Numbers of types that llama.cpp has or had and this version does not read."""


def name_of(number: int) -> str:
    """What a type is called in messages, whether it is read or not."""
    known = BLOCK_TYPES[number].name if number in BLOCK_TYPES else UNREAD.get(number)
    return known or f"number {number}"
