"""Processes of ranks: one that ends is seen and ends the others, also where the system has no pidfd."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from pagoda.engine.execution.rank_processes import RankProcesses
from patience import HANG_S


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_one_that_is_killed_ends_the_others_and_says_so(has_pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int) -> int:
        raise OSError(errno.EPERM, "as a container's filter does")

    if not has_pidfd:
        monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    descriptor = os.open(os.devnull, os.O_RDWR)
    ranks, told, words = RankProcesses(2, descriptor), threading.Event(), []
    os.close(descriptor)
    try:
        ranks.watch(lambda fault: (words.append(fault), told.set()))
        assert [process.poll() for process in ranks.processes] == [None, None]
        ranks.processes[1].kill()
        assert told.wait(HANG_S)
    finally:
        ranks.end("the test is over")
    assert words == ["rank 1 was killed by signal 9"]
    assert all(process.returncode is not None for process in ranks.processes)
