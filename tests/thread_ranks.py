"""Ranks as threads of one process, which meet at every collective: for tests of what is divided over them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from pagoda.distributed import ParallelGroup, PipelineStage, tree_sum
from pagoda.engine.execution.model_runner import ModelOutput
from pagoda.engine.execution.place import RankPlace
from pagoda.engine.execution.worker import Worker, wants_best_only
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput, StepOutput
from patience import HANG_S

if TYPE_CHECKING:
    from pagoda.kernels.native.shared_memory import SharedMemory

T = TypeVar("T")
MOST_TOKENS = 192
"""Of a request of `plan_of`."""


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


def shared_memory(num_tensor: int, num_stages: int, **options: int) -> SharedMemory:
    """Memory of ours for so many ranks, mapped; nothing else holds it."""
    from pagoda.kernels.native.shared_memory import SharedLayout, SharedMemory, unnamed_memory

    layout = SharedLayout(num_tensor, num_stages, **options)
    descriptor = unnamed_memory(layout.num_bytes)
    try:
        return SharedMemory(descriptor, layout)
    finally:
        os.close(descriptor)


def on_shared_ranks(size: int, run: Callable[[ParallelGroup], T]) -> list[T]:
    """The same over memory of ours, as between processes."""
    memory = shared_memory(size, 1)

    def one(rank: int) -> T:
        try:
            return run(memory.group(0, rank))
        except BaseException:
            memory.abort()
            raise

    return _of_threads(size, one)


def _of_threads(size: int, one: Callable[[int], T]) -> list[T]:
    with ThreadPoolExecutor(size) as pool:
        return _results([pool.submit(one, rank) for rank in range(size)])


def _results(running: Sequence[Future[T]]) -> list[T]:
    errors = [each.exception() for each in running]
    told = [error for error in errors if error is not None]
    told.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError | RuntimeError))  # the cause first
    if told:
        raise told[0]
    return [each.result() for each in running]


@dataclass(frozen=True)
class Divided:
    """How a model is divided: ranks of each stage, stages, and whether sums are those of fixed blocks."""

    tensor: int = 1
    pipeline: int = 1
    num_blocks: int = 0


class ThreadWorkers:
    """Workers of one model as threads, over memory of ours as between processes. Executes as the rank that tells."""

    def __init__(self, load: Callable[[RankPlace], Worker], divided: Divided) -> None:
        self._memory = shared_memory(divided.tensor, divided.pipeline, room_bytes=4096)
        ranks = [(stage, rank) for stage in range(divided.pipeline) for rank in range(divided.tensor)]
        self._pool = ThreadPoolExecutor(len(ranks))
        # One after the other: torch's default dtype, under which a model comes into being, is one for all threads.
        self.workers = [load(self._place(divided, *each)) for each in ranks]
        self._ranks = ranks

    def _place(self, divided: Divided, stage: int, rank: int) -> RankPlace:
        return RankPlace(
            self._memory.group(stage, rank),
            PipelineStage(stage, divided.pipeline),
            divided.num_blocks,
            before=self._memory.channel(stage - 1, rank) if stage else None,
            after=self._memory.channel(stage, rank) if stage < divided.pipeline - 1 else None,
        )

    def _on_all(self, run: Callable[[int, int], T], ranks: list[tuple[int, int]]) -> list[T]:
        def one(stage: int, rank: int) -> T:
            try:
                return run(stage, rank)
            except BaseException:
                self._memory.abort()
                raise

        return _results([self._pool.submit(one, *each) for each in ranks])

    def compute(self, plan: SchedulerOutput, *, best_only: bool = False) -> ModelOutput:
        """What the last stage's first rank has."""
        by_place = dict(zip(self._ranks, self.workers, strict=True))
        told = self._on_all(lambda *at: by_place[at].runner.execute(plan, best_only=best_only), self._ranks)
        output = told[self._ranks.index((self._ranks[-1][0], 0))]
        assert output is not None
        return output

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        """As an Executor."""

        def run(stage: int, rank: int) -> StepOutput | None:
            worker = by_place[stage, rank]
            if worker.runner.place.tells:
                return worker.execute(plan, rows)
            worker.follow(plan, best_only=wants_best_only(rows))
            return None

        by_place = dict(zip(self._ranks, self.workers, strict=True))
        (output,) = (told for told in self._on_all(run, self._ranks) if told is not None)
        return output


def plan_of(requests: Sequence[tuple[Sequence[int], int]], block_size: int = 16) -> SchedulerOutput:
    """A step that feeds each request's tokens from a position on, with the logits of all of them."""
    entries, first_block = [], 0
    for index, (tokens, start) in enumerate(requests):
        num_blocks = -(-MOST_TOKENS // block_size)
        blocks = tuple(range(first_block, first_block + num_blocks))
        first_block += num_blocks
        fed = tuple(tokens[start:])
        entries.append(ScheduledRequest(str(index), fed, start, blocks, True, len(fed), len(tokens)))
    counts = {entry.request_id: len(entry.token_ids) for entry in entries}
    return SchedulerOutput(0, tuple(entries), counts, sum(counts.values()), (), (), ())
