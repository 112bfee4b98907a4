"""From the tensors that GPTQ, AWQ, compressed-tensors and FP8 checkpoints store for a matrix to `GroupedCodes`.

Beside the token's path, under `quantised_source`: one function for each layout, from the parts of one matrix by the
last piece of their names. What is read is GPTQ (Frantar et al. 2022, arXiv 2210.17323), AWQ (Lin et al. 2023,
2306.00978), and integers and FP8 (Micikevicius et al. 2022, 2209.05433) of compressed-tensors; the bits mean the same
in all of them, `scale * (code - zero)`, and only lie otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes, TwoLevel
from pagoda.models.checkpoint.bit_packing import unpack, unpack_awq

Parts = Mapping[str, torch.Tensor]


def from_gptq(parts: Parts, bits: int, *, zeros_less_one: bool) -> GroupedCodes:
    """`qweight [in * bits / 32, out]`, `qzeros [groups, out * bits / 32]`, `scales [groups, out]`, `g_idx [in]`.

    zeros_less_one: as version 1 of the format stores zero points
    """
    outputs = parts["scales"].shape[1]
    inputs = parts["qweight"].shape[0] * 32 // bits
    words = parts["qzeros"]
    if zeros_less_one:
        # To whole words, as it was taken from them: a zero point of 0 borrowed from its neighbour.
        one = sum(1 << place for place in range(0, 32, bits))
        words = ((words.long() + one) & 0xFFFFFFFF).to(torch.uint32).view(torch.int32)
    codes = unpack(parts["qweight"].T, bits, inputs)
    return _grouped(codes, bits, parts["scales"].T, unpack(words, bits, outputs).T, parts.get("g_idx"))


def from_awq(parts: Parts) -> GroupedCodes:
    """`qweight [in, out / 8]`, `qzeros [groups, out / 8]`, `scales [groups, out]`, 4 bits each."""
    return _grouped(unpack_awq(parts["qweight"]).T, 4, parts["scales"].T, unpack_awq(parts["qzeros"]).T)


def from_pack_quantized(parts: Parts) -> GroupedCodes:
    """`weight_packed [out, in * bits / 32]`, `weight_scale [out, groups]`, `weight_shape [2]`, and where there are any
    `weight_zero_point [out * bits / 32, groups]` and `weight_g_idx [in]`."""
    outputs, inputs = parts["weight_shape"].tolist()
    bits = parts["weight_packed"].shape[1] * 32 // inputs
    scales = parts["weight_scale"].reshape(outputs, -1)
    zeros = None
    if "weight_zero_point" in parts:
        zeros = unpack(parts["weight_zero_point"].T, bits, outputs).T
    codes = unpack(parts["weight_packed"], bits, inputs)
    return _grouped(codes, bits, scales, zeros, parts.get("weight_g_idx"))


def from_int_quantized(parts: Parts) -> GroupedCodes:
    """`weight [out, in]` int8, `weight_scale [out, groups]` or one for all, `weight_zero_point` like it."""
    weight = parts["weight"]
    scales = _each_row(parts["weight_scale"], len(weight))
    zeros = parts.get("weight_zero_point")
    unsigned = None if zeros is None else _each_row(zeros, len(weight)).short() + 128
    return _grouped((weight.short() + 128).to(torch.uint8), 8, scales, unsigned)


def from_float8(parts: Parts) -> torch.Tensor:
    """`weight [out, in]` in FP8 with `weight_scale` of all, of each row or of blocks, or blocks' `weight_scale_inv`,
    which is no inverse but the same: widened to fp32 `[out, in]`."""
    weight = parts["weight"].float()
    scales = parts.get("weight_scale", parts.get("weight_scale_inv"))
    assert scales is not None
    scales = scales.float().reshape(1, 1) if scales.numel() == 1 else scales.float()
    if scales.dim() == 1:
        scales = scales[:, None]
    for dim in (0, 1):
        if scales.shape[dim] not in (1, weight.shape[dim]):
            # The last block may be cut: blocks are as wide as the next power of two tells.
            width = _block(weight.shape[dim], scales.shape[dim])
            scales = scales.repeat_interleave(width, dim).narrow(dim, 0, weight.shape[dim])
    return weight * scales


def _block(size: int, count: int) -> int:
    """Elements of one of `count` blocks that cover `size`, of which the last may be cut: 128 mostly."""
    widths = (width for width in (128, 64, 256, 32, 512) if -(-size // width) == count)
    if (width := next(widths, None)) is None:
        raise CheckpointError(f"{count} blocks of FP8 scales for a dimension of {size}: no width of a block fits")
    return width


def _each_row(factors: torch.Tensor, outputs: int) -> torch.Tensor:
    """`[out, groups]` of whatever is stored: one for all, one a row, or groups."""
    return factors.reshape(1, 1).expand(outputs, 1) if factors.numel() == 1 else factors.reshape(outputs, -1)


def _grouped(
    codes: torch.Tensor,
    bits: int,
    scales: torch.Tensor,
    zeros: torch.Tensor | None,
    group_of_input: torch.Tensor | None = None,
) -> GroupedCodes:
    """`codes [out, in]`, `scales` and `zeros [out, groups]`, the group of each input: None as they lie."""
    groups = scales.shape[1]
    group_size = codes.shape[1] // groups
    order = None if group_of_input is None else _order(group_of_input.long(), groups, group_size)
    codes = (codes if order is None else codes[:, order]).contiguous()
    scales, middle = scales.float().contiguous(), 1 << (bits - 1)
    if zeros is None or (zeros == middle).all():
        return GroupedCodes(codes, bits, group_size, scales, zero=middle, order=order)
    shifts = TwoLevel(zeros.to(torch.uint8).contiguous(), scales)
    return GroupedCodes(codes, bits, group_size, scales, shifts=shifts, order=order)


def _order(group_of_input: torch.Tensor, groups: int, group_size: int) -> torch.Tensor | None:
    """Inputs by their groups; None where that is how they lie. Raises CheckpointError for groups of several sizes."""
    if torch.equal(group_of_input, torch.arange(len(group_of_input)) // group_size):
        return None
    if group_of_input.min() < 0 or not (torch.bincount(group_of_input, minlength=groups) == group_size).all():
        raise CheckpointError(f"g_idx does not put {group_size} inputs into each of {groups} groups: download it again")
    return torch.argsort(group_of_input, stable=True)
