"""One event loop for a model's calls, whoever makes them: plain code, other loops, many threads.

Beside the seam: a model's calls all belong to one loop (`chat.model`), while questions and turns come from anywhere. A
`LoopThread` runs that loop in a thread of its own, or stands for one that runs already, as a server's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

from pagoda.errors import ChatModelError, ConfigError

T = TypeVar("T")
_END = object()


class LoopThread:
    """Runs coroutines in one loop. Threads may share it.

    loop: one that runs already; None starts one with the first call
    instead: what a caller within the loop itself is told to use
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, instead: str) -> None:
        self._loop, self._instead = loop, instead
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """The result, waited for in this thread. Ctrl-C ends the work, too.

        Raises ConfigError within the loop, ChatModelError where it takes more than `timeout_s`; the work is then ended.
        """
        loop = self._started()
        if _running() is loop:
            work.close()
            raise self._own_loop()
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError as error:
            # One that the work itself raised looks the same.
            if future.done():
                raise
            raise ChatModelError(f"the model took more than {timeout_s:g} s") from error
        finally:
            future.cancel()

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """The result, awaited in the caller's loop, whichever it is. Cancelling the call cancels the work."""
        loop = self._started()
        if _running() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def iterate(self, work: AsyncGenerator[T]) -> Generator[T]:
        """The items, waited for in this thread; closing the generator ends the work."""
        items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        loop = self._started()
        if _running() is loop:
            raise self._own_loop()
        future = asyncio.run_coroutine_threadsafe(_pump(work, items.put), loop)
        try:
            while (item := items.get()) is not _END:
                yield item
            future.result()
        finally:
            future.cancel()

    async def aiterate(self, work: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """The items in the caller's loop; closing the generator ends the work."""
        here, items = asyncio.get_running_loop(), asyncio.Queue[Any]()
        loop = self._started()

        def put(item: object) -> None:
            here.call_soon_threadsafe(items.put_nowait, item)

        future = asyncio.run_coroutine_threadsafe(_pump(work, put), loop)
        try:
            while (item := await items.get()) is not _END:
                yield item
            await asyncio.wrap_future(future)
        finally:
            future.cancel()

    def close(self) -> None:
        """End the thread, if there is one; a loop that was given is left alone."""
        with self._mutex:
            thread, loop = self._thread, self._loop
            self._thread = None
            if thread is None or loop is None:
                return
            self._loop = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _own_loop(self) -> ConfigError:
        return ConfigError(f"this call would wait for its own event loop: use {self._instead}")

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._mutex:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="pagoda-model", daemon=True)
                self._thread.start()
            return self._loop


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _pump(work: AsyncGenerator[T], put: Any) -> None:
    """Hand over every item, and the end whatever it was."""
    try:
        async for item in work:
            put(item)
    finally:
        await work.aclose()
        put(_END)
