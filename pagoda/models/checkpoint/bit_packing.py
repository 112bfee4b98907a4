"""Codes of a few bits in 32-bit words, as GPTQ, AWQ and compressed-tensors write them.

Beside the token's path, while a quantised checkpoint is read (`quantised_source`) or written. The bits of a row's codes
follow each other without gaps, lowest bit first, from one word into the next: for 4 and 8 bits that is a whole number
of codes a word, which is all that most programs know.
"""

from __future__ import annotations

import numpy as np
import torch

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight neighbouring outputs each nibble of a word holds, from the lowest (AWQ's GEMM layout)."""
_WORD = np.dtype("<i4")


def unpack(words: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """`words [rows, n]` int32 -> `[rows, count]` uint8, the first `count` codes of each row."""
    octets = words.contiguous().numpy().astype(_WORD, copy=False).view(np.uint8)  # [rows, 4 * n]
    if bits == 8:
        codes = octets
    elif bits == 4:
        codes = np.stack((octets & 15, octets >> 4), axis=-1).reshape(len(octets), -1)
    else:
        flat = np.unpackbits(octets, axis=1, bitorder="little")
        flat = flat[:, : flat.shape[1] // bits * bits].reshape(len(octets), -1, bits)
        codes = np.packbits(flat, axis=2, bitorder="little")[:, :, 0]
    return torch.from_numpy(np.ascontiguousarray(codes[:, :count]))


def pack(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """`codes [rows, count]` uint8, each below 2^bits -> `[rows, ceil(count * bits / 32)]` int32."""
    values = codes.contiguous().numpy()
    flat = np.unpackbits(values[:, :, None], axis=2, bitorder="little")[:, :, :bits].reshape(len(values), -1)
    flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32)))
    octets = np.packbits(flat, axis=1, bitorder="little")
    return torch.from_numpy(octets.view(_WORD).astype(np.int32, copy=False))


def unpack_awq(words: torch.Tensor) -> torch.Tensor:
    """`words [rows, n]` int32 of eight 4-bit codes each, in AWQ's order -> `[rows, 8 * n]` uint8."""
    nibbles = unpack(words, 4, 8 * words.shape[1]).unflatten(1, (-1, 8))
    codes = torch.empty_like(nibbles)
    codes[:, :, list(AWQ_ORDER)] = nibbles
    return codes.flatten(1)
