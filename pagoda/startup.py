"""What processes of an engine do as they start: they let the collector rest, and tie themselves to their parent.

Foundation room, used by whoever imports the engine or loads a model. What comes into being while a process starts
mostly stays: an eighth of torch's import and a third of our own went to a garbage collector that runs whenever more has
come. And it ends with the process that started it, however that ends: their socket hangs up then, which a thread waits
for, on every system. Linux kills it besides (prctl(2), PR_SET_PDEATHSIG), also where it is stopped or never lets go of
Python's lock.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1


@contextmanager
def collector_paused() -> Iterator[None]:
    """While much comes into being that stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def end_with_socket(connection: socket.socket) -> None:
    """From now on this process ends when the other side of `connection` is closed."""
    threading.Thread(target=_wait_for_its_end, args=(connection.fileno(),), name="pagoda-parent", daemon=True).start()


def end_with_parent(parent: int) -> None:
    """On Linux: killed when the thread that started this process ends. At once where `parent` is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _wait_for_its_end(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, 0)  # nothing is asked for: the end is told unasked
    waiting.poll()
    os._exit(0)
