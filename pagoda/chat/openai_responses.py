"""Requests of OpenAI's Responses API as HTTP carries them, and the conversation that each of them stands for.

First station of such a request's path. Nothing is kept between requests, so what needs a store is refused by name;
the rest becomes a chat request, and from there on both endpoints are one. Source: OpenAI's API reference (2025),
"Responses".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationError

from pagoda.chat.file_search import FILE_SEARCH
from pagoda.chat.openai_types import (
    MAX_TOOLS,
    ApiObject,
    ChatCompletionRequest,
    Many,
    Number,
    OpenAIRequest,
    SchemaHolder,
    Stepwise,
    StreamOptions,
    Strings,
    Texts,
)
from pagoda.chat.places import blamed, dotted, renamed
from pagoda.chat.responses_input import InputItem, input_messages
from pagoda.chat.responses_tools import OfferedTool, ResponsesTool, chat_tool_choice, offered_tools
from pagoda.errors import InvalidParameterError

_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "priority",
    "cache_salt",
)
FOUND = "file_search_call.results"
"""What `include` names where a client wants to see the passages that a search found."""
_INCLUDABLE = ("reasoning.encrypted_content", FOUND)
_NAMES_HERE = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "messages": "input",
    "prompt": "input",
    "tool_choice.function": "tool_choice",
    "response_format": "text.format",
    "response_format.json_schema": "text.format",
}
"""What fields of a chat request are called here."""


_IN_BOTH = frozenset(
    {
        *_SAMPLING,
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "model",
        "parallel_tool_calls",
        "prompt",
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "top_logprobs",
    }
)
_ONLY_IN_CHATS = {
    name: renamed(ChatCompletionRequest.refused.get(name, "use /v1/chat/completions"), _NAMES_HERE)
    for name in ChatCompletionRequest.model_fields.keys() | ChatCompletionRequest.refused.keys()
    if name not in _IN_BOTH
}
"""Why a field of a chat request is refused here, where nothing better is known."""


class TextFormat(ApiObject):
    """The shape of the text; a JSON schema stands beside the type, not below it as in chat completions."""

    type: Literal["text", "json_object", "json_schema"]
    name: StrictStr | None = None
    description: StrictStr | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class TextSettings(ApiObject):
    """How text is to be written."""

    ignored: ClassVar[frozenset[str]] = frozenset({"verbosity"})

    format: TextFormat | None = None


class ReasoningSettings(ApiObject):
    """How much a model is to think, for templates that read it; nothing of it is shown."""

    ignored: ClassVar[frozenset[str]] = frozenset({"summary", "generate_summary", "context"})

    effort: StrictStr | None = None


class ResponsesRequest(SchemaHolder):
    """POST /v1/responses. What chats have and this has not is refused, with its name here where there is one."""

    shaping: ClassVar[tuple[str, ...]] = ("text", "tools")
    refused: ClassVar[dict[str, str]] = {
        **_ONLY_IN_CHATS,
        "previous_response_id": "nothing is kept on this server; send the earlier items in input",
        "conversation": "nothing is kept on this server; send the earlier items in input",
        "prompt": "no prompt templates are kept on this server; send instructions and input",
        "top_logprobs": "use /v1/chat/completions for log-probabilities",
        "max_tokens": "use max_output_tokens",
        "max_completion_tokens": "use max_output_tokens",
        "max_new_tokens": "use max_output_tokens",
        "messages": "use input",
        "reasoning_effort": "use reasoning.effort",
        "response_format": "use text.format",
    }
    neutral: ClassVar[dict[str, Any]] = ChatCompletionRequest.neutral | {"n": 1, "repetition_penalty": 1}
    ignored: ClassVar[frozenset[str]] = OpenAIRequest.ignored | {
        "client_metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
    }

    input: StrictStr | Many[InputItem]
    instructions: StrictStr | None = None
    tools: Annotated[list[Stepwise[ResponsesTool]], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: StrictStr | dict[str, Any] | None = None
    parallel_tool_calls: StrictBool | None = None
    text: TextSettings | None = None
    max_output_tokens: StrictInt | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: StrictInt | None = None
    min_p: Number | None = None
    seed: StrictInt | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    priority: StrictInt = 0
    cache_salt: StrictStr | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    metadata: Texts | None = None
    store: StrictBool | None = None
    background: StrictBool | None = None
    include: Strings | None = None
    truncation: Literal["auto", "disabled"] | None = None
    reasoning: ReasoningSettings | None = None
    user: StrictStr | None = None
    previous_response_id: StrictStr | None = None
    conversation: StrictStr | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    top_logprobs: StrictInt | None = None
    max_tool_calls: StrictInt | None = None


@dataclass(frozen=True)
class ResponsesChat:
    """The chat that a request stands for.

    names: what parts of the chat request are called in the client's own
    offered: the name that the model is told -> the tool of the client's
    """

    request: ChatCompletionRequest
    names: Mapping[str, str]
    offered: Mapping[str, OfferedTool]


def responses_chat(body: ResponsesRequest) -> ResponsesChat:
    """The same request to the chat endpoint. Raises InvalidParameterError for what is not supported, by name."""
    _check_supported(body)
    messages, names = input_messages(body.instructions, body.input)
    choice, offered = chat_tool_choice(body.tool_choice, offered_tools(body.tools or []))
    for index, tool in enumerate(offered):
        names |= {f"tools[{index}]": tool.place, f"tools[{index}].function": tool.place}
    names |= {f"{FILE_SEARCH}[{at}]": tool.place for at, tool in enumerate(each for each in offered if each.search)}
    values: dict[str, Any] = {name: value for name in _SAMPLING if (value := getattr(body, name)) is not None}
    values |= {
        "model": body.model,
        "messages": messages,
        "tools": [tool.search or {"type": "function", "function": tool.function} for tool in offered] or None,
        "tool_choice": choice,
        "parallel_tool_calls": body.parallel_tool_calls,
        "max_completion_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "response_format": _response_format(body.text),
        "reasoning_effort": body.reasoning.effort if body.reasoning else None,
        "stream": body.stream,
    }
    names = _NAMES_HERE | names
    try:
        request = ChatCompletionRequest.model_validate(values)
    except ValidationError as error:
        first = blamed(error.errors())
        where = renamed(dotted(first["loc"]), names)
        raise InvalidParameterError(f"{where}: {first['msg']}", param=where) from error
    return ResponsesChat(request, names, {tool.function["name"]: tool for tool in offered})


def _check_supported(body: ResponsesRequest) -> None:
    if body.background:
        raise InvalidParameterError("background is not supported: leave it out and wait or stream", param="background")
    if body.truncation == "auto":
        raise InvalidParameterError(
            "truncation auto is not supported: shorten the input, or use disabled", param="truncation"
        )
    for name in body.include or []:
        if name not in _INCLUDABLE:
            raise InvalidParameterError(f"include of {name!r} is not supported: leave it out", param="include")


def _response_format(text: TextSettings | None) -> dict[str, Any] | None:
    form = None if text is None else text.format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "json_object", "schema": form.json_schema}
    if form.json_schema is None:
        raise InvalidParameterError(
            "text.format is json_schema, but text.format.schema is missing: give the schema", param="text.format.schema"
        )
    schema = {"name": form.name, "schema": form.json_schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}
