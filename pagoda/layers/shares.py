"""How one dimension of a layer is divided over ranks: who holds which range of it.

Off the token's path; asked while a network comes into being, and by every parameter that is loaded. Shares are whole
units, such as heads or groups of a quantised matrix, and so may differ in size by one of them. Where there are fewer KV
heads than ranks, several ranks hold the same one (as in vLLM and Megatron-LM).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch

from pagoda.distributed import ParallelGroup
from pagoda.errors import ConfigError
from pagoda.kernels.grouped_codes import GroupedCodes

_UNITS = (256, 128, 64, 32, 16, 8, 4, 2)
"""Of widths, the largest first: k-quants have groups of 256, most other formats of 128 to 32, kernels strips of 32."""
_MANY = 16
"""Units of each rank, at which it does not matter that another has one more."""

Range = tuple[int, int]
"""(start, length)"""


@dataclass(frozen=True)
class Shares:
    """A dimension of `total`, and the ranges of it that ranks hold.

    blocks: of this rank's range, offset and length of the parts whose products are added up apart (`divided`)
    is_fixed: whether these are the same parts for any number of ranks
    """

    total: int
    ranges: tuple[Range, ...]
    rank: int
    blocks: tuple[Range, ...]
    is_fixed: bool = False

    @property
    def start(self) -> int:
        """Where this rank's range begins."""
        return self.ranges[self.rank][0]

    @property
    def length(self) -> int:
        """Of this rank's range."""
        return self.ranges[self.rank][1]

    @property
    def widths(self) -> tuple[int, ...]:
        """Lengths of all ranks' ranges."""
        return tuple(length for _, length in self.ranges)

    def times(self, size: int) -> Shares:
        """The same of a dimension in which each element is `size` wide, as a head is."""
        ranges, blocks = (tuple((a * size, b * size) for a, b in each) for each in (self.ranges, self.blocks))
        return Shares(self.total * size, ranges, self.rank, blocks, self.is_fixed)

    def of_tensor(self, whole: torch.Tensor, dim: int) -> torch.Tensor:
        """This rank's range of a dimension: a view."""
        return whole.narrow(dim, self.start, self.length)

    def of_codes(self, whole: GroupedCodes, dim: int) -> GroupedCodes:
        """The same of a matrix in codes."""
        return whole if self.length == self.total else whole.narrow(dim, self.start, self.length)

    def whole(self, gathered: torch.Tensor) -> torch.Tensor:
        """`[..., total]` of the ranks' ranges side by side, of which several may be the same."""
        if sum(self.widths) == self.total:
            return gathered
        parts = dict(zip(self.ranges, gathered.split(self.widths, dim=-1), strict=True))
        return torch.cat([parts[each] for each in sorted(parts)], dim=-1)


def divided(total: int, group: ParallelGroup, what: str, *, num_blocks: int = 0, unit: int = 0) -> Shares:
    """`total` in consecutive ranges of whole units, as equal as they can be.

    num_blocks: cut it into so many blocks whatever the number of ranks, which must divide it, and give each rank as
        many of them; 0 is one for each rank
    unit: elements that stay together; 0 is as many as leave the shares nearly equal
    Raises ConfigError, naming `what`, where there are fewer units than ranks or blocks.
    """
    pieces = num_blocks or group.size
    unit = unit or _unit(total, pieces)
    num_units = total // unit
    if num_units < pieces or pieces % group.size:
        fits = [size for size in range(1, group.size) if num_units >= size]
        raise ConfigError(
            f"{num_units} {what} cannot be split over tensor_parallel_size={group.size} ranks evenly: "
            f"at most {max(fits, default=1)} ranks fit"
        )
    borders = [num_units * piece // pieces * unit for piece in range(pieces + 1)]
    every = pieces // group.size
    ends = borders[::every]
    ranges = tuple((start, end - start) for start, end in pairwise(ends))
    own = borders[group.rank * every : (group.rank + 1) * every + 1]
    blocks = tuple((start - own[0], end - start) for start, end in pairwise(own))
    return Shares(total, ranges, group.rank, blocks, bool(num_blocks))


def heads_divided(num_heads: int, num_kv_heads: int, group: ParallelGroup, num_blocks: int) -> tuple[Shares, Shares]:
    """Query heads and KV heads: each rank holds as many, and the KV heads that its query heads read.

    num_blocks: as in `divided`, of the query heads. Raises ConfigError where that is not possible.
    """
    size = group.size
    if num_heads % (num_blocks or size):
        raise ConfigError(f"{num_heads} attention heads cannot be split over tensor_parallel_size={size} ranks evenly")
    query = divided(num_heads, group, "attention heads", num_blocks=num_blocks, unit=1)
    if num_kv_heads % size == 0:
        return query, divided(num_kv_heads, group, "KV heads", unit=1)
    if size % num_kv_heads:
        raise ConfigError(f"{num_kv_heads} KV heads cannot be split over tensor_parallel_size={size} ranks evenly")
    ranges = tuple((rank * num_kv_heads // size, 1) for rank in range(size))
    return query, Shares(num_kv_heads, ranges, group.rank, ((0, 1),))


def _unit(total: int, pieces: int) -> int:
    for unit in _UNITS:
        num_units, rest = divmod(total, unit)
        if not rest and (num_units % pieces == 0 or num_units >= _MANY * pieces):
            return unit
    return 1
