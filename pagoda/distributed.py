"""Ranks that share one model: who I am, how many we are, and the two collectives that layers need.

Foundation room. A `ParallelGroup` is handed to the parallel layers as an argument; one rank is the
default and costs nothing. Megatron-LM (Shoeybi et al. 2019, arXiv 1909.08053) is the scheme for the ranks of one layer;
a pipeline's stages (GPipe, Huang et al. 2018, arXiv 1811.06965) divide the layers among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class ParallelGroup(Protocol):
    """The ranks that hold shards of one layer."""

    rank: int
    size: int

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over ranks, on every rank the same bits: added in the order of `tree_sum`.

        Where ranks share memory, 16-bit numbers are added in fp32 and rounded once.
        """
        ...

    def all_gather(self, tensor: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
        """The ranks' tensors, concatenated along the last dimension, on every rank. widths: of each rank's."""
        ...


class SingleRank:
    """A group of one: every collective is the identity, bit for bit."""

    rank = 0
    size = 1

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def all_gather(self, tensor: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
        return tensor


class TorchGroup:
    """A group over a process group of `torch.distributed`, the one that was initialised if none is given: for ranks on
    several hosts. Everyone gets every part and adds up itself, in the order that `ParallelGroup` promises.
    """

    def __init__(self, group: Any = None) -> None:
        from torch import distributed

        known: Any = distributed.group.WORLD if group is None else group
        self._group = known
        self.rank: int = known.rank()
        self.size: int = known.size()

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        parts = self._everyones(tensor)
        if tensor.element_size() < 4:
            return tree_sum([part.float() for part in parts]).to(tensor.dtype)
        return tree_sum(parts)

    def all_gather(self, tensor: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
        import torch

        # Gloo wants them equally wide.
        padded = torch.nn.functional.pad(tensor, (0, max(widths) - tensor.shape[-1]))
        shards = self._everyones(padded)
        return torch.cat([shard[..., :width] for shard, width in zip(shards, widths, strict=True)], dim=-1)

    def _everyones(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        import torch

        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        # As bytes, so that there is no dtype which gloo has not.
        received = [part.reshape(-1).view(torch.uint8) for part in parts]
        self._group.allgather([received], [tensor.reshape(-1).view(torch.uint8)]).wait()
        return parts


def tree_sum(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of `parts`: of the first half, plus that of the second, and so on down.

    So the sum of 4 parts is that of the two sums that 2 ranks with 2 parts each have: whoever adds up how much, the
    bits are the same where the numbers of parts are powers of two.
    """
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return tree_sum(parts[:middle]) + tree_sum(parts[middle:])


@dataclass(frozen=True)
class PipelineStage:
    """One of `count` stages that the layers of a network are divided over, in their order."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it embeds tokens."""
        return self.index == 0

    @property
    def is_last(self) -> bool:
        """Whether it has the last norm and the head."""
        return self.index == self.count - 1

    def layers(self, num_layers: int) -> range:
        """Its own of `num_layers`; as many as another stage has, or one fewer or more."""
        return range(num_layers * self.index // self.count, num_layers * (self.index + 1) // self.count)
