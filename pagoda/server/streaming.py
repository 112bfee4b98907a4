"""Server-sent events, and what happens when the client leaves.

Last station of the token's path: chunks become `data:` lines of UTF-8 JSON, one event for each step of the engine.
Silence is bridged by comments, an error in the middle becomes one error event, and `[DONE]` ends every stream. The
form is WHATWG's event stream as OpenAI's clients read it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pagoda.server.aside.answers import ENCODER, in_pieces
from pagoda.server.errors import body_for, log_fault

T = TypeVar("T")

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class ClientLeftError(Exception):
    """The client closed the connection; nobody reads the answer."""


def event(chunk: dict[str, Any], name: str | None = None, *, long: bool = False) -> bytes:
    """One event. JSON escapes line ends itself, so the data is one line. long: a thread writes it, in pieces."""
    data = "".join(in_pieces(chunk)) if long else ENCODER.encode(chunk)
    prefix = "" if name is None else f"event: {name}\n"
    return f"{prefix}data: {data}\n\n".encode("utf-8", errors="replace")


class EventStream(Response):
    """A response of events. `held` is given back when the stream ends or the client leaves, whichever comes first."""

    def __init__(
        self, events: AsyncGenerator[bytes], held: AsyncExitStack, *, keep_alive_s: float, done: bytes = DONE
    ) -> None:
        super().__init__(None, headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._held = held
        self._keep_alive_s = keep_alive_s
        self._done = done
        self._started = False
        self._num_sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more; stop at once when the client is gone."""
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_until_disconnected(receive))
        pinging = asyncio.ensure_future(self._ping(send))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            pinging.cancel()
            if not sending.done():
                sending.cancel()
                scope.setdefault("state", {})["client_left"] = True
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending
            await self._held.aclose()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._started = True
        try:
            async for data in self._events:
                self._num_sent += 1
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception as error:
            log_fault(error)
            await send({"type": "http.response.body", "body": event(body_for(error)), "more_body": True})
        finally:
            await self._events.aclose()
        self._started = False
        await send({"type": "http.response.body", "body": self._done, "more_body": False})

    async def _ping(self, send: Send) -> None:
        """A comment whenever a whole period passed without an event. It goes out between events, never inside one."""
        while True:
            before = self._num_sent
            await asyncio.sleep(self._keep_alive_s)
            if self._started and self._num_sent == before:
                await send({"type": "http.response.body", "body": PING, "more_body": True})


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves. Raises ClientLeftError then."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_disconnected(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            request.scope.setdefault("state", {})["client_left"] = True
            raise ClientLeftError
        return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working


async def resumed(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """A stream whose first event was awaited before the status line, so that what fails at once has its own status."""
    async with contextlib.aclosing(rest):
        yield first
        async for data in rest:
            yield data


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
