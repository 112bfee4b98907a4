"""One rank's own process: `python -m pagoda.engine.execution.rank_process FD MEMORY_FD`, started by `rank_processes`.

On the token's path, where a model is divided: it loads its part, then runs every step that the engine sends. It ends
with the engine, however that ends: its socket closes, and the system kills whoever is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from queue import SimpleQueue
from typing import Any

from pagoda.engine.execution.frames import frame, receive
from pagoda.engine.execution.rank_messages import Brought, LoadPart, RankFailed, RankStep, Ready

_PR_SET_PDEATHSIG = 1
_LAST_WORDS_S = 30.0


def main(descriptor: int, memory_descriptor: int) -> int:
    """Serve the engine at the other end of `descriptor`. Returns the exit code."""
    # A terminal's and a service manager's signals are the engine's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        try:
            load: LoadPart = receive(connection)
            _end_with(load.parent)
            inbox: SimpleQueue[RankStep] = SimpleQueue()
            threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
            _serve(load, memory_descriptor, connection, inbox)
        except (BrokenPipeError, ConnectionResetError, EOFError):
            return 0
        except Exception as error:
            with contextlib.suppress(OSError):
                failed = RankFailed(type(error).__name__, str(error), traceback.format_exc())
                connection.sendall(frame(failed))
            time.sleep(_LAST_WORDS_S)  # or less: the engine ends all ranks when it has read this
            return 1
    return 0


def _end_with(parent: int) -> None:
    """Even where this process is stopped, or inside the kernel, when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise EOFError


def _read(connection: socket.socket, inbox: SimpleQueue[RankStep]) -> None:
    """Where the engine is gone there is nothing to finish, and somebody may wait for a rank that is gone as well."""
    try:
        while True:
            inbox.put(receive(connection))
    except (EOFError, OSError):
        os._exit(0)


def _serve(load: LoadPart, memory_descriptor: int, connection: socket.socket, inbox: SimpleQueue[Any]) -> None:
    # Here, so that what fails while it is imported is told to the engine.
    from pagoda.engine.execution.rank_worker import load_worker

    worker = load_worker(load, memory_descriptor)
    gc.collect()
    gc.freeze()
    connection.sendall(frame(Ready()))
    while True:
        step = inbox.get()
        if worker.runner.place.tells:
            connection.sendall(frame(Brought(step.number, worker.execute(step.plan, step.rows))))
        else:
            worker.follow(step.plan, best_only=step.best_only)


if __name__ == "__main__":
    sys.stderr.flush()
    os._exit(main(int(sys.argv[1]), int(sys.argv[2])))
