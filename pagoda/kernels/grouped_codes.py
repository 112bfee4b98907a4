"""A matrix in whole numbers of few bits: the one shape that every quantised format is brought into.

Beside the token's path: made while a checkpoint is read or a matrix is quantised, and handed to `Kernels.pack`, which
keeps the same bits in an order of its own. Groups of inputs share a scale (Dettmers and Zettlemoyer 2023, arXiv
2212.09720, section 3); what a code means is

    weight = scale * (value of code - zero) - shift

with the scale and the shift of its group, computed in fp32. GGUF, GPTQ, AWQ and compressed-tensors differ in nothing
else than in how they write these down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pagoda.errors import CheckpointError


@dataclass(frozen=True)
class TwoLevel:
    """Factors that are themselves stored in few bits: `codes [out, groups]` times `steps [out, groups / k]`.

    codes: uint8 or int8; steps: fp32. K-quants have one step for 256 weights; a zero point of its own for each group is
    the shift whose step is the group's scale.
    """

    codes: torch.Tensor
    steps: torch.Tensor

    def values(self) -> torch.Tensor:
        """`[out, groups]` fp32."""
        every = self.codes.shape[1] // self.steps.shape[1]
        return self.codes.float() * self.steps.repeat_interleave(every, dim=1)


Factors = torch.Tensor | TwoLevel
"""A number for each output and group: fp32 `[out, groups]`, or in two levels."""


@dataclass(frozen=True)
class GroupedCodes:
    """A matrix `[out, in]` whose inputs stand in groups of `group_size`.

    codes: uint8 `[out, in]`, each below 2^bits
    bits: 2 to 6, or 8
    scales: of each output and group; shifts: what is subtracted of each, None for nothing
    zero: the code that means nothing, before the scale
    values: int8 `[16]`, what the codes of a table format (IQ4_NL, MXFP4) mean; None where they mean themselves
    order: int64 `[in]`, which input of the layer each column belongs to (GPTQ's act-order); None for as they stand
    """

    codes: torch.Tensor
    bits: int
    group_size: int
    scales: Factors
    shifts: Factors | None = None
    zero: int = 0
    values: torch.Tensor | None = None
    order: torch.Tensor | None = None

    def __post_init__(self) -> None:
        outputs, inputs = self.codes.shape
        if inputs % self.group_size:
            raise CheckpointError(f"{inputs} inputs are no whole number of groups of {self.group_size}")
        wanted = [outputs, inputs // self.group_size]
        for factors in (self.scales, self.shifts):
            numbers = factors.codes if isinstance(factors, TwoLevel) else factors
            if numbers is not None and list(numbers.shape) != wanted:
                raise CheckpointError(f"scales or shifts of {list(numbers.shape)} for {wanted} outputs and groups")

    @property
    def shape(self) -> torch.Size:
        """`[out, in]`, as a dense matrix has it."""
        return self.codes.shape

    def dense(self) -> torch.Tensor:
        """The weights as fp32 `[out, in]`, inputs in the layer's order: the definition of what is multiplied."""
        values = self.codes if self.values is None else self.values[self.codes.long()]
        grouped = values.float().unflatten(1, (-1, self.group_size)) - self.zero
        weight = grouped * _floats(self.scales)[:, :, None]
        if self.shifts is not None:
            weight = weight - _floats(self.shifts)[:, :, None]
        weight = weight.flatten(1)
        if self.order is None:
            return weight
        return torch.empty_like(weight).index_copy_(1, self.order, weight)

    @property
    def row_tensors(self) -> list[torch.Tensor]:
        """What has a row for each output, in an order of its own: codes, scales, shifts."""
        found = [self.codes]
        for factors in (self.scales, self.shifts):
            if isinstance(factors, TwoLevel):
                found += [factors.codes, factors.steps]
            elif factors is not None:
                found.append(factors)
        return found

    def mapped(self, change: Callable[[torch.Tensor], torch.Tensor]) -> GroupedCodes:
        """The same of other rows: `change` makes each of `row_tensors` anew."""
        return replace(
            self,
            codes=change(self.codes),
            scales=_mapped(self.scales, change),
            shifts=None if self.shifts is None else _mapped(self.shifts, change),
        )

    def rows(self, chosen: torch.Tensor | slice) -> GroupedCodes:
        """The same for some outputs, in the order given."""
        return self.mapped(lambda tensor: tensor[chosen])

    def narrow(self, dim: int, start: int, length: int) -> GroupedCodes:
        """Some of the outputs (dim 0) or of the columns (dim 1), as a rank of tensor parallelism holds them.

        Groups that are cut become smaller ones of the same scale. Of columns in an order of their own, these stay
        inputs of the whole layer: then there is no `dense`.
        """
        if dim == 0:
            return self.rows(slice(start, start + length))
        size = self.group_size
        if start // size != (start + length - 1) // size:
            size = math.gcd(size, start, length)
        elif start % size or length % size:
            size = length  # a part of one group
        first = start // self.group_size

        def columns(factors: Factors) -> Factors:
            if size == self.group_size or length == size:
                return _columns(factors, first, length // size)
            return _columns(_repeated(factors, self.group_size // size), start // size, length // size)

        return replace(
            self,
            codes=self.codes.narrow(1, start, length),
            group_size=size,
            scales=columns(self.scales),
            shifts=None if self.shifts is None else columns(self.shifts),
            order=None if self.order is None else self.order[start : start + length],
        )


def _floats(factors: Factors) -> torch.Tensor:
    return factors.values() if isinstance(factors, TwoLevel) else factors.float()


def _mapped(factors: Factors, change: Callable[[torch.Tensor], torch.Tensor]) -> Factors:
    if isinstance(factors, TwoLevel):
        return TwoLevel(change(factors.codes), change(factors.steps))
    return change(factors)


def _repeated(factors: Factors, times: int) -> Factors:
    """Of groups that are divided into `times` each."""
    if isinstance(factors, TwoLevel):
        return TwoLevel(factors.codes.repeat_interleave(times, dim=1), factors.steps)
    return factors.repeat_interleave(times, dim=1)


def _columns(factors: Factors, first: int, count: int) -> Factors:
    if not isinstance(factors, TwoLevel):
        return factors.narrow(1, first, count)
    every = factors.codes.shape[1] // factors.steps.shape[1]
    if first % every or count % every:  # a step is cut: each group gets one of its own
        steps = factors.steps.repeat_interleave(every, dim=1)
        return TwoLevel(factors.codes.narrow(1, first, count), steps.narrow(1, first, count))
    return TwoLevel(factors.codes.narrow(1, first, count), factors.steps.narrow(1, first // every, count // every))
