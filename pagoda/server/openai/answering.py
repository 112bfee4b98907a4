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
from pagoda.server.streaming import DONE, EventStream, unless_client_leaves

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


def _headers(caller: Caller, jobs: Sequence[Job]) -> dict[str, str]:
    """What is told beside the answer: of its schemas, what it was not held to."""
    headers = unenforced_headers(place for job in jobs for place in job.unenforced)
    for name, places in headers.items():
        logger.warning("request %s: %s: %s", caller.request_id, name, places)
    return headers
