"""Tools of the Responses API as functions of a chat, and a chat's calls back as the items that they stand for.

Beside `openai_responses`. A chat model calls functions and nothing else. A namespace's functions get its name in front;
a custom tool, which takes free text, becomes a function of that text. What the server itself would have to do (search
the web, draw) is passed over beside tools that the model can call: the answer is then what a model gives that has no
use for it. Source: OpenAI's API reference (2025), and what Codex sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import StrictBool, StrictStr

from pagoda.chat.file_search import FILE_SEARCH, SEARCH_NAME, search_function
from pagoda.chat.openai_types import ApiObject, FileSearchTool
from pagoda.errors import InvalidParameterError

_PASSED_OVER = ("web_search", "image_generation", "tool_search")
"""Types, with or without a date or "preview" behind."""
_TEXT_SCHEMA = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


class ResponsesTool(ApiObject):
    """A tool; its fields stand beside its type, not below it as in chat completions."""

    ignored: ClassVar[frozenset[str]] = frozenset({"defer_loading", "output_schema"})
    refused: ClassVar[dict[str, str]] = FileSearchTool.refused

    type: StrictStr
    name: StrictStr | None = None
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None
    format: dict[str, Any] | None = None
    tools: list[ResponsesTool] | None = None
    vector_store_ids: Any = None
    max_num_results: Any = None
    filters: Any = None


@dataclass(frozen=True)
class OfferedTool:
    """A tool as the model is told of it.

    place: in the client's request; function: as in chat completions; search: the tool itself, where the server runs it
    """

    place: str
    kind: str
    name: str
    namespace: str | None
    function: Mapping[str, Any]
    search: Mapping[str, Any] | None = None


def offered_tools(tools: Sequence[ResponsesTool]) -> list[OfferedTool]:
    """The tools that a model can call. Raises InvalidParameterError for others, unless they may be passed over."""
    offered: list[OfferedTool] = []
    passed_over: list[tuple[str, ResponsesTool]] = []
    for place, namespace, tool in _flat(tools):
        if tool.type in ("function", "custom"):
            offered.append(_offered(place, namespace, tool))
        elif tool.type == FILE_SEARCH and namespace is None:
            offered.append(_search(place, tool))
        elif tool.type.startswith(_PASSED_OVER) and namespace is None:
            passed_over.append((place, tool))
        else:
            raise _unknown(place, tool)
    if passed_over and not offered:
        raise _unknown(*passed_over[0])
    return offered


def offered_name(name: str, namespace: str | None) -> str:
    """What the model calls a tool of a namespace.

    >>> offered_name("open_file", "mcp__editor__")
    'mcp__editor__open_file'
    """
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("_") else f"{namespace}__{name}"


def custom_arguments(text: str) -> str:
    """A custom tool's text as a function's arguments."""
    return json.dumps({"input": text}, ensure_ascii=False)


def custom_text(arguments: str) -> str:
    """A custom tool's text out of its function's arguments, which a cut answer may have left open."""
    try:
        return str(json.loads(arguments)["input"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return arguments


def chat_tool_choice(choice: Any, offered: Sequence[OfferedTool]) -> tuple[Any, list[OfferedTool]]:
    """The choice as in chat completions, and the tools that it leaves. Raises InvalidParameterError."""
    if choice is None or choice in ("none", "auto", "required"):
        return choice, list(offered)
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools" and isinstance(choice.get("tools"), list):
        wanted = [_chosen_name(tool) for tool in choice["tools"]]
        kept = [tool for tool in offered if tool.function["name"] in wanted]
        if len(kept) == len(wanted) and choice.get("mode", "auto") in ("auto", "required"):
            return choice.get("mode", "auto"), kept
    name = _chosen_name(choice)
    if name is not None:
        return {"type": "function", "function": {"name": name}}, list(offered)
    raise InvalidParameterError(
        f'tool_choice is {choice!r:.80}, expected none, auto, required, {{"type": "function", "name": ...}} or '
        '{"type": "allowed_tools", "mode": ..., "tools": [...]} of tools that are given',
        param="tool_choice",
    )


def _chosen_name(choice: Any) -> str | None:
    if isinstance(choice, Mapping) and choice.get("type") == FILE_SEARCH:
        return SEARCH_NAME
    if not isinstance(choice, Mapping) or choice.get("type") not in ("function", "custom"):
        return None
    name = choice.get("name")
    return offered_name(name, choice.get("namespace")) if isinstance(name, str) else None


def _flat(tools: Sequence[ResponsesTool]) -> Iterator[tuple[str, str | None, ResponsesTool]]:
    """(place, namespace or None, tool) of every tool, those of namespaces by themselves."""
    for index, tool in enumerate(tools):
        place = f"tools[{index}]"
        if tool.type != "namespace":
            yield place, None, tool
            continue
        if not tool.name or not tool.tools:
            raise InvalidParameterError(f"{place} is a namespace without a name or without tools", param=place)
        for inner, item in enumerate(tool.tools):
            yield f"{place}.tools[{inner}]", tool.name, item


def _offered(place: str, namespace: str | None, tool: ResponsesTool) -> OfferedTool:
    if tool.name is None:
        raise InvalidParameterError(f"{place}.name is missing: give the tool a name", param=f"{place}.name")
    description, parameters = tool.description, tool.parameters
    if tool.type == "custom":
        rule = (tool.format or {}).get("definition")
        description = "\n\n".join(filter(None, (description, rule and f"The input obeys this grammar:\n{rule}")))
        parameters = _TEXT_SCHEMA
    values = {
        "name": offered_name(tool.name, namespace),
        "description": description,
        "parameters": parameters,
        "strict": tool.strict,
    }
    function = {name: value for name, value in values.items() if value is not None}
    return OfferedTool(place, tool.type, tool.name, namespace, function)


def _search(place: str, tool: ResponsesTool) -> OfferedTool:
    """The fields are the chat's to check, which has the same tool."""
    function, given = search_function()["function"], tool.model_dump(exclude_unset=True)
    return OfferedTool(place, tool.type, SEARCH_NAME, None, function, given)


def _unknown(place: str, tool: ResponsesTool) -> InvalidParameterError:
    return InvalidParameterError(
        f"{place}.type is {tool.type!r}, but this model calls functions only: use type function, custom, a "
        "namespace of those, or file_search, which the server runs",
        param=f"{place}.type",
    )
