"""The last step of every endpoint that generates: its answer goes out whole, or as events while it grows.

On the token's path: after the jobs are made, around `ServerState.generate`. A stream's generation is held until the
stream has ended or its client has left, whichever comes first.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import Response

from pagoda.server.aside.answers import json_response
from pagoda.server.generation import Caller, Generation, Job
from pagoda.server.json_schemas import unenforced_headers
from pagoda.server.state import state_of
from pagoda.server.streaming import DONE, EventStream, resumed, unless_client_leaves

logger = logging.getLogger(__name__)


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
    state, headers = state_of(request), _headers(caller, jobs)
    if not stream:
        whole = await unless_client_leaves(request, answer.whole())
        response = await json_response(whole, state.aside)
        response.headers.update(headers)
        return response
    async with AsyncExitStack() as stack:
        generation = await stack.enter_async_context(state.generate(caller, jobs))
        events, held = answer.events(generation), stack.pop_all()
        response = EventStream(events, held, keep_alive_s=state.config.keep_alive_s, done=done)
        response.headers.update(headers)
        return response
    raise AssertionError("the block above returns or raises")


class RoundsAnswer(Protocol):
    """An answer that takes several generations, each queued by itself within one admitted request."""

    async def first_job(self) -> Job:
        """The job of its first round. Raises InvalidRequestError."""
        ...

    async def whole(self) -> dict[str, Any]:
        """In one piece."""
        ...

    def events(self) -> AsyncGenerator[bytes]:
        """As events; the first comes when the engine has taken the first round."""
        ...


async def answered_in_rounds(
    request: Request, caller: Caller, answer: RoundsAnswer, *, stream: bool | None, done: bytes = DONE
) -> Response:
    """The same for an answer in rounds. Raises what the engine refuses of the first one, and ClientLeftError."""
    state = state_of(request)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(state.admitted(caller))
        headers = _headers(caller, [await unless_client_leaves(request, answer.first_job())])
        if stream:
            events = answer.events()
            first = await unless_client_leaves(request, _first(events))
            keep_alive_s, held = state.config.keep_alive_s, stack.pop_all()
            response: Response = EventStream(resumed(first, events), held, keep_alive_s=keep_alive_s, done=done)
        else:
            response = await json_response(await unless_client_leaves(request, answer.whole()), state.aside)
        response.headers.update(headers)
        return response
    raise AssertionError("the block above returns or raises")


async def _first(events: AsyncGenerator[bytes]) -> bytes:
    return await anext(events)


def _headers(caller: Caller, jobs: Sequence[Job]) -> dict[str, str]:
    """What is told beside the answer: of its schemas, what it was not held to."""
    headers = unenforced_headers(place for job in jobs for place in job.unenforced)
    for name, places in headers.items():
        logger.warning("request %s: %s: %s", caller.request_id, name, places)
    return headers
