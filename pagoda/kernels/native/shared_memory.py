"""Ranks that share a piece of this host's memory: sums, gathers, the way from stage to stage (`csrc/ranks.h`).

On the token's path, where a network is divided over processes: twice in every decoder layer. The memory has no name: a
file descriptor is handed to the processes, so that nothing is left behind however they end.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pagoda.kernels.native import library
from pagoda.kernels.native.packed_weight import dtype_number, is_computed

ROOM_BYTES = 1 << 20
"""Of a contribution: what is larger goes in pieces. Pages that are never written to take no memory."""


def unnamed_memory(num_bytes: int) -> int:
    """A descriptor of so many zero bytes that whoever inherits it can map."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pagoda-ranks")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, num_bytes)
    return descriptor


@dataclass(frozen=True)
class SharedLayout:
    """How the ranks' memory is divided: for each stage what its ranks add up in, then the ways between stages.

    num_tensor: ranks of each stage; num_stages: stages of the pipeline
    """

    num_tensor: int
    num_stages: int
    room_bytes: int = ROOM_BYTES

    @property
    def num_bytes(self) -> int:
        """Of the whole."""
        return self.num_stages * self._group_bytes + (self.num_stages - 1) * self.num_tensor * self._channel_bytes

    def group_offset(self, stage: int) -> int:
        """Where the memory of a stage's ranks begins."""
        return stage * self._group_bytes

    def channel_offset(self, stage: int, rank: int) -> int:
        """Where that of the way from `rank` of `stage` to the same one of the next begins."""
        return self.num_stages * self._group_bytes + (stage * self.num_tensor + rank) * self._channel_bytes

    @property
    def _group_bytes(self) -> int:
        return _whole_pages(library.ranks_bytes(self.num_tensor, self.room_bytes))

    @property
    def _channel_bytes(self) -> int:
        return _whole_pages(library.channel_bytes(self.room_bytes))


class SharedMemory:
    """The mapped memory of a layout. What is made over it keeps it alive."""

    def __init__(self, descriptor: int, layout: SharedLayout) -> None:
        self.layout = layout
        self._mapped = torch.frombuffer(mmap.mmap(descriptor, layout.num_bytes), dtype=torch.uint8)

    def group(self, stage: int, rank: int) -> SharedGroup:
        """Rank `rank` of a stage, as its layers want it."""
        return SharedGroup(self._address + self.layout.group_offset(stage), rank, self.layout, self)

    def channel(self, stage: int, rank: int) -> StageChannel:
        """The way from `rank` of `stage` to the same one of the next."""
        return StageChannel(self._address + self.layout.channel_offset(stage, rank), self.layout, self)

    def abort(self) -> None:
        """Whoever waits for another rank, now or later, gets a RuntimeError."""
        for stage in range(self.layout.num_stages):
            self.group(stage, 0).abort()
            if stage < self.layout.num_stages - 1:
                for rank in range(self.layout.num_tensor):
                    self.channel(stage, rank).abort()

    @property
    def _address(self) -> int:
        return self._mapped.data_ptr()


class SharedGroup:
    """A `ParallelGroup`. All ranks call the same, in the same order; RuntimeError where they are told to stop."""

    def __init__(self, address: int, rank: int, layout: SharedLayout, memory: SharedMemory) -> None:
        self.rank, self.size = rank, layout.num_tensor
        self._memory = memory
        self._ranks = library.Ranks(address, rank, self.size, layout.room_bytes)

    @property
    def address(self) -> int:
        """As the library takes it; lives as long as this."""
        return self._ranks.address

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        if not is_computed(tensor.dtype):
            return self.all_reduce(tensor.float()).to(tensor.dtype)
        tensor = tensor.contiguous()
        summed = torch.empty_like(tensor)
        self._ranks.all_reduce(tensor.data_ptr(), summed.data_ptr(), tensor.numel(), dtype_number(tensor.dtype))
        return summed

    def all_gather(self, tensor: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
        tensor, size = tensor.contiguous(), tensor.element_size()
        gathered = tensor.new_empty(*tensor.shape[:-1], sum(widths))
        rows = gathered.numel() // gathered.shape[-1]
        self._ranks.all_gather(tensor.data_ptr(), rows, [width * size for width in widths], gathered.data_ptr())
        return gathered

    def abort(self) -> None:
        """See `SharedMemory.abort`."""
        self._ranks.abort()


class StageChannel:
    """Hidden states from one stage of a pipeline to the next, in their order."""

    def __init__(self, address: int, layout: SharedLayout, memory: SharedMemory) -> None:
        self._memory = memory
        self._channel = library.Channel(address, layout.room_bytes)

    def send(self, rows: torch.Tensor) -> None:
        """Waits where the next stage is several pieces behind."""
        rows = rows.contiguous()
        self._channel.send(rows.data_ptr(), rows.nbytes)

    def receive(self, rows: torch.Tensor) -> torch.Tensor:
        """Fills `rows`, which are as large as those that are sent."""
        self._channel.receive(rows.data_ptr(), rows.nbytes)
        return rows

    def abort(self) -> None:
        """See `SharedMemory.abort`."""
        self._channel.abort()


def _whole_pages(num_bytes: int) -> int:
    return -(-num_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
