"""How ranks on several hosts meet: those of one host in its memory, the others over gloo.

On the token's path, where a network is divided over hosts. Every host has one piece of memory, laid out for all ranks
(`kernels/native/shared_memory`; pages that nobody touches take nothing), made by the first of its ranks and opened by
the others through `/proc`. A stage whose ranks are all on one host adds up there, and so do hidden states pass on
there; what crosses hosts goes through process groups of `torch.distributed`, sums in the same order.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import distributed

from pagoda.distributed import ParallelGroup, PipelineStage, TorchGroup
from pagoda.engine.execution.place import HiddenStatesChannel, RankPlace
from pagoda.engine.execution.rank_messages import LoadPart
from pagoda.kernels.native.shared_memory import SharedLayout, SharedMemory

_PATIENCE = timedelta(days=1)
"""Of gloo: when a step takes too long the engine decides, and ends the ranks."""
_MOST_UNDER_WAY = 2
"""Rows that a stage sends ahead of the next one's asking for them, in parts of a step."""


class Whereabouts(NamedTuple):
    """Where a rank is.

    node: the cluster's name of its host; host: its address; pid, memory: the process and its descriptor of memory for
    all ranks; port: where it listens for the store that gloo meets at; num_cores: that it may use
    """

    node: str
    host: str
    pid: int
    memory: int
    port: int
    num_cores: int


class Meeting:
    """What rank `index` needs to find the others. ranks: all, stage by stage; listening: its own socket of `port`."""

    def __init__(self, layout: SharedLayout, ranks: Sequence[Whereabouts], index: int, listening: int) -> None:
        self._layout, self._ranks, self._index, self._listening = layout, ranks, index, listening

    def place_of(self, load: LoadPart) -> RankPlace:
        """Of this rank, with its ways to the others. All ranks call this at once."""
        stage, rank, num_stages = load.stage, load.rank, self._layout.num_stages
        return RankPlace(
            self._group(stage, rank),
            PipelineStage(stage, num_stages),
            load.model.num_blocks,
            before=self._channel(stage - 1, rank) if stage > 0 else None,
            after=self._channel(stage, rank) if stage < num_stages - 1 else None,
        )

    def _group(self, stage: int, rank: int) -> ParallelGroup:
        members = range(stage * self._layout.num_tensor, (stage + 1) * self._layout.num_tensor)
        if self._are_here(*members):
            return self._memory.group(stage, rank)
        return TorchGroup(self._process_group(f"stage {stage}", members))

    def _channel(self, stage: int, rank: int) -> HiddenStatesChannel:
        """From a rank of a stage to the same one of the next."""
        sender = stage * self._layout.num_tensor + rank
        ends = sender, sender + self._layout.num_tensor
        if self._are_here(*ends):
            return self._memory.channel(stage, rank)
        return TorchChannel(self._process_group(f"from {sender}", ends))

    def _are_here(self, *members: int) -> bool:
        return {self._ranks[each].node for each in members} == {self._ranks[self._index].node}

    @cached_property
    def _memory(self) -> SharedMemory:
        """Of this host."""
        first = next(each for each in self._ranks if each.node == self._ranks[self._index].node)
        descriptor = os.open(f"/proc/{first.pid}/fd/{first.memory}", os.O_RDWR)
        try:
            return SharedMemory(descriptor, self._layout)
        finally:
            os.close(descriptor)

    @cached_property
    def _store(self) -> distributed.Store:
        first, is_first = self._ranks[0], self._index == 0
        taken: dict[str, Any] = {"master_listen_fd": self._listening, "use_libuv": False} if is_first else {}
        # Not waiting for others: not all of them need it.
        return distributed.TCPStore(
            first.host, first.port, is_master=is_first, wait_for_workers=False, timeout=_PATIENCE, **taken
        )

    def _process_group(self, name: str, members: Sequence[int]) -> Any:
        gloo: Any = distributed.ProcessGroupGloo  # its options are not among its types
        options = gloo._Options()
        options._timeout = _PATIENCE
        options._devices = [gloo.create_device(hostname=self._ranks[self._index].host)]
        options._threads = 1
        store = distributed.PrefixStore(name, self._store)
        return gloo(store, members.index(self._index), len(members), options)

    def open_store(self) -> None:
        """Where ranks are on several hosts, the first of them keeps the store, whether it needs it or not."""
        if self._index == 0 and len({each.node for each in self._ranks}) > 1:
            _ = self._store


class TorchChannel:
    """A `HiddenStatesChannel` over a process group of two: rank 0 sends, rank 1 receives."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self._under_way: deque[tuple[Any, torch.Tensor]] = deque()

    def send(self, rows: torch.Tensor) -> None:
        data = _as_bytes(rows.contiguous())
        self._under_way.append((self._group.send([data], 1, 0), data))
        while len(self._under_way) > _MOST_UNDER_WAY:
            self._under_way.popleft()[0].wait()

    def receive(self, rows: torch.Tensor) -> torch.Tensor:
        self._group.recv([_as_bytes(rows)], 0, 0).wait()
        return rows


def _as_bytes(rows: torch.Tensor) -> torch.Tensor:
    return rows.reshape(-1).view(torch.uint8)
