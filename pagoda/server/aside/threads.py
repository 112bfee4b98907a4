"""Work that grows with a request, aside from the event loop.

On a request's path: wherever an endpoint reads, renders, encodes or writes something whose size its client chose. Small
work is done at once; large work goes to a few threads. That helps where the work gives up Python's lock: Python code
does so by itself every few milliseconds, a call into C must do so of its own. A JSON parser, a validator and a
tokenizer's `encode` do not, so they are given small pieces, or something to call back: see `bodies`, `answers`,
`chat.openai_types` and `models.tokenizer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LIGHT = 16 * 1024
"""Bytes of a body that take a few milliseconds at most and are handled at once."""
NUM_THREADS = 2
"""Each thread more is one more that the event loop may have to wait for when it wants Python's lock."""


class Aside:
    """The threads of one server."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="pagoda-aside")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns, or raises. Cancelled before its turn, it is not begun."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def run_if(self, is_long: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same; what is not long is done here, after a turn for everyone else: there may be many such pieces."""
        if is_long:
            return await self.run(work, *args, **kwargs)
        await asyncio.sleep(0)
        return work(*args, **kwargs)
