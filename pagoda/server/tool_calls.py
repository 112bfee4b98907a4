"""Tool calls: how a model is told of tools, held to their schemas, and understood.

Beside the chat endpoint, without an engine: pure functions and one incremental parser. A call that the client forces
(`required`, or a named function) is an array of `{"name", "arguments"}` that the grammar demands, so that any model
gives one. Of its own accord (`auto`) a model opens a call in the way of its family, and from then on the grammar
holds the arguments to their schema:

    hermes       <tool_call> {"name": "f", "arguments": {...}} </tool_call>     Hermes, Qwen, and whoever has no form
    llama3_json  {"name": "f", "parameters": {...}}                            Llama 3.1 and later
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pagoda.chat.openai_types import ChatMessage, NamedToolChoice, Tool, ToolChoice
from pagoda.errors import ConfigError, InvalidParameterError, nearest
from pagoda.sampling_params import StructuredOutputsParams

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"(?:arguments|parameters)"\s*:\s*')


@dataclass(frozen=True)
class ToolFormat:
    """How one family of models writes a call of its own accord. `opening` begins it, `closing` ends it."""

    name: str
    opening: str
    arguments_key: str
    closing: str

    def head(self, function: str) -> str:
        """The text of a call up to its arguments."""
        lead = f"{self.opening}\n" if self.closing else ""
        return f'{lead}{{"name": {json.dumps(function)}, "{self.arguments_key}": '

    @property
    def tail(self) -> str:
        """The text after the arguments."""
        return f"}}\n{self.closing}" if self.closing else "}"


HERMES = ToolFormat("hermes", "<tool_call>", "arguments", "</tool_call>")
LLAMA3_JSON = ToolFormat("llama3_json", '{"name": "', "parameters", "")
FORMATS = {tool_format.name: tool_format for tool_format in (HERMES, LLAMA3_JSON)}


def tool_format(name: str, template: str) -> ToolFormat:
    """The format of that name; "auto" finds it in the chat template's source. Raises ConfigError."""
    if name != "auto":
        if name not in FORMATS:
            raise ConfigError(f"tool call parser {name!r} is not known: {nearest(name, ['auto', *FORMATS])}")
        return FORMATS[name]
    return LLAMA3_JSON if "<|python_tag|>" in template or '"parameters"' in template else HERMES


def check_tools(tools: Sequence[Tool] | None, choice: ToolChoice | None) -> None:
    """Raises InvalidParameterError where the choice and the tools do not fit together."""
    names = [tool.function.name for tool in tools or ()]
    if len(set(names)) < len(names):
        raise InvalidParameterError("two tools have the same name: rename one of them", param="tools")
    if choice in (None, "none", "auto"):
        return
    if not names:
        raise InvalidParameterError("tool_choice asks for a call, but tools is empty: give tools", param="tool_choice")
    if isinstance(choice, NamedToolChoice) and choice.function.name not in names:
        raise InvalidParameterError(
            f"tool_choice names {choice.function.name!r}, which is not among tools: {nearest(choice.function.name, names)}",
            param="tool_choice.function.name",
        )


def constraint(
    tools: Sequence[Tool], choice: ToolChoice | None, parallel: bool, form: ToolFormat
) -> StructuredOutputsParams | None:
    """What the grammar must hold the answer to."""
    if isinstance(choice, NamedToolChoice):
        (chosen,) = (tool for tool in tools if tool.function.name == choice.function.name)
        return StructuredOutputsParams(json=_schema(chosen), disable_any_whitespace=True)
    if choice == "required":
        calls = [_call_schema(tool) for tool in tools]
        schema = {"type": "array", "minItems": 1, "items": calls[0] if len(calls) == 1 else {"anyOf": calls}}
        if not parallel:
            schema["maxItems"] = 1
        return StructuredOutputsParams(json=schema, disable_any_whitespace=True)
    structures = [{"begin": form.head(tool.function.name), "schema": _schema(tool), "end": form.tail} for tool in tools]
    return StructuredOutputsParams(structural_tag={"structures": structures, "triggers": [form.opening]})


