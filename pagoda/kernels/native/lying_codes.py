"""How a matrix in codes is to lie in the library's panels: the narrowest way that keeps each of its numbers.

Beside the token's path: asked once for each matrix, when it is packed. `csrc/codes.h` says what the ways are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pagoda.kernels.grouped_codes import Factors, GroupedCodes, TwoLevel
from pagoda.kernels.native import library

_NIBBLES, _TABLE = 0, 1
_LIES = {2: _NIBBLES, 3: _NIBBLES, 4: _NIBBLES, 5: 2, 6: 3, 8: 4}  # by bits
_NONE, _HALF, _FLOAT, _STEPS, _ZEROS = range(5)
_STRIP, _HALF_STRIP = 32, 16
_TABLE_ZERO = 128  # values of tables become bytes without a sign


@dataclass(frozen=True)
class LyingCodes:
    """A format, and the numbers of groups as it has them: floats, or bytes with their steps."""

    format: library.CodeFormat
    scales: torch.Tensor | None
    shifts: torch.Tensor | None
    scale_steps: torch.Tensor | None
    shift_steps: torch.Tensor | None

    @classmethod
    def of(cls, codes: GroupedCodes) -> LyingCodes | None:
        """None where the library has no groups of that size."""
        group = codes.group_size
        if group == codes.shape[1]:
            group = -(-group // _STRIP) * _STRIP  # one group for all inputs, be they whole strips or not
        if codes.bits not in _LIES or (group != _HALF_STRIP and group % _STRIP):
            return None
        scale, scales, scale_steps = _kept(codes.scales)
        shift, shifts, shift_steps = _kept_shifts(codes, scale_steps)
        steps = scale_steps if shift_steps is None else shift_steps
        every = 1 if steps is None or shift == _ZEROS else codes.shape[1] // codes.group_size // steps.shape[1]
        table = [] if codes.values is None else (codes.values.int() + _TABLE_ZERO).tolist()
        lie = _LIES[codes.bits] if codes.values is None else _TABLE
        zero = codes.zero if codes.values is None else codes.zero + _TABLE_ZERO
        format = library.CodeFormat(lie, scale, shift, group, every, zero, table)
        return cls(format, scales, shifts, scale_steps, shift_steps)


Kept = tuple[int, torch.Tensor | None, torch.Tensor | None]
"""The kind of the numbers, these, and their steps."""


def _kept(factors: Factors) -> Kept:
    if isinstance(factors, TwoLevel):
        codes = factors.codes
        if codes.shape[1] > factors.steps.shape[1] and _is_half(factors.steps) and not (codes.int() > 127).any():
            return _STEPS, codes.contiguous(), factors.steps.float().contiguous()
        factors = factors.values()
    return _HALF if _is_half(factors) else _FLOAT, factors.float().contiguous(), None


def _kept_shifts(codes: GroupedCodes, scale_steps: torch.Tensor | None) -> Kept:
    shifts, scales = codes.shifts, codes.scales
    if shifts is None:
        return _NONE, None, None
    if isinstance(shifts, TwoLevel):
        if isinstance(scales, torch.Tensor) and torch.equal(shifts.steps, scales) and shifts.codes.dtype == torch.uint8:
            return _ZEROS, shifts.codes.contiguous(), None
        if scale_steps is None or scale_steps.shape != shifts.steps.shape:
            shifts = shifts.values()  # what has steps has them for scales and shifts alike
    return _kept(shifts)


def _is_half(numbers: torch.Tensor) -> bool:
    return torch.equal(numbers.half().float(), numbers.float())
