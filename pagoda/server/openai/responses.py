"""POST /v1/responses: OpenAI's newer form of a chat, answered by the same generation.

On the token's path: `chat.openai_responses` makes a chat request of the body, `chat_completions.chat_job` a job of
that, and `responses_stream` turns the engine's outputs into items and events. Nothing is kept, so no response can be
fetched later.
"""

from __future__ import annotations

import re
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pagoda.chat.openai_responses import ResponsesRequest, chat_request
from pagoda.errors import InvalidRequestError
from pagoda.server.errors import error_body
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.openai.answering import answered
from pagoda.server.openai.chat_completions import chat_job
from pagoda.server.openai.responses_stream import ResponseAnswer
from pagoda.server.routing import GENERATING, JsonRoute, documented
from pagoda.server.state import state_of

router = APIRouter(route_class=JsonRoute)

_NAMES_HERE = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "prompt": "input",
    "tool_choice.function.name": "tool_choice.name",
    "response_format.json_schema.schema": "text.format.schema",
    "response_format.schema": "text.format.schema",
    "response_format": "text.format",
}
"""What a fault in the chat request is called in the client's own."""
_SCHEMAS = re.compile(r"response_format\.(?:json_schema\.)?schema|(?<=\])\.function(?=\.parameters)")


@router.post("/v1/responses", responses=GENERATING)
async def create_response(body: ResponsesRequest, request: Request) -> Response:
    """Answer a conversation with items."""
    state, caller = state_of(request), caller_of(request)
    name = state.check_model(body.model)
    check_fields(body, strict=state.config.strict)
    chat = chat_request(body)
    try:
        job = await chat_job(chat, state)
    except InvalidRequestError as error:
        error.args = (_places_here(str(error)), *error.args[1:])
        error.param = _NAMES_HERE.get(error.param or "", error.param and _places_here(error.param))
        raise
    job = replace(
        job,
        constraint_field=_NAMES_HERE.get(job.constraint_field or "", job.constraint_field),
        unenforced=tuple(map(_places_here, job.unenforced)),
    )
    answer = ResponseAnswer(body, chat, job, state, name, caller)
    # A terminal event ends these streams; `[DONE]` is none of theirs.
    return await answered(request, caller, [job], answer, stream=body.stream, done=b"")


def _places_here(text: str) -> str:
    """Places in schemas as the client's own request has them.

    >>> _places_here("tools[0].function.parameters.not")
    'tools[0].parameters.not'
    """
    return _SCHEMAS.sub(lambda found: "" if "function" in found[0] else "text.format.schema", text)


@router.get("/v1/responses/{response_id}", responses=documented(401, 404))
async def retrieve_response(response_id: str) -> Response:
    """Always 404: this server keeps no responses."""
    message = f"there is no response {response_id!r}: this server keeps none, so store what you need yourself"
    return JSONResponse(error_body(message, "NotFoundError", "response_id", 404), 404)
