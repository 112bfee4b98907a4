"""Input items of the Responses API as messages of a chat.

Beside `openai_responses`. Messages, calls and their outputs become messages; what the model thought, and what the
server of an earlier turn did by itself, is not told again. Source: OpenAI's API reference (2025), and what Codex sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import StrictStr

from pagoda.chat.openai_types import ApiObject, ContentPart, Many
from pagoda.chat.responses_tools import custom_arguments, offered_name
from pagoda.errors import InvalidParameterError

_ROLES = ("user", "assistant", "system", "developer")
_NOT_TOLD_AGAIN = (
    "reasoning",
    "file_search_call",
    "web_search_call",
    "image_generation_call",
    "tool_search_call",
    "tool_search_output",
)


class InputItem(ApiObject):
    """An item of `input`: a message, a call, a call's output, or what else an answer may have held."""

    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "action",
            "encrypted_content",
            "execution",
            "id",
            "phase",
            "queries",
            "result",
            "results",
            "status",
            "summary",
            "tools",
        }
    )

    type: StrictStr = "message"
    role: StrictStr | None = None
    content: StrictStr | Many[ContentPart] | None = None
    call_id: StrictStr | None = None
    name: StrictStr | None = None
    namespace: StrictStr | None = None
    arguments: StrictStr | dict[str, Any] | None = None
    input: StrictStr | None = None
    output: StrictStr | Many[ContentPart] | None = None


def input_messages(
    instructions: str | None, items: str | Sequence[InputItem]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Messages, and the client's name for each of them and for each of their calls.

    Calls that follow each other are one message of the assistant's. Raises InvalidParameterError.
    """
    if not items and not isinstance(items, str):
        raise InvalidParameterError("input is empty: give some text or at least one item", param="input")
    messages: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    if instructions:
        names["messages[0]"] = "instructions"
        messages.append({"role": "system", "content": instructions})
    given = [InputItem(role="user", content=items)] if isinstance(items, str) else items
    for index, item in enumerate(given):
        place = "input" if isinstance(items, str) else f"input[{index}]"
        message = _message(item, place)
        if message is None:
            continue
        if "tool_calls" not in message or not messages or messages[-1]["role"] != "assistant":
            name = f"messages[{len(messages)}]"
            names |= {name: place, f"{name}.tool_call_id": f"{place}.call_id"}
            messages.append({"role": message["role"]})
        target = messages[-1]
        for call in message.pop("tool_calls", ()):
            calls = target.setdefault("tool_calls", [])
            name = f"messages[{len(messages) - 1}].tool_calls[{len(calls)}]"
            names |= {name: place, f"{name}.function": place}
            calls.append(call)
        target |= {key: value for key, value in message.items() if value is not None}
    return messages, names


def _message(item: InputItem, place: str) -> dict[str, Any] | None:
    """One item; None for what is not told again."""
    if item.type == "message":
        if item.role not in _ROLES:
            raise InvalidParameterError(
                f"{place}.role is {item.role!r}, expected one of {', '.join(_ROLES)}", param=f"{place}.role"
            )
        return {"role": item.role, "content": _content(item, "content", place)}
    if item.type in ("function_call", "custom_tool_call"):
        custom = item.type == "custom_tool_call"
        arguments = custom_arguments(_given(item, "input", place)) if custom else _given(item, "arguments", place)
        function = {"name": offered_name(_given(item, "name", place), item.namespace), "arguments": arguments}
        call = {"id": _given(item, "call_id", place), "type": "function", "function": function}
        return {"role": "assistant", "tool_calls": [call]}
    if item.type in ("function_call_output", "custom_tool_call_output"):
        call_id = _given(item, "call_id", place)
        return {"role": "tool", "tool_call_id": call_id, "content": _content(item, "output", place)}
    if item.type in _NOT_TOLD_AGAIN:
        return None
    raise InvalidParameterError(
        f"{place}.type is {item.type!r}, expected message, or function_call or custom_tool_call and their outputs",
        param=f"{place}.type",
    )


def _content(item: InputItem, name: str, place: str) -> str | list[Any]:
    value = _given(item, name, place)
    return value if isinstance(value, str) else [part.model_dump(exclude_unset=True) for part in value]


def _given(item: InputItem, name: str, place: str) -> Any:
    value = getattr(item, name)
    if value is None:
        raise InvalidParameterError(
            f"{place}.{name} is missing in an item of type {item.type}", param=f"{place}.{name}"
        )
    return value
