"""One event loop for a language model's calls, whichever thread of the dialogue makes them.

Beside the turn's path: turns are taken in threads, a `ChatModel` is asynchronous and belongs to one loop. That loop is
the model's own (a server's) or one that runs in a thread from the first call on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from pagoda.errors import ChatModelError, ConfigError

T = TypeVar("T")


class ModelLoop:
    """Runs coroutines in one loop. loop: one that runs already; None starts one with the first call."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._given = loop
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """The result, waited for in this thread. Raises ChatModelError when it takes longer; the work is then ended.

        Raises ConfigError within the loop itself, which would wait for its own end.
        """
        loop = self._given or self._started()
        if _running() is loop:
            work.close()
            raise ConfigError("this call would wait for its own event loop: use areply, or call it from a thread")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError as error:
            raise ChatModelError(f"the model took more than {timeout_s:g} s") from error
        finally:
            future.cancel()

    def close(self) -> None:
        """End the thread, if there is one; a loop that was given is left alone."""
        with self._mutex:
            loop, thread = self._own, self._thread
            self._own = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._mutex:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._own.run_forever, name="pagoda-dialogue", daemon=True)
                self._thread.start()
            return self._own


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