def _schema(tool: Tool) -> dict[str, Any]:
    return tool.function.parameters or {"type": "object", "properties": {}, "additionalProperties": False}


def _call_schema(tool: Tool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": tool.function.name}, "arguments": _schema(tool)},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


# Messages


def plain_messages(
    messages: Sequence[ChatMessage], tools: Sequence[Tool] | None, template: str
) -> list[dict[str, Any]]:
    """Messages as a chat template reads them; what it does not know is told in words instead."""
    plain = [_plain_message(message) for message in messages]
    if "tool_calls" not in template:
        plain = [_in_words(message) for message in plain]
    if tools and "tools" not in template:
        plain = _with_system_text(plain, _describe(tools))
    return plain


def _plain_message(message: ChatMessage) -> dict[str, Any]:
    """Text parts joined; arguments as objects, which is what templates write out."""
    given = message.model_dump(exclude_none=True)
    if isinstance(message.content, list):
        given["content"] = "".join(_text_of(part, index) for index, part in enumerate(message.content))
    given.setdefault("content", "")
    if given["role"] == "developer":
        given["role"] = "system"
    for call in given.get("tool_calls", ()):
        call["function"]["arguments"] = _object_or_text(call["function"]["arguments"])
    return given


def _text_of(part: Any, index: int) -> str:
    if part.type not in ("text", "input_text", "output_text") or part.text is None:
        raise InvalidParameterError(
            f"content part {index} is of type {part.type!r}, but this model reads text only", param="messages"
        )
    return str(part.text)


def _object_or_text(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _in_words(message: dict[str, Any]) -> dict[str, Any]:
    """For a template that knows neither calls nor a tool's answer."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>"}
    calls = message.pop("tool_calls", None)
    if calls:
        told = [json.dumps(call["function"], ensure_ascii=False) for call in calls]
        text = "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in told)
        message["content"] = f"{message['content']}\n{text}".strip()
    return message


def _with_system_text(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _describe(tools: Sequence[Tool]) -> str:
    listed = "\n".join(json.dumps(tool.model_dump(exclude_none=True), ensure_ascii=False) for tool in tools)
    return (
        f"You may call these functions, given as JSON inside <tools></tools>:\n<tools>\n{listed}\n</tools>\n"
        'To call one, write <tool_call>\n{"name": its name, "arguments": a JSON object}\n</tool_call>'
    )


# Understanding the answer


class ContentDelta(NamedTuple):
    """Text for the person."""

    text: str


class CallStart(NamedTuple):
    """A call begins."""

    index: int
    name: str


class ArgumentsDelta(NamedTuple):
    """More of a call's arguments."""

    index: int
    text: str


ToolDelta = ContentDelta | CallStart | ArgumentsDelta


class ToolCallParser:
    """Reads one answer piece by piece; what comes out joined does not depend on where the pieces were cut.

    opening, closing: what stands around a call; text outside is content. Both empty: the whole answer is an array of
    calls. A call whose head is broken stays content, so that nothing is lost.
    """

    def __init__(self, opening: str, closing: str) -> None:
        self._opening, self._closing = opening, closing
        self._num_calls = 0
        self._rest = ""
        self._arguments: _JsonValue | None = None
        self._after_call = False

    @classmethod
    def for_choice(cls, choice: ToolChoice | None, form: ToolFormat) -> ToolCallParser | NamedCallParser:
        """The parser for what `constraint` makes the model write."""
        if isinstance(choice, NamedToolChoice):
            return NamedCallParser(choice.function.name)
        return cls("", "") if choice == "required" else cls(form.opening, form.closing)

    @property
    def num_calls(self) -> int:
        """Calls that have begun."""
        return self._num_calls

    def push(self, text: str, *, finished: bool = False) -> list[ToolDelta]:
        """Take more of the answer; with `finished`, all of it has been given."""
        self._rest += text
        deltas: list[ToolDelta] = []
        while (found := self._next(finished)) is not None:
            deltas += found
        return deltas

    def _next(self, finished: bool) -> list[ToolDelta] | None:
        """One move forward; None where more text is needed."""
        if self._arguments is not None:
            return self._read_arguments(self._arguments)
        if self._after_call:
            return self._leave_call(finished)
        return self._read_content(finished)

    def _read_content(self, finished: bool) -> list[ToolDelta] | None:
        """Content up to the next call, or into the call."""
        start = self._rest.find(self._opening or "{")
        if start < 0:
            return self._give_content(len(self._rest) if finished else self._num_safe())
        if start > 0:
            return self._give_content(start)
        body = self._rest if self._opening[:1] in ("", "{") else self._rest[len(self._opening) :]
        head = _HEAD.match(body)
        if head is not None:
            return self._enter_call(json.loads(f'"{head[1]}"'), body[head.end() :])
        if not finished:
            return None
        return self._give_content(len(self._rest))

    def _enter_call(self, name: str, rest: str) -> list[ToolDelta]:
        self._arguments, self._rest = _JsonValue(), rest
        self._num_calls += 1
        return [CallStart(self._num_calls - 1, name)]

    def _read_arguments(self, value: _JsonValue) -> list[ToolDelta] | None:
        taken = value.take(self._rest)
        if not taken and not value.complete:
            return None
        text, self._rest = self._rest[:taken], self._rest[taken:]
        if value.complete:
            self._arguments, self._after_call = None, True
        return [ArgumentsDelta(self._num_calls - 1, text)] if text else []

    def _leave_call(self, finished: bool) -> list[ToolDelta] | None:
        """Pass over the brace that closes the call's object and the mark behind it."""
        mark = self._closing or "}"
        end = self._rest.find(mark)
        if end < 0 and not finished:
            return None
        self._rest = "" if end < 0 else self._rest[end + len(mark) :].lstrip("\n")
        self._after_call = False
        return []

    def _give_content(self, count: int) -> list[ToolDelta] | None:
        text, self._rest = self._rest[:count], self._rest[count:]
        if not text:
            return None
        # Outside the calls of a forced array stand only brackets and commas; between calls, line ends.
        if not self._opening or (self._num_calls and not text.strip()):
            return []
        return [ContentDelta(text)]

    def _num_safe(self) -> int:
        """Characters that cannot be the beginning of an opening."""
        for length in range(min(len(self._opening) - 1, len(self._rest)), 0, -1):
            if self._opening.startswith(self._rest[-length:]):
                return len(self._rest) - length
        return len(self._rest)


class NamedCallParser:
    """For a named function: the whole answer is its arguments."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.num_calls = 0

    def push(self, text: str, *, finished: bool = False) -> list[ToolDelta]:
        """Take more of the answer."""
        deltas: list[ToolDelta] = []
        if not self.num_calls:
            self.num_calls = 1
            deltas.append(CallStart(0, self._name))
        return [*deltas, ArgumentsDelta(0, text)] if text else deltas


class _JsonValue:
    """Finds the end of a JSON object or array in growing text."""

    def __init__(self) -> None:
        self.complete = False
        self._depth = 0
        self._in_string = self._escaped = False

    def take(self, text: str) -> int:
        """Characters of `text` that belong to the value."""
        for position, character in enumerate(text):
            self._step(character)
            if self.complete:
                return position + 1
        return len(text)

    def _step(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            self._escaped = character == "\\"
            self._in_string = character != '"'
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.complete = self._depth == 0


def joined(deltas: Iterator[ToolDelta] | Sequence[ToolDelta]) -> tuple[str, list[Mapping[str, str]]]:
    """Content and calls of a whole answer."""
    content, calls = "", []
    for delta in deltas:
        if isinstance(delta, ContentDelta):
            content += delta.text
        elif isinstance(delta, CallStart):
            calls.append({"name": delta.name, "arguments": ""})
        else:
            calls[delta.index]["arguments"] += delta.text
    return content, calls
