"""Ranks as threads of one process, which meet at every collective: for tests of layers and networks that are divided."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from pagoda.distributed import ParallelGroup, tree_sum
from patience import HANG_S

T = TypeVar("T")


class ThreadGroup:
    """One of them; counts its sums."""

    def __init__(self, rank: int, slots: list[torch.Tensor], barrier: threading.Barrier) -> None:
        self.rank, self.size, self.num_sums = rank, len(slots), 0
        self._slots, self._barrier = slots, barrier

    def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        self.num_sums += 1
        return tree_sum(self._exchange(tensor))

    def all_gather(self, tensor: torch.Tensor, widths: Sequence[int]) -> torch.Tensor:
        everyones = self._exchange(tensor)
        assert tuple(widths) == tuple(each.shape[-1] for each in everyones)
        return torch.cat(everyones, dim=-1)

    def _exchange(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        self._slots[self.rank] = tensor
        self._barrier.wait(timeout=HANG_S)
        everyones = list(self._slots)
        self._barrier.wait(timeout=HANG_S)
        return everyones


def on_ranks(size: int, run: Callable[[ThreadGroup], T]) -> list[T]:
    """What `run` gives on each of `size` ranks. Where one fails the others do not wait for it."""
    slots, barrier = [torch.empty(0)] * size, threading.Barrier(size)

    def one(rank: int) -> T:
        try:
            return run(ThreadGroup(rank, slots, barrier))
        except BaseException:
            barrier.abort()
            raise

    return _of_threads(size, one)


def on_shared_ranks(size: int, run: Callable[[ParallelGroup], T]) -> list[T]:
    """The same over memory of ours, as between processes."""
    from pagoda.kernels.native.shared_memory import SharedLayout, SharedMemory, unnamed_memory

    layout = SharedLayout(size, 1)
    memory = SharedMemory(unnamed_memory(layout.num_bytes), layout)

    def one(rank: int) -> T:
        try:
            return run(memory.group(0, rank))
        except BaseException:
            memory.abort()
            raise

    return _of_threads(size, one)


def _of_threads(size: int, one: Callable[[int], T]) -> list[T]:
    with ThreadPoolExecutor(size) as pool:
        running = [pool.submit(one, rank) for rank in range(size)]
        errors = [each.exception() for each in running]
    told = [error for error in errors if error is not None]
    told.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError | RuntimeError))  # the cause first
    if told:
        raise told[0]
    return [each.result() for each in running]
