"""From messages to a prompt: the template is rendered and encoded, and tools are brought into it.

On the token's path: before the engine's door, shared by the chat endpoint, the Responses API, /tokenize and the render
endpoints, so that all of them agree to the token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pagoda.chat.openai_types import Tool
from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.server.state import ServerState
from pagoda.server.tools.formats import ToolFormat, tool_format
from pagoda.server.tools.messages import plain_messages


def render(body: Any, state: ServerState, *, tools: Sequence[Tool] | None) -> str:
    """The text of the prompt. Raises InvalidRequestError, with the template's own words where it refuses."""
    template = _template(body, state)
    source = template_source(state, template, has_tools=bool(tools))
    plain_tools = [tool.model_dump(exclude_none=True) for tool in tools] if tools else None
    variables = dict(body.chat_template_kwargs or {})
    documents = getattr(body, "documents", None)
    try:
        return state.tokenizer.apply_chat_template(
            plain_messages(body.messages or [], tools, source, form_of(state)),
            plain_tools,
            documents,
            body.add_generation_prompt,
            body.continue_final_message,
            template,
            **variables,
        )
    except TypeError as error:
        raise InvalidParameterError(
            f"chat_template_kwargs do not fit: {error}", param="chat_template_kwargs"
        ) from error


async def encode(text: str, state: ServerState) -> list[int]:
    """Token ids of a rendered prompt; the template has written its special tokens itself."""
    if not text:
        raise InvalidRequestError("the chat template made an empty prompt of these messages", param="messages")
    _, token_ids = await state.engine.encode(text, add_special_tokens=False)
    state.check_token_ids(token_ids, "messages")
    return token_ids


def template_source(state: ServerState, template: str | None = None, *, has_tools: bool = False) -> str:
    """The source of the template in force, "" where there is none."""
    known = state.tokenizer.chat_template
    if known is None:
        return template or ""
    return known.select(template, has_tools=has_tools)


def form_of(state: ServerState) -> ToolFormat:
    """How this model writes tool calls."""
    return tool_format(
        state.config.tool_call_parser, template_source(state, state.config.chat_template, has_tools=True)
    )


def _template(body: Any, state: ServerState) -> str | None:
    if body.chat_template is None:
        return state.config.chat_template
    if not state.config.trust_request_chat_template:
        raise InvalidParameterError(
            "chat_template in a request is not allowed here: leave it out, or start the server with "
            "--trust-request-chat-template",
            param="chat_template",
        )
    return str(body.chat_template)
