"""From messages to a prompt: the template is rendered and encoded, and tools are brought into it.

On the token's path: before the engine's door, shared by the chat endpoint, the Responses API, /tokenize and the render
endpoints, so that all of them agree to the token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.chat.openai_types import Tool
from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.tokenizer.chat_prompt import merged_fields
from pagoda.models.tokenizer.tool_formats import ToolFormat, tool_format
from pagoda.server.state import ServerState

_FIELDS = ("add_generation_prompt", "continue_final_message", "documents")


def render(body: Any, state: ServerState, *, tools: Sequence[Tool] | None) -> str:
    """The text of the prompt. Raises InvalidRequestError, with the template's own words where it refuses."""
    template = _template(body, state)
    fields = {name: getattr(body, name, None) for name in _FIELDS}
    if state.config.strict:
        _check_variables(body.chat_template_kwargs or {}, template_source(state, template, has_tools=bool(tools)))
    return state.tokenizer.apply_chat_template(
        body.messages or [],
        tools,
        chat_template=template,
        tool_call_parser=form_of(state).name,
        **_effort(body),
        **merged_fields(fields, body.chat_template_kwargs),
    )


def encode(text: str, state: ServerState) -> list[int]:
    """Token ids of a rendered prompt; the template has written its special tokens itself."""
    if not text:
        raise InvalidRequestError("the chat template made an empty prompt of these messages", param="messages")
    _, token_ids = state.encode(text, add_special_tokens=False, param="messages")
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


def _effort(body: Any) -> dict[str, Any]:
    """OpenAI's field as the variable of the templates that read it, unless the client sets that one itself."""
    effort = getattr(body, "reasoning_effort", None)
    own = "reasoning_effort" in (body.chat_template_kwargs or {})
    return {} if effort is None or own else {"reasoning_effort": effort}


def _check_variables(given: Mapping[str, Any], source: str) -> None:
    """Raises InvalidParameterError for a variable that the template never reads."""
    for name in given:
        if name not in _FIELDS and not re.search(rf"\b{re.escape(name)}\b", source):
            param = f"chat_template_kwargs.{name}"
            raise InvalidParameterError(f"{param} is no variable of this model's chat template", param=param)


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
