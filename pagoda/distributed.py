"""Ranks that share one model: who I am, how many we are, and the two collectives that layers need.

Foundation room. A `ParallelGroup` is handed to the parallel layers as an argument; one rank is the
default and costs nothing. Megatron-LM (Shoeybi et al. 2019, arXiv 1909.08053) is the scheme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class ParallelGroup(Protocol):
    """The ranks that hold shards of one layer."""

    rank: int
    size: int

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over ranks, on every rank."""
        ...

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The ranks' tensors, concatenated along the last dimension, on every rank."""
        ...


class SingleRank:
    """A group of one: every collective is the identity, bit for bit."""

    rank = 0
    size = 1

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor


class OpenSums:
    """The ranks of `group`, but a sum over them is left open: it is due once, where several partial sums are added."""

    def __init__(self, group: ParallelGroup) -> None:
        self._group = group
        self.rank, self.size = group.rank, group.size

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        """This rank's part as it is."""
        return tensor

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._group.all_gather(tensor)


class TorchGroup:
    """A group over `torch.distributed`, whose process group must be initialised."""

    def __init__(self) -> None:
        from torch import distributed

        self._distributed = distributed
        self.rank: int = distributed.get_rank()
        self.size: int = distributed.get_world_size()

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        summed = tensor.clone()
        self._distributed.all_reduce(summed)
        return summed

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        import torch

        shards = [torch.empty_like(tensor) for _ in range(self.size)]
        self._distributed.all_gather(shards, tensor.contiguous())
        return torch.cat(shards, dim=-1)
