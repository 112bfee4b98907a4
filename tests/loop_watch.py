"""How long an event loop is held up, told in processor time, so that a busy machine changes nothing.

Two things hold it up. A callback of its own that takes long: each is measured. And a call into C, in whichever thread,
that keeps Python's lock: the threads' profiles tell when a call begins and ends, so the longest stretch between two
such moments is the longest time in which nobody else could have had the lock. Calls that give it up are named.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GIVING_UP = frozenset({"encode_batch_fast", "decode_batch", "acquire", "get", "put", "select"})
"""Functions of C that give up Python's lock for the long part of what they do."""


class LoopWatch:
    """stretches: (seconds, what), longest first. but_of: coroutines, by the start of their names, of the test's own."""

    def __init__(self, but_of: str) -> None:
        self._but_of = but_of
        self._stretches: list[tuple[float, str]] = []
        self._last = threading.local()

    @property
    def longest(self) -> tuple[float, str]:
        """Seconds and what took them."""
        return max(self._stretches, default=(0.0, "nothing"))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Threads that begin inside are watched, and all callbacks of event loops."""
        plain = asyncio.events.Handle._run
        watch = self

        def measured(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            plain(handle)
            watch._note(time.thread_time() - began, watch._name(handle))

        gc.disable()  # its passes depend on what else the process holds
        threading.setprofile(self._profile)
        asyncio.events.Handle._run = measured  # type: ignore[method-assign]
        try:
            yield
        finally:
            asyncio.events.Handle._run = plain  # type: ignore[method-assign]
            threading.setprofile(None)  # type: ignore[arg-type]
            gc.enable()

    def _profile(self, frame: FrameType, event: str, function: Any) -> None:
        now = time.thread_time()
        name = getattr(function, "__name__", frame.f_code.co_name)
        # What ends with a function's return was Python's own code, which gives up the lock by itself.
        if event != "return" and not (event in ("c_return", "c_exception") and name in GIVING_UP):
            self._note(now - getattr(self._last, "time", now), f"{event} of {name} in {frame.f_code.co_name}")
        self._last.time = time.thread_time()

    def _name(self, handle: asyncio.Handle) -> str:
        task = getattr(handle._callback, "__self__", None)
        if not isinstance(task, asyncio.Task):
            return str(handle._callback)
        coroutine = task.get_coro()  # one that closes a generator has no name
        return str(getattr(coroutine, "__qualname__", coroutine))

    def _note(self, seconds: float, what: str) -> None:
        if seconds > 0.001 and not what.startswith(self._but_of):
            self._stretches.append((seconds, what))
