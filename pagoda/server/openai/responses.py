"""POST /v1/responses: OpenAI's newer form of a chat, answered by the same generation.

On the token's path: `chat.openai_responses` makes a chat request of the body, `chat_job.chat_job` a job of
that, and `responses_stream` turns the engine's outputs into items and events. Nothing is kept, so no response can be
fetched later.
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pagoda.chat.openai_responses import ResponsesChat, ResponsesRequest, responses_chat
from pagoda.chat.places import renamed
from pagoda.errors import InvalidRequestError
from pagoda.server.errors import error_body
from pagoda.server.fields import check_fields
from pagoda.server.generation import Job, caller_of
from pagoda.server.openai.answering import answered
from pagoda.server.openai.chat_job import chat_job
from pagoda.server.openai.responses_stream import ResponseAnswer
from pagoda.server.routing import GENERATING, JsonRoute, documented, prepared
from pagoda.server.state import ServerState, state_of

router = APIRouter(route_class=JsonRoute)


@router.post("/v1/responses", responses=GENERATING)
async def create_response(body: ResponsesRequest, request: Request) -> Response:
    """Answer a conversation with items."""
    state, caller = state_of(request), caller_of(request)
    name = state.check_model(body.model)
    chat, job = await prepared(request, _chat_and_job, body, state)
    answer = ResponseAnswer(body, chat, job, state, name, caller)
    # A terminal event ends these streams; `[DONE]` is none of theirs.
    return await answered(request, caller, [job], answer, stream=body.stream, done=b"")


def _chat_and_job(body: ResponsesRequest, state: ServerState) -> tuple[ResponsesChat, Job]:
    """The same request to the chat endpoint, and what the engine is asked for. Raises InvalidRequestError."""
    check_fields(body, strict=state.config.strict)
    chat = responses_chat(body)
    try:
        job = chat_job(chat.request, state)
    except InvalidRequestError as error:
        error.args = (renamed(str(error), chat.names),)
        error.param = renamed(error.param or "", chat.names) or None
        raise
    return chat, replace(
        job,
        constraint_field=renamed(job.constraint_field or "", chat.names) or None,
        unenforced=tuple(renamed(place, chat.names) for place in job.unenforced),
    )


@router.get("/v1/responses/{response_id}", responses=documented(401, 404))
async def retrieve_response(response_id: str) -> Response:
    """Always 404: this server keeps no responses."""
    message = f"there is no response {response_id!r}: this server keeps none, so store what you need yourself"
    return JSONResponse(error_body(message, "NotFoundError", "response_id", 404), 404)
