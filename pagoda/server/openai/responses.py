"""POST /v1/responses: OpenAI's newer form of a chat, answered by the same generation.

On the token's path: `chat.openai_responses` makes a chat request of the body, `chat_job.chat_job` a job of that, and
`responses_stream` turns the engine's outputs into items and events, or `rounds.response`, where the model may search
the server's documents. Nothing is kept, so no response can be fetched later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pagoda.chat.openai_responses import ResponsesChat, ResponsesRequest, responses_chat
from pagoda.chat.places import renamed
from pagoda.errors import InvalidRequestError
from pagoda.server.errors import error_body
from pagoda.server.fields import check_fields
from pagoda.server.generation import Caller, Job, caller_of
from pagoda.server.openai.answering import answered, answered_in_rounds
from pagoda.server.openai.chat_job import chat_job
from pagoda.server.openai.responses_stream import GrowingResponse, ResponseAnswer
from pagoda.server.openai.rounds.response import ResponseInRounds
from pagoda.server.openai.rounds.rounds import check_no_searches, opened_rounds
from pagoda.server.routing import GENERATING, JsonRoute, documented, prepared
from pagoda.server.state import ServerState, state_of

router = APIRouter(route_class=JsonRoute)


@router.post("/v1/responses", responses=GENERATING)
async def create_response(body: ResponsesRequest, request: Request) -> Response:
    """Answer a conversation with items."""
    state, caller = state_of(request), caller_of(request)
    name = state.check_model(body.model)
    chat = await prepared(request, _chat, body, state)
    if chat.request.file_search:
        return await _answered_with_searches(body, chat, request, name, caller)
    job = await prepared(request, _job, chat, state)
    answer = ResponseAnswer(chat, job, state, caller, _begun(body, chat, job, name, caller))
    # A terminal event ends these streams; `[DONE]` is none of theirs.
    return await answered(request, caller, [job], answer, stream=body.stream, done=b"")


async def _answered_with_searches(
    body: ResponsesRequest, chat: ResponsesChat, request: Request, name: str, caller: Caller
) -> Response:
    """The response to a conversation with `file_search`. Raises InvalidRequestError."""
    with _own_names(chat):
        rounds = await opened_rounds(chat.request, request, caller)
        answer = ResponseInRounds(
            rounds, lambda job: _begun(body, chat, job, name, caller), lambda job: _named(job, chat)
        )
        return await answered_in_rounds(request, caller, answer, stream=body.stream, done=b"")
    raise AssertionError("the block above returns or raises")


def _begun(body: ResponsesRequest, chat: ResponsesChat, job: Job, name: str, caller: Caller) -> GrowingResponse:
    return GrowingResponse(body, chat.offered, job.params, name, caller.request_id)


def _chat(body: ResponsesRequest, state: ServerState) -> ResponsesChat:
    """The same request to the chat endpoint. Raises InvalidRequestError."""
    check_fields(body, strict=state.config.strict)
    return responses_chat(body)


def _job(chat: ResponsesChat, state: ServerState) -> Job:
    """What the engine is asked for. Raises InvalidRequestError."""
    with _own_names(chat):
        check_no_searches(chat.request)
        return _named(chat_job(chat.request, state), chat)
    raise AssertionError("the block above returns or raises")


def _named(job: Job, chat: ResponsesChat) -> Job:
    """The same, whose places are told in the names of the client's request."""
    return replace(
        job,
        constraint_field=renamed(job.constraint_field or "", chat.names) or None,
        unenforced=tuple(renamed(place, chat.names) for place in job.unenforced),
    )


@contextmanager
def _own_names(chat: ResponsesChat) -> Iterator[None]:
    """What is refused of the chat is told in the names of the client's request."""
    try:
        yield
    except InvalidRequestError as error:
        error.args = (renamed(str(error), chat.names),)
        error.param = renamed(error.param or "", chat.names) or None
        raise


@router.get("/v1/responses/{response_id}", responses=documented(401, 404))
async def retrieve_response(response_id: str) -> Response:
    """Always 404: this server keeps no responses."""
    message = f"there is no response {response_id!r}: this server keeps none, so store what you need yourself"
    return JSONResponse(error_body(message, "NotFoundError", "response_id", 404), 404)
