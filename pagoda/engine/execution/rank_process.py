"""One rank's own process: `python -m pagoda.engine.execution.rank_process FD MEMORY_FD PARENT`, started by
`rank_processes`.

On the token's path, where a model is divided: it loads its part, then runs every step that the engine sends. It ends
with the engine, however that ends, from its first moment on: so this file imports nothing that takes long.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from queue import SimpleQueue
from typing import TYPE_CHECKING

from pagoda.engine.execution.frames import frame, receive
from pagoda.startup import end_with_parent, end_with_socket

if TYPE_CHECKING:
    from pagoda.engine.execution.rank_messages import LoadPart, RankStep

_LAST_WORDS_S = 30.0


def main(descriptor: int, memory_descriptor: int, parent: int) -> int:
    """Serve the engine at the other end of `descriptor`. Returns the exit code."""
    # A terminal's and a service manager's signals are the engine's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        end_with_parent(parent)
        end_with_socket(connection)
        try:
            load: LoadPart = receive(connection)
            inbox: SimpleQueue[RankStep | Exception] = SimpleQueue()
            threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
            _serve(load, memory_descriptor, connection, inbox)
        except (BrokenPipeError, ConnectionResetError, EOFError):
            return 0
        except Exception as error:
            _tell_last_words(connection, error)
            return 1
    return 0


def _tell_last_words(connection: socket.socket, error: Exception) -> None:
    from pagoda.engine.execution.rank_messages import RankFailed

    with contextlib.suppress(OSError):
        connection.sendall(frame(RankFailed(type(error).__name__, str(error), traceback.format_exc())))
    time.sleep(_LAST_WORDS_S)  # or less: the engine ends all ranks when it has read this


def _read(connection: socket.socket, inbox: SimpleQueue[RankStep | Exception]) -> None:
    """In a thread, so that the engine need not wait to send a step while one is computed."""
    try:
        while True:
            inbox.put(receive(connection))
    except (EOFError, OSError):
        pass  # the engine is gone, and this process is about to be
    except Exception as error:
        inbox.put(error)


def _serve(
    load: LoadPart, memory_descriptor: int, connection: socket.socket, inbox: SimpleQueue[RankStep | Exception]
) -> None:
    # Here, so that what fails while it is imported is told to the engine.
    from pagoda.engine.execution.rank_messages import Brought, Ready
    from pagoda.engine.execution.rank_worker import load_worker

    worker = load_worker(load, memory_descriptor)
    gc.collect()
    gc.freeze()
    connection.sendall(frame(Ready()))
    while True:
        step = inbox.get()
        if isinstance(step, Exception):
            raise step
        if step.rows is not None:
            connection.sendall(frame(Brought(step.number, worker.execute(step.plan, step.rows))))
        else:
            worker.follow(step.plan, best_only=step.best_only)


if __name__ == "__main__":
    sys.stderr.flush()
    os._exit(main(*map(int, sys.argv[1:])))
