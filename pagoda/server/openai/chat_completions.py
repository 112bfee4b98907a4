"""POST /v1/chat/completions: a conversation in, the next message out.

On the token's path: `chat_job` makes a prompt of the messages and one grammar of tools and formats; `chat_stream` then
puts the engine's outputs into chunks, or `rounds` does, where the model may search the server's documents.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pagoda.chat.openai_types import ChatCompletionRequest
from pagoda.server.generation import caller_of
from pagoda.server.openai.answering import answered
from pagoda.server.openai.chat_job import chat_job
from pagoda.server.openai.chat_stream import ChatCompletionAnswer
from pagoda.server.openai.rounds.chat import answered_with_searches
from pagoda.server.openai.rounds.rounds import check_no_searches
from pagoda.server.routing import GENERATING, JsonRoute, prepared
from pagoda.server.state import state_of

router = APIRouter(route_class=JsonRoute)


@router.post("/v1/chat/completions", responses=GENERATING)
async def create_chat_completion(body: ChatCompletionRequest, request: Request) -> Response:
    """Answer a conversation."""
    state, caller = state_of(request), caller_of(request)
    name = state.check_model(body.model)
    if body.file_search:
        return await answered_with_searches(body, request, name, caller)
    check_no_searches(body)
    job = await prepared(request, chat_job, body, state)
    answer = ChatCompletionAnswer(body, job, state, name, caller)
    return await answered(request, caller, [job], answer, stream=body.stream)
