"""A float matrix in whole numbers, each weight rounded to the nearest that its group has.

Beside the token's path: when a model is quantised while it is loaded, and as the grid that `gptq` rounds onto. Scales
are searched: the range of a group is cut a little, step by step, and the cut with the least squared error stays, since
the one largest weight of a group otherwise makes every other one coarse (as LAPQ, Nahshan et al. 2019, arXiv
1911.07190, and GPTQ's own code do).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pagoda.kernels.grouped_codes import GroupedCodes, TwoLevel
from pagoda.models.quantise.scheme import SUPER_BLOCK, Scheme

_CUTS = tuple(1 - step * 0.025 for step in range(17))
"""Shares of a group's range that are tried: down to .6."""
_SMALLEST_HALF = 2.0**-24


@dataclass(frozen=True)
class CodeGrid:
    """The numbers that a matrix may take: `scale * (code - zero)`, code 0 to `highest`.

    scales: fp32 `[out, groups]`, each a number that 16 bits hold; zeros: fp32 of the same shape, whole numbers
    stored: of a k-quant its scales and shifts as they are written, whose values `scales` are, and `scales * zeros`
    """

    scheme: Scheme
    scales: torch.Tensor
    zeros: torch.Tensor
    stored: tuple[TwoLevel, TwoLevel | None] | None = None

    def codes(self, weight: torch.Tensor, group: int | slice) -> torch.Tensor:
        """Of `weight [out, n]` in one group, or `[out, groups, n]` in some: the nearest codes, as floats."""
        scales, zeros = self._factors(group)
        return torch.round(weight / scales + zeros).clamp_(0, self.scheme.highest)

    def values(self, codes: torch.Tensor, group: int | slice) -> torch.Tensor:
        """What codes mean."""
        scales, zeros = self._factors(group)
        return (codes - zeros) * scales

    def _factors(self, group: int | slice) -> tuple[torch.Tensor, torch.Tensor]:
        return self.scales[:, group, None], self.zeros[:, group, None]

    def grouped(self, codes: torch.Tensor) -> GroupedCodes:
        """`codes [out, in]` on this grid."""
        scheme, inputs = self.scheme, codes.shape[1]
        zeros = None if scheme.symmetric else TwoLevel(self.zeros.to(torch.uint8), self.scales)
        scales, shifts = self.stored or (self.scales, zeros)
        return GroupedCodes(
            codes=codes.to(torch.uint8),
            bits=scheme.bits,
            group_size=scheme.group_size or inputs,
            scales=scales,
            shifts=shifts,
            zero=scheme.middle if scheme.symmetric else 0,
        )


def round_to_nearest(weight: torch.Tensor, scheme: Scheme, *, search: bool = True) -> GroupedCodes:
    """`weight [out, in]` of floats in the codes of `scheme`, its group reduced where the inputs do not divide by it.

    search: cut ranges for the least squared error, instead of keeping the largest weight of each group
    """
    scheme = scheme.fitted(weight.shape[1])
    grid = find_grid(weight, scheme, search=search)
    groups = _in_groups(weight.float(), scheme)
    return grid.grouped(grid.codes(groups, slice(None)).flatten(1))


def find_grid(
    weight: torch.Tensor, scheme: Scheme, *, importance: torch.Tensor | None = None, search: bool = True
) -> CodeGrid:
    """The scales and zero points for `weight [out, in]`; `scheme` must fit its inputs.

    importance: `[in]`, what a squared error of each input counts; None counts all alike
    """
    groups = _in_groups(weight.float(), scheme)  # [out, groups, group_size]
    counts = torch.ones(1) if importance is None else _in_groups(importance.float()[None], scheme)
    low, high = groups.amin(-1).clamp_(max=0), groups.amax(-1).clamp_(min=0)  # zero itself is always kept
    best = _cut_grid(low, high, scheme, 1.0)
    least = _error(groups, best, counts)
    for cut in _CUTS[1:] if search else ():
        tried = _cut_grid(low, high, scheme, cut)
        error = _error(groups, tried, counts)
        better = error < least
        least = torch.where(better, error, least)
        best = CodeGrid(
            scheme, torch.where(better, tried.scales, best.scales), torch.where(better, tried.zeros, best.zeros)
        )
    return k_quant_grid(groups, best, counts) if scheme.two_level else best


