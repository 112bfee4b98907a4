"""Processes of ranks: one that ends is seen and ends the others, also where the system has no pidfd."""

from __future__ import annotations

import errno
import itertools
import os
import signal
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from pagoda.engine.execution import rank_processes
from pagoda.engine.execution.rank_processes import RankProcesses
from patience import HANG_S


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_one_that_is_killed_ends_the_others_and_says_so(has_pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int) -> int:
        raise OSError(errno.EPERM, "as a container's filter does")

    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    descriptor = os.open(os.devnull, os.O_RDWR)
    ranks, told = RankProcesses(2, descriptor), SimpleQueue[str]()
    os.close(descriptor)
    try:
        ranks.watch(told.put)
        ranks.processes[1].kill()
        assert told.get(timeout=HANG_S) == "rank 1 was killed by signal 9"
    finally:
        ranks.end("the test is over")
    assert all(process.returncode is not None for process in ranks.processes)


def test_one_that_stands_still_ends_the_others_and_says_so() -> None:
    descriptor = os.open(os.devnull, os.O_RDWR)
    ranks, told = RankProcesses(2, descriptor), SimpleQueue[str]()
    os.close(descriptor)
    try:
        ranks.watch(told.put)
        ranks.processes[0].send_signal(signal.SIGSTOP)
        assert told.get(timeout=HANG_S) == "rank 0 was stopped"
    finally:
        ranks.end("the test is over")
    assert all(process.returncode is not None for process in ranks.processes)


def test_one_that_was_stopped_together_with_the_engine_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([True, False, True, False])  # hours lie between the first and the second
    monkeypatch.setattr(rank_processes, "_is_stopped", lambda pid: next(looks))
    monkeypatch.setattr(rank_processes.time, "monotonic", itertools.count(step=3600).__next__)
    ranks, since = object.__new__(RankProcesses), dict[int, float]()
    ranks.processes = [SimpleNamespace(pid=1)]  # type: ignore[list-item]
    assert [ranks._note_the_stopped(since) for _ in range(4)] == [False] * 4
