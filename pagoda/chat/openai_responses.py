"""Requests of OpenAI's Responses API as HTTP carries them, and the conversation that each of them stands for.

First station of such a request's path. Nothing is kept between requests, so what needs a store is refused by name;
the rest becomes a chat request, and from there on both endpoints are one. Source: OpenAI's API reference (2025),
"Responses".
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from pagoda.chat.openai_types import ChatCompletionRequest, Number, OpenAIRequest
from pagoda.errors import InvalidParameterError

_ROLES = ("user", "assistant", "system", "developer")
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
_INCLUDABLE = ("reasoning.encrypted_content",)


class TextFormat(BaseModel):
    """The shape of the text; a JSON schema stands beside the type, not below it as in chat completions."""

    type: Literal["text", "json_object", "json_schema"]
    name: StrictStr | None = None
    description: StrictStr | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class TextSettings(BaseModel):
    """How text is to be written."""

    model_config = ConfigDict(extra="allow")

    format: TextFormat | None = None


class ResponsesRequest(OpenAIRequest):
    """POST /v1/responses."""

    refused: ClassVar[dict[str, str]] = {
        "previous_response_id": "nothing is kept on this server; send the earlier items in input",
        "conversation": "nothing is kept on this server; send the earlier items in input",
        "prompt": "no prompt templates are kept on this server; send instructions and input",
        "top_logprobs": "use /v1/chat/completions for log-probabilities",
        "max_tool_calls": "this server runs no tools itself; count the calls where they are run",
    }
    ignored: ClassVar[frozenset[str]] = OpenAIRequest.ignored | {"prompt_cache_key", "prompt_cache_retention"}

    input: StrictStr | list[dict[str, Any]]
    instructions: StrictStr | None = None
    tools: list[dict[str, Any]] | None = None
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
    stream_options: dict[str, Any] | None = None
    metadata: dict[StrictStr, StrictStr] | None = None
    store: StrictBool | None = None
    background: StrictBool | None = None
    include: list[StrictStr] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    reasoning: dict[str, Any] | None = None
    user: StrictStr | None = None
    previous_response_id: StrictStr | None = None
    conversation: StrictStr | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    top_logprobs: StrictInt | None = None
    max_tool_calls: StrictInt | None = None


def chat_request(body: ResponsesRequest) -> ChatCompletionRequest:
    """The same request to the chat endpoint. Raises InvalidParameterError for what is not supported, by name."""
    _check_supported(body)
    values: dict[str, Any] = {name: value for name in _SAMPLING if (value := getattr(body, name)) is not None}
    values |= {
        "model": body.model,
        "messages": chat_messages(body),
        "tools": [_chat_tool(tool, index) for index, tool in enumerate(body.tools or [])] or None,
        "tool_choice": _chat_tool_choice(body.tool_choice),
        "parallel_tool_calls": body.parallel_tool_calls,
        "max_completion_tokens": body.max_output_tokens,
        "response_format": _response_format(body.text),
        "stream": body.stream,
    }
    try:
        return ChatCompletionRequest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidParameterError(f"{where}: {first['msg']}", param=where) from error


def chat_messages(body: ResponsesRequest) -> list[dict[str, Any]]:
    """Instructions and input items as messages; calls that follow each other are one message of the assistant's."""
    messages: list[dict[str, Any]] = []
    if body.instructions:
        messages.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*messages, {"role": "user", "content": body.input}]
    for index, item in enumerate(body.input):
        message = _message(item, f"input[{index}]")
        if message is None:
            continue
        calling = "tool_calls" in message and messages and messages[-1]["role"] == "assistant"
        if calling:
            messages[-1].setdefault("tool_calls", []).extend(message["tool_calls"])
        else:
            messages.append(message)
    return messages


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


def _message(item: Mapping[str, Any], place: str) -> dict[str, Any] | None:
    """An input item as a message; None for the model's reasoning, which chats do not show it again."""
    kind = item.get("type", "message")
    if kind == "message":
        if item.get("role") not in _ROLES:
            raise InvalidParameterError(
                f"{place}.role is {item.get('role')!r}, expected one of {', '.join(_ROLES)}", param=f"{place}.role"
            )
        return {"role": item["role"], "content": _content(item.get("content"), f"{place}.content")}
    if kind == "function_call":
        function = {"name": _string(item, "name", place), "arguments": _string(item, "arguments", place)}
        call = {"id": _string(item, "call_id", place), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        call_id = _string(item, "call_id", place)
        return {"role": "tool", "tool_call_id": call_id, "content": _content(item.get("output"), f"{place}.output")}
    if kind == "reasoning":
        return None
    raise InvalidParameterError(
        f"{place}.type is {kind!r}, expected message, function_call or function_call_output", param=f"{place}.type"
    )


def _content(content: Any, place: str) -> str | list[Any]:
    if isinstance(content, str) or (isinstance(content, list) and all(isinstance(part, dict) for part in content)):
        return content
    raise InvalidParameterError(f"{place} is {content!r:.80}, expected a string or a list of parts", param=place)


def _string(item: Mapping[str, Any], name: str, place: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise InvalidParameterError(f"{place}.{name} is {value!r:.80}, expected a string", param=f"{place}.{name}")
    return value


def _chat_tool(tool: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A function's fields stand beside its type here, and below `function` in chat completions."""
    if tool.get("type") != "function":
        raise InvalidParameterError(
            f"tools[{index}].type is {tool.get('type')!r}, but this server offers functions only: use type function",
            param=f"tools[{index}].type",
        )
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


def _chat_tool_choice(choice: str | Mapping[str, Any] | None) -> Any:
    if choice is None or choice in ("none", "auto", "required"):
        return choice
    if isinstance(choice, Mapping) and choice.get("type") == "function" and isinstance(choice.get("name"), str):
        return {"type": "function", "function": {"name": choice["name"]}}
    raise InvalidParameterError(
        f'tool_choice is {choice!r:.80}, expected none, auto, required or {{"type": "function", "name": ...}}',
        param="tool_choice",
    )


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
