"""Messages of a chat as plain values, through whichever door they came: a Python call, a ChatModel or HTTP.

On the token's path: the first step of a chat, before `chat_prompt` fits them to a template. Clients spell one thing in
several ways: content as text or as parts, a call's arguments as an object or as JSON text, calls of OpenAI's old
`function_call`. Here each thing gets the one spelling that templates read, and what cannot be read is refused where it
stands. Source: OpenAI's API reference (2023 and 2025), transformers' documentation of chat templates.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.errors import InvalidParameterError, InvalidRequestError

_TEXT_PARTS = ("text", "input_text", "output_text")
_REFUSED = {
    "audio": "this model reads text only",
    "partial": "set continue_final_message for the request",
    "prefix": "set continue_final_message for the request",
}
_STRINGS = ("role", "name", "tool_call_id", "refusal")


def read_messages(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """One plain message for each: `content` is text, `arguments` an object, calls and their answers are of tools.

    messages: mappings, or objects with `model_dump`. Raises InvalidRequestError, `.param` names the place.
    """
    calls = _Calls()
    return [calls.read(_fields(message, f"messages[{i}]"), f"messages[{i}]") for i, message in enumerate(messages)]


def read_tools(tools: Sequence[Any] | None) -> list[dict[str, Any]] | None:
    """Tools with their fields in OpenAI's order, so that every door gives the same text; None where there are none.

    Raises InvalidRequestError, `.param` names the place.
    """
    if tools and not isinstance(tools, Sequence):
        raise InvalidRequestError(f"tools is {tools!r:.80}, but a list of tools is expected", param="tools")
    read = []
    for index, given in enumerate(tools or ()):
        tool = _fields(given, f"tools[{index}]")
        if isinstance(tool.get("function"), Mapping):
            function = _fields(tool["function"], f"tools[{index}].function")
            tool["function"] = _in_order(function, ("name", "description", "parameters", "strict"))
        _check_json(tool, f"tools[{index}]")
        read.append(_in_order(tool, ("type", "function")))
    return read or None


def _check_json(value: Any, place: str) -> None:
    """Templates write tools as JSON. Raises InvalidRequestError for what JSON cannot say, bytes among it."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{place} is no JSON ({error}): give what JSON can say", param=place) from None


class _Calls:
    """Reads messages in order and remembers the calls, to which later messages refer."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}
        """Id of a call -> its function's name."""
        self._old_ids: dict[str, str] = {}
        """Function's name -> id of its last call in the old form, which has none of its own."""

    def read(self, message: dict[str, Any], place: str) -> dict[str, Any]:
        """One message in its one spelling."""
        _check_kinds(message, place)
        message["content"] = _content(message, place)
        calls = [_call(given, f"{place}.tool_calls[{i}]") for i, given in enumerate(message.pop("tool_calls", ()))]
        if "function_call" in message:
            calls.append(self._old_call(message.pop("function_call"), place))
        if calls:
            message["tool_calls"] = calls
            self._names |= {call["id"]: call["function"]["name"] for call in calls if "id" in call}
        if message["role"] == "function":
            message["role"] = "tool"
            message.setdefault("tool_call_id", self._old_ids.get(message.get("name", "")))
        if message["role"] == "tool":
            self._refer(message, place)
        return {key: value for key, value in message.items() if value is not None}

    def _old_call(self, given: Any, place: str) -> dict[str, Any]:
        """`function_call` as a call of a tool; its id is one that every family's template takes."""
        call = _call({"function": given}, f"{place}.function_call")
        call["id"] = f"call{len(self._names):05d}"
        self._old_ids[call["function"]["name"]] = call["id"]
        return call

    def _refer(self, message: dict[str, Any], place: str) -> None:
        """Give a tool's answer the name of its function, which some templates write. Raises for an unknown call."""
        call_id = message.get("tool_call_id")
        if call_id is None or not self._names:
            return
        if call_id not in self._names:
            known = ", ".join(map(reprlib.repr, list(self._names)[-3:]))
            raise InvalidParameterError(
                f"{place}.tool_call_id is {reprlib.repr(call_id)}, but no call before it has this id (there are "
                f"{known}): send the id of the call that this message answers",
                param=f"{place}.tool_call_id",
            )
        message.setdefault("name", self._names[call_id])


