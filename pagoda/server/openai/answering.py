"""The last step of every endpoint that generates: its answer goes out whole, or as events while it grows.

On the token's path: after the jobs are made, around `ServerState.generate`. A stream's generation is held until the
stream has ended or its client has left, whichever comes first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import Response

from pagoda.server.aside.answers import json_response
from pagoda.server.generation import Caller, Generation, Job
from pagoda.server.state import state_of
from pagoda.server.streaming import DONE, EventStream, unless_client_leaves


class ApiAnswer(Protocol):
    """The answer to one request, in the form of its API."""

    async def whole(self) -> dict[str, Any]:
        """In one piece; generates by itself."""
        ...

    def events(self, generation: Generation) -> AsyncGenerator[bytes]:
        """As events, while the outputs come."""
        ...


async def answered(
    request: Request, caller: Caller, jobs: Sequence[Job], answer: ApiAnswer, *, stream: bool | None, done: bytes = DONE
) -> Response:
    """The response that carries an answer. stream: as the client sent it; done: what ends a stream.

    Raises what the engine refuses, before the status line even of a stream, and ClientLeftError.
    """
    state = state_of(request)
    if not stream:
        whole = await unless_client_leaves(request, answer.whole())
        return await json_response(whole, state.aside)
    async with AsyncExitStack() as stack:
        generation = await stack.enter_async_context(state.generate(caller, jobs))
        events, held = answer.events(generation), stack.pop_all()
        return EventStream(events, held, keep_alive_s=state.config.keep_alive_s, done=done)
    raise AssertionError("the block above returns or raises")
