"""Ranks over shared memory: sums in one order to the last bit, gathers, channels, and how all are sent home."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
import torch

from pagoda.distributed import ParallelGroup, tree_sum
from pagoda.kernels.select import native_is_built
from patience import HANG_S
from thread_ranks import on_shared_ranks, shared_memory

pytestmark = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")


def _tensors(size: int, shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for _ in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
# Below and above what each rank adds itself, what a room of 1 MiB holds, and a row of its own.
@pytest.mark.parametrize("shape", [(8, 2048), (3, 7), (70, 500), (3, 100_003)])
def test_sums_are_those_of_the_tree_on_every_rank(size: int, shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        given = _tensors(size, shape, dtype)
        expected = tree_sum([each.float() for each in given]).to(dtype)  # rounded once
        for summed in on_shared_ranks(size, lambda group, given=given: group.all_reduce(given[group.rank])):
            assert torch.equal(summed, expected)


@pytest.mark.parametrize("widths", [(5, 5), (7, 1, 4), (300_000, 2)])
def test_rows_of_all_ranks_stand_side_by_side(widths: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        parts = [(torch.randn(6, width) * 100).to(dtype) for width in widths]

        def run(group: ParallelGroup, parts: list[torch.Tensor] = parts) -> torch.Tensor:
            return group.all_gather(parts[group.rank], widths)

        for gathered in on_shared_ranks(len(widths), run):
            assert torch.equal(gathered, torch.cat(parts, dim=1))


def test_many_in_a_row_never_read_what_is_written_next() -> None:
    def run(group: ParallelGroup) -> list[float]:
        found = []
        for turn in range(300):
            width = 1 + turn % 5
            found.append(float(group.all_reduce(torch.full((width,), float(turn + group.rank)))[width - 1]))
            gathered = group.all_gather(torch.tensor([[turn * 3 + group.rank]]), (1, 1, 1))
            assert gathered.tolist() == [[turn * 3, turn * 3 + 1, turn * 3 + 2]]
        return found

    for found in on_shared_ranks(3, run):
        assert found == [3.0 * turn + 3.0 for turn in range(300)]


def _channel() -> tuple[object, Callable[[], object]]:
    memory = shared_memory(1, 2, room_bytes=1024)
    return memory, lambda: memory.channel(0, 0)


def test_a_channel_hands_on_rows_in_their_order_and_holds_up_who_is_too_fast() -> None:
    _, channel = _channel()
    sent = [torch.randn(1 + turn % 4, 300) for turn in range(50)]
    sender, receiver = channel(), channel()
    thread = threading.Thread(target=lambda: [sender.send(rows) for rows in sent])  # type: ignore[attr-defined]
    thread.start()
    for rows in sent:
        assert torch.equal(receiver.receive(torch.empty_like(rows)), rows)  # type: ignore[attr-defined]
    thread.join(HANG_S)


def test_who_waits_is_sent_home() -> None:
    def run(group: ParallelGroup) -> None:
        if group.rank == 0:
            group.abort()  # type: ignore[attr-defined]
        else:
            group.all_reduce(torch.ones(3))

    with pytest.raises(RuntimeError, match="told to stop"):
        on_shared_ranks(2, run)
    memory, channel = _channel()
    memory.abort()  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="told to stop"):
        channel().receive(torch.empty(4))  # type: ignore[attr-defined]


def test_the_memory_has_no_name() -> None:
    from pagoda.kernels.native.shared_memory import unnamed_memory

    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    descriptor = unnamed_memory(1 << 20)
    try:
        assert os.fstat(descriptor).st_size == 1 << 20
        assert before == (set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set())
    finally:
        os.close(descriptor)