def _in_groups(weight: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    return weight.unflatten(1, (-1, scheme.group_size or weight.shape[1]))


def _cut_grid(low: torch.Tensor, high: torch.Tensor, scheme: Scheme, cut: float) -> CodeGrid:
    """The grid over `cut` of each group's range."""
    stored = _above_zero if scheme.two_level else _as_stored  # the scales of a k-quant are rounded together, later
    if scheme.symmetric:
        # Half a step more than the codes above the middle reach: one below it is more than that (8 of 4 bits).
        scales = stored(torch.maximum(-low, high) * (cut / (scheme.middle - 0.5)))
        return CodeGrid(scheme, scales, torch.full_like(scales, scheme.middle))
    scales = stored((high - low) * (cut / scheme.highest))
    zeros = -low * cut / scales
    return CodeGrid(scheme, scales, (zeros if scheme.two_level else torch.round(zeros)).clamp_(0, scheme.highest))


def k_quant_grid(groups: torch.Tensor, grid: CodeGrid, counts: torch.Tensor) -> CodeGrid:
    """The grid of a k-quant that is nearest to `grid`, its scales and shifts whole numbers of steps for 256 inputs.

    Shifts are chosen anew for the scales that came of it: the mean of what codes leave is what they are to take away.
    """
    scheme = grid.scheme
    per_block = SUPER_BLOCK // (scheme.group_size or SUPER_BLOCK)
    scales = _in_steps(grid.scales, per_block, 127 if scheme.symmetric else 63, least=1)
    if scheme.symmetric:
        return CodeGrid(scheme, scales.values(), grid.zeros, (scales, None))
    codes = CodeGrid(scheme, scales.values(), grid.scales * grid.zeros / scales.values()).codes(groups, slice(None))
    wanted = ((codes * scales.values()[:, :, None] - groups) * counts).sum(-1) / counts.expand_as(groups).sum(-1)
    shifts = _in_steps(wanted.clamp_min(0), per_block, 63, least=0)
    return CodeGrid(scheme, scales.values(), shifts.values() / scales.values(), (scales, shifts))


def _in_steps(values: torch.Tensor, per_block: int, highest: int, *, least: int) -> TwoLevel:
    """`values [out, groups]`, none below zero, as whole numbers of up to `highest` times a step for each block."""
    blocks = values.unflatten(1, (-1, per_block))
    steps = (blocks.amax(-1) / highest).half().float().clamp_min(_SMALLEST_HALF)
    codes = torch.round(blocks / steps[:, :, None]).clamp_(least, highest)
    return TwoLevel(codes.flatten(1).to(torch.uint8), steps)


def _above_zero(scales: torch.Tensor) -> torch.Tensor:
    return scales.clamp_min(_SMALLEST_HALF)


def _as_stored(scales: torch.Tensor) -> torch.Tensor:
    """Rounded to fp16, or to bf16 where one is below what fp16 holds in full; a group of zeros gets 1."""
    smallest = torch.finfo(torch.float16).tiny
    nonzero = torch.where(scales > 0, scales, torch.ones_like(scales))
    dtype = torch.float16 if smallest <= nonzero.min() and nonzero.max() < 65504 else torch.bfloat16
    return nonzero.to(dtype).float()


def _error(groups: torch.Tensor, grid: CodeGrid, counts: torch.Tensor) -> torch.Tensor:
    """`[out, groups]`: the squared error of each group."""
    rounded = grid.values(grid.codes(groups, slice(None)), slice(None))
    return rounded.sub_(groups).square_().mul_(counts).sum(-1)