def _fields(given: Any, place: str) -> dict[str, Any]:
    """The fields that are there, without null ones. Raises InvalidRequestError for what is no object."""
    if callable(getattr(given, "model_dump", None)):
        given = given.model_dump(exclude_unset=True, by_alias=True)
    if not isinstance(given, Mapping):
        raise InvalidRequestError(
            f"{place} is of type {type(given).__name__}: expected an object with role and content"
            if place.startswith("messages")
            else f"{place} is of type {type(given).__name__}: expected an object",
            param=place,
        )
    return {str(name): value for name, value in given.items() if value is not None}


def _check_kinds(message: Mapping[str, Any], place: str) -> None:
    """Raises InvalidParameterError for a field of another type than it has, and for one that no text model can read."""
    if not message.get("role"):
        raise InvalidParameterError(f"{place}.role is missing: give user, assistant or system", param=f"{place}.role")
    for name in _STRINGS:
        if not isinstance(message.get(name, ""), str):
            raise _unexpected(message[name], f"{place}.{name}", "a string")
    if not isinstance(message.get("tool_calls", []), list | tuple):
        raise _unexpected(message["tool_calls"], f"{place}.tool_calls", "a list of calls")
    for name, reason in _REFUSED.items():
        if message.get(name):
            raise InvalidParameterError(f"{place}.{name} is not supported: {reason}", param=f"{place}.{name}")


def _content(message: dict[str, Any], place: str) -> str:
    """Parts joined by line ends. A refusal beside the content is what the assistant said instead."""
    content, refusal = message.get("content"), message.pop("refusal", "")
    place += ".content"
    if content is None or isinstance(content, str):
        return "\n".join(text for text in (content, refusal) if text)
    if not isinstance(content, list | tuple):
        raise _unexpected(content, place, "text or a list of parts")
    texts = [_part(part, f"{place}[{index}]") for index, part in enumerate(content)]
    return "\n".join([*texts, refusal] if refusal else texts)


def _part(given: Any, place: str) -> str:
    if isinstance(given, str):
        return given
    part = _fields(given, place)
    kind = part.get("type")
    if kind not in (*_TEXT_PARTS, "refusal"):
        raise InvalidParameterError(f"{place} is of type {kind!r}, but this model reads text only", param=place)
    text = part.get("refusal" if kind == "refusal" else "text")
    if not isinstance(text, str):
        raise InvalidParameterError(f"{place} is of type {kind!r} but has no text: give text", param=place)
    return text


def _call(given: Any, place: str) -> dict[str, Any]:
    """A call as `{"id", "type", "function": {"name", "arguments"}}`; transformers also knows it without `function`."""
    call = _fields(given, place)
    if call.get("type", "function") != "function":
        raise InvalidParameterError(
            f"{place}.type is {call['type']!r}, but only calls of functions can be read here", param=f"{place}.type"
        )
    function = call.pop("function", None)
    if function is None:
        function = {name: call.pop(name) for name in ("name", "arguments") if name in call}
    function = _fields(function, f"{place}.function")
    if not isinstance(function.get("name"), str):
        raise _unexpected(function.get("name"), f"{place}.function.name", "the name of a function")
    function["arguments"] = _arguments(function.get("arguments", ""))
    call = {**call, "type": "function", "function": _in_order(function, ("name", "arguments"))}
    return _in_order(call, ("id", "type", "function"))


def _arguments(given: Any) -> Any:
    """The object that JSON text stands for. A call that was cut short, or is no Unicode, is shown as it is."""
    if not isinstance(given, str):
        return given
    try:
        read = json.loads(given or "{}")
        json.dumps(read, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return given
    return read


def _in_order(given: Mapping[str, Any], first: Sequence[str]) -> dict[str, Any]:
    return {name: given[name] for name in first if name in given} | dict(given)


def _unexpected(given: object, place: str, expected: str) -> InvalidParameterError:
    return InvalidParameterError(f"{place} is {reprlib.repr(given)}, expected {expected}", param=place)
