"""How a model is brought to call tools: a grammar for each of the ways in which families of models write calls.

On the token's path: before the engine's door, without an engine. A format (`models/tokenizer/tool_formats`) says how
calls are spelled; from it and the request's tools comes one grammar. A forced call (`required`, or a function by name)
is demanded from the first token on, so any model gives one, a random one too. Of its own accord (`auto`) a model writes
what it likes, but from the moment a call opens, its name and arguments are held to the tools' schemas. `tools/calls`
reads the calls back.

The grammars are in llguidance's dialect of Lark, where %json holds a place for a JSON schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.chat.openai_types import NamedToolChoice, Tool, ToolChoice
from pagoda.engine.sampling.structured import lark_string
from pagoda.errors import InvalidParameterError, StructuredOutputError, nearest
from pagoda.models.tokenizer.tool_formats import ToolFormat
from pagoda.sampling_params import StructuredOutputsParams
from pagoda.server.json_schemas import WHITESPACE, HeldSchema, Shape, closed, held

_JSON_LAYOUT = {"whitespace_pattern": WHITESPACE}
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
_BEGINNINGS = """
ANY: /(?s:.*)/
WS: /[ \\t\\r\\n]*/
"""


def tool_shape(
    form: ToolFormat,
    tools: Sequence[Tool],
    choice: ToolChoice | None,
    parallel: bool = True,
    *,
    special: Mapping[str, int] | None = None,
    answer_schema: Mapping[str, Any] | None = None,
) -> Shape:
    """The grammar that holds an answer to the tools; of nothing where none are offered.

    special: markers that are special tokens, with their ids; answer_schema: JSON that the answer must be, where
    it is no call.
    """
    if not tools or choice == "none":
        return Shape()
    chosen = chosen_tools(tools, choice)
    named = isinstance(choice, NamedToolChoice)
    # No two have one name; comparing whole schemas with one another takes the square of their number.
    places = {tool.function.name: place for place, tool in enumerate(tools)}
    arguments = [_held_arguments(tool, places[tool.function.name], is_needed=named) for tool in chosen]
    builder = _GrammarBuilder(form, chosen, [found.schema for found in arguments], special or {})
    if is_forced(choice):
        grammar = builder.forced(named or not parallel)
    elif answer_schema is not None:
        grammar = builder.calls_or_json(answer_schema, not parallel)
    else:
        grammar = builder.auto(not parallel)
    unenforced = tuple(place for found in arguments for place in found.unenforced)
    return Shape(StructuredOutputsParams(grammar=grammar), unenforced)


def check_tools(tools: Sequence[Tool] | None, choice: ToolChoice | None) -> None:
    """Raises InvalidParameterError where the tools, or the choice among them, make no sense."""
    names = [tool.function.name for tool in tools or ()]
    first = {name: index for index, name in reversed(list(enumerate(names)))}
    twice = next((index for index, name in enumerate(names) if first[name] < index), None)
    if twice is not None:
        field = f"tools[{twice}].function.name"
        raise InvalidParameterError(
            f"{field} is {names[twice]!r}, a name that a tool before it has: rename one of them", param=field
        )
    if not is_forced(choice):
        return
    if not names:
        raise InvalidParameterError("tool_choice asks for a call, but no tools are given", param="tool_choice")
    if isinstance(choice, NamedToolChoice) and choice.function.name not in names:
        given = choice.function.name
        raise InvalidParameterError(
            f"tool_choice names {given!r}, which is not among tools: {nearest(given, names)}",
            param="tool_choice.function.name",
        )


def is_forced(choice: ToolChoice | None) -> bool:
    """Whether a call must come."""
    return choice == "required" or isinstance(choice, NamedToolChoice)


def chosen_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> list[Tool]:
    """Those that may be called."""
    if isinstance(choice, NamedToolChoice):
        return [tool for tool in tools if tool.function.name == choice.function.name]
    return list(tools)


def arguments_schema(tool: Tool) -> dict[str, Any]:
    """What a call's arguments must be: always an object, and where the schema leaves it open, of its own fields only.

    What a schema does not name, a function does not take; and a weak model would go on inventing fields.
    """
    return closed({"type": "object", **(tool.function.parameters or _NO_ARGUMENTS)})


def _held_arguments(tool: Tool, index: int, *, is_needed: bool) -> HeldSchema:
    """The same as far as a grammar holds a call to it.

    index: the tool's place in the request; is_needed: no other one may be called
    """
    field = f"tools[{index}].function.parameters"
    schema, strict = arguments_schema(tool), tool.function.strict is True
    try:
        found = held(schema, field, strict=strict)
    except StructuredOutputError:
        if strict or is_needed:
            raise
        found = _loosened(schema, field)
    types = found.schema.get("type", "object")
    if "object" not in (types if isinstance(types, list) else [types]):
        raise StructuredOutputError(
            f"{field}.type is {types!r}, but the arguments of a function are an object: describe that",
            param=f"{field}.type",
        )
    return found._replace(schema={**found.schema, "type": "object"})


def _loosened(schema: Mapping[str, Any], field: str) -> HeldSchema:
    """Of a schema that contradicts itself, what does not: one such tool among many must not stop every chat."""
    try:
        found = held({key: value for key, value in schema.items() if key != "required"}, field)
        return found._replace(unenforced=(*found.unenforced, f"{field}.required"))
    except StructuredOutputError:
        return HeldSchema({"type": "object"}, (field,))


class _GrammarBuilder:
    """Writes a Lark grammar for one request's tools."""

    def __init__(
        self,
        form: ToolFormat,
        tools: Sequence[Tool],
        arguments: Sequence[Mapping[str, Any]],
        special: Mapping[str, int],
    ) -> None:
        self._form = form
        self._tools = tools
        self._arguments = arguments
        self._special = special

    def forced(self, single: bool) -> str:
        """Calls and nothing else."""
        return f"start: {self._section(single)}\n{self._call_rules()}"

    def calls_or_json(self, schema: Mapping[str, Any], single: bool) -> str:
        """Calls, or an answer that is JSON of a schema."""
        return f"start: {self._section(single)} | answer\nanswer: {_json(schema)}\n{self._call_rules()}"

    def auto(self, single: bool) -> str:
        """Free text, in which a call once opened is held to its schema."""
        if self._form.opening is None:
            return self._auto_by_head(single)
        opened = self._opened_section(single)
        start = f"(open {opened})* tail" if self._form.call_begin and not single else f"tail | open {opened}"
        opening = self._special.get(self._form.opening)
        if opening is not None:
            return f"start: {start}\nopen: ANY <[{opening}]>\ntail: ANY\n{_BEGINNINGS}{self._call_rules()}"
        quoted = _quoted(self._form.opening)
        rules = f"open[lazy]: ANY {quoted}\ntail: TAIL\nTAIL: ANY & ~(ANY {quoted} ANY)\n"
        return f"start: {start}\n{rules}{_BEGINNINGS}{self._call_rules()}"

    def _auto_by_head(self, single: bool) -> str:
        """Without an opening mark, what opens a call is its head with the name of one of the tools."""
        indices = range(len(self._tools))
        start = "tail | opened" if single else "(opened)* tail"
        heads = "\n".join(f"HEAD_{i}: {self._loose_head(tool)}" for i, tool in enumerate(self._tools))
        opens = "\n".join(f"open_{i}[lazy]: ANY HEAD_{i}" for i in indices)
        opened = " | ".join(f'open_{i} " "? arguments_{i} "}}"' for i in indices)
        tail = f"TAIL: ANY & ~(ANY ({' | '.join(f'HEAD_{i}' for i in indices)}) ANY)"
        rules = f"opened: {opened}\n{opens}\n{heads}\ntail: TAIL\n{tail}\n"
        return f"start: {start}\n{rules}{_BEGINNINGS}{self._argument_rules()}"

    def _loose_head(self, tool: Tool) -> str:
        """A call up to its arguments, with any layout, as the parser reads it."""
        parts = ["{", '"name"', ":", json.dumps(tool.function.name, ensure_ascii=False), ","]
        keys = '("\\"parameters\\"" | "\\"arguments\\"")'
        return " WS ".join([*map(_quoted, parts), keys, _quoted(":")])

    def _section(self, single: bool) -> str:
        more = "" if single else f"({_quoted(self._form.separator)} call)*"
        return f"{self._sequence(self._form.section_begin)} call {more} {self._sequence(self._form.section_end)}"

    def _opened_section(self, single: bool) -> str:
        """What follows the opening mark."""
        if self._form.call_begin:
            return f"{self._sequence(self._form.call_begin[1:])} body {self._sequence(self._form.call_end)}"
        more = "" if single else f"({_quoted(self._form.separator)} body)*"
        return f"{self._sequence(self._form.section_begin[1:])} body {more} {self._sequence(self._form.section_end)}"

    def _call_rules(self) -> str:
        call = f"call: {self._sequence(self._form.call_begin)} body {self._sequence(self._form.call_end)}"
        body = "body: " + " | ".join(f"body_{i}" for i in range(len(self._tools)))
        bodies = "\n".join(f'body_{i}: {self._head(tool)} arguments_{i} "}}"' for i, tool in enumerate(self._tools))
        return f"{call}\n{body}\n{bodies}\n{self._argument_rules()}"

    def _argument_rules(self) -> str:
        return "\n".join(f"arguments_{i}: {_json(schema)}" for i, schema in enumerate(self._arguments))

    def _head(self, tool: Tool) -> str:
        name = json.dumps(tool.function.name, ensure_ascii=False)
        parts = ["{", '"name"', ":", " ", name, ",", " ", f'"{self._form.arguments_key}"', ":", " "]
        # Where the answer may be JSON as well, both must fall into the same lexemes, or one shuts the other out.
        return " ".join(map(_quoted, parts))

    def _sequence(self, parts: Sequence[str]) -> str:
        return " ".join(f"<[{self._special[part]}]>" if part in self._special else _quoted(part) for part in parts)


def _quoted(text: str) -> str:
    return lark_string(text)


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': _JSON_LAYOUT}, ensure_ascii=False)}"
