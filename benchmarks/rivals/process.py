"""One engine in a process of its own: started, asked, held still while others are measured, ended.

While it is not asked it is stopped (SIGSTOP), with all processes that it started: a pool of threads that spins, or a
loop that polls, would otherwise take from the engine that is measured.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None)  # opened here: between fork and exec that may wait for ever
_PR_SET_PDEATHSIG = 1  # Linux's number, which Python does not name


@dataclass(frozen=True)
class Command:
    """How to start an engine on one model."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class PeerFailedError(Exception):
    """The engine's process ended, or said what is no answer."""


class PeerProcess:
    """From `Command` to answers. Close it: it holds gigabytes."""

    def __init__(self, name: str, command: Command, log: Path) -> None:
        self.name = name
        self._log = log
        began = time.perf_counter()
        self._process = subprocess.Popen(
            list(command.words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            cwd=command.folder,
            env={**os.environ, **command.environment},
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        try:
            self.about = str(self._read()["about"])
        except BaseException:
            self.close()
            raise
        self.start_s = time.perf_counter() - began
        self._signal(signal.SIGSTOP)

    def ask(self, question: str) -> dict[str, Any]:
        """One answer. Raises PeerFailedError."""
        self._signal(signal.SIGCONT)
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
            return self._read()
        except BrokenPipeError:
            raise self._failed() from None
        finally:
            self._signal(signal.SIGSTOP)

    def peak_bytes(self) -> int:
        """The most memory that was resident, over the process and those that it started."""
        return sum(_peak_bytes(process) for process in _family(self._process.pid))

    def close(self) -> None:
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise PeerFailedError(f"{self.name} said {line.strip()[:80]!r}, expected is a line of JSON") from None
        return answer

    def _failed(self) -> PeerFailedError:
        last = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return PeerFailedError(f"{self.name} ended; its last line ({self._log}): {''.join(last) or 'none'}")

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _end_with_parent() -> None:
    """In the new process: it is killed where its parent ends without closing it, for stopped it would stay for ever."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def seconds_to_first_token(name: str, command: Command, log: Path, prompt_len: int = 16) -> float:
    """Of a fresh process, from its start to the first token of a short prompt."""
    began = time.perf_counter()
    process = PeerProcess(name, command, log)
    try:
        process.ask(f"prefill {prompt_len}")
        return time.perf_counter() - began
    finally:
        process.close()


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _family(int(child))


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
