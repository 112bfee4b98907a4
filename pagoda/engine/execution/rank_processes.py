"""The processes of an engine's ranks: started together, watched, and ended together.

Beside the token's path: a thread of its own starts them and waits until one of them ends. That one's end is an event of
the system (a pidfd), not a time-out; the others are then killed at once, so that nobody waits for a rank that is gone,
and whoever reads from their sockets meets the end. One that is stopped (SIGSTOP) counts as ended when it has been so
for a moment. The thread lives as long as they do, as the system counts a parent's death by the thread that started a
child.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from pagoda.errors import EngineDeadError

_A_MOMENT_S = 1.0
"""Between the end of a socket and that of the process behind it."""
_LOOK_S = 0.1
"""How often children are looked at where there is no pidfd."""
_LOOK_FOR_STOPPED_S = 0.5
"""And how often otherwise: one that stands stopped at two looks is given up."""


class RankProcesses:
    """count processes, each with a socket to it and the descriptor of the memory that they share."""

    def __init__(self, count: int, memory_descriptor: int) -> None:
        self.connections: list[socket.socket] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.fault: str | None = None
        """Why they have ended, once they have: in words."""
        self._memory_descriptor = memory_descriptor
        self._lock = threading.Lock()
        self._told: Callable[[str], None] | None = None
        self._closing, self._started, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._woken, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._keep, args=(count,), name="pagoda-ranks", daemon=True)
        self._thread.start()
        self._started.wait()
        if len(self.processes) < count:
            raise EngineDeadError(f"only {len(self.processes)} of {count} ranks could be started: see the log")

    def watch(self, told: Callable[[str], None]) -> None:
        """`told` is called with the reason when one ends by itself, in another thread; at once where one has."""
        with self._lock:
            self._told = told
            fault = self.fault
        if fault is not None:
            told(fault)

    def end(self, fault: str) -> str:
        """Kill them all and wait until they are gone. Returns why they ended: `fault`, or what was known before."""
        known = self._note(fault)
        self._closing.set()
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        if threading.current_thread() is not self._thread:
            self._ended.wait()
        return known

    def why_ended(self, otherwise: str) -> str:
        """The reason, where one has just ended by itself; `otherwise` where that is not seen, and then they end now."""
        self._ended.wait(_A_MOMENT_S)
        return self.end(otherwise)

    def _keep(self, count: int) -> None:
        try:
            for _ in range(count):
                self._start_one()
            self._started.set()
            self._wait_for_one()
            self._note_the_dead()
        finally:
            self._started.set()
            self._kill_all()

    def _start_one(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = [theirs.fileno(), self._memory_descriptor]
            numbers = map(str, [*descriptors, os.getpid()])
            command = [sys.executable, "-m", "pagoda.engine.execution.rank_process", *numbers]
            # In a group of its own: Ctrl-C and a shell's kill are meant for the engine.
            process = subprocess.Popen(command, pass_fds=descriptors, stdin=subprocess.DEVNULL, process_group=0)
        self.connections.append(ours)
        self.processes.append(process)

    def _wait_for_one(self) -> None:
        """Until one ends or stands still, or all are to end."""
        with contextlib.ExitStack() as opened:
            waiting, look_s = select.poll(), _LOOK_FOR_STOPPED_S
            waiting.register(self._woken, select.POLLIN)
            try:
                for process in self.processes:
                    descriptor = os.pidfd_open(process.pid)
                    opened.callback(os.close, descriptor)
                    waiting.register(descriptor, select.POLLIN)
            except (AttributeError, OSError):  # a system, or a container's filter, that has none
                look_s = _LOOK_S
            stopped_since: dict[int, float] = {}
            while not waiting.poll(look_s * 1000) and all(each.poll() is None for each in self.processes):
                if self._note_the_stopped(stopped_since):
                    break

    def _note_the_stopped(self, since: dict[int, float]) -> bool:
        """Whether one has been stopped for a while. `since` keeps when that was seen first, by index.

        One look is not enough: where all were stopped together with this process, they go on with it.
        """
        now = time.monotonic()
        for index, process in enumerate(self.processes):
            if not _is_stopped(process.pid):
                since.pop(index, None)
            elif now - since.setdefault(index, now) >= _LOOK_FOR_STOPPED_S:
                self._note(f"rank {index} was stopped")
                return True
        return False

    def _note_the_dead(self) -> None:
        ended = [(index, code) for index, each in enumerate(self.processes) if (code := each.poll()) is not None]
        if ended and not self._closing.is_set():
            self._note("; ".join(f"rank {index} {_end_in_words(code)}" for index, code in ended))

    def _note(self, fault: str) -> str:
        """Why they ended is what was known first."""
        with self._lock:
            self.fault = self.fault or fault
            return self.fault

    def _kill_all(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        with self._lock:
            told, fault, was_asked = self._told, self.fault, self._closing.is_set()
        self._ended.set()
        if told is not None and fault is not None and not was_asked:
            told(fault)


def _is_stopped(pid: int) -> bool:
    """Whether a child stands stopped; False on systems that do not tell. How it ended is left for `Popen` to ask."""
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except (AttributeError, OSError):
        return False


def _end_in_words(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
