"""Tool calls: required, named, automatic and none; whole and streamed; with arguments that obey their schema.

LangChain's agents, instructor and openai-python parse `arguments` as JSON and give up where it is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pagoda.conformance.check import CHAT, Context, check, equal, expect, refused
from pagoda.conformance.evidence import NotApplicableError
from pagoda.conformance.shapes import parsed

_WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["北京", "Paris"]},
        "days": {"type": "integer", "enum": [1, 2, 3]},
        "celsius": {"type": "boolean"},
    },
    "required": ["city", "days", "celsius"],
    "additionalProperties": False,
}
_CLOCK = {
    "type": "object",
    "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}},
    "required": ["zone"],
    "additionalProperties": False,
}
SCHEMAS = {"get_weather": _WEATHER, "get_time": _CLOCK}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"{name} of a place", "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
_ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is the weather in 北京 for 2 days, in celsius?"}],
    "tools": TOOLS,
    "parallel_tool_calls": False,  # a small model that may go on calling never ends
    "max_tokens": 300,
}
_NAMED = {"type": "function", "function": {"name": "get_time"}}


def _calls(message: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(name, arguments) of each call. Raises CheckFailedError for one that is not sound."""
    found = []
    for call in message.get("tool_calls") or []:
        expect(call.get("id") and call.get("type") == "function", "a call with an id, of type function", call)
        function = call["function"]
        expect(function["name"] in SCHEMAS, f"one of {', '.join(SCHEMAS)}", function["name"])
        expect(isinstance(function["arguments"], str), "arguments as text", function["arguments"])
        found.append((function["name"], parsed(function["arguments"], SCHEMAS[function["name"]])))
    return found


def _joined(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of a stream, put together as clients do: by their index. Raises CheckFailedError for an odd order."""
    calls: dict[int, dict[str, Any]] = {}
    for delta in (piece for choice in choices for piece in choice["delta"].get("tool_calls") or []):
        function = delta.get("function") or {}
        if delta["index"] not in calls:
            expect(delta.get("id") and function.get("name"), "id and name in a call's first piece", delta)
            head = {
                "id": delta["id"],
                "type": delta.get("type"),
                "function": {"name": function["name"], "arguments": ""},
            }
            calls[delta["index"]] = head
        else:
            expect(not function.get("name"), "the name in the first piece only", delta)
        calls[delta["index"]]["function"]["arguments"] += function.get("arguments") or ""
    equal(sorted(calls), list(range(len(calls))), "indices of the calls")
    return [calls[index] for index in sorted(calls)]


@check("LangChain's agents, instructor")
async def required(server: Context) -> None:
    """tool_choice `required` brings a call about, with arguments that obey the tool's schema."""
    choice = (await server.chat(**_ASK, tool_choice="required"))["choices"][0]
    expect(_calls(choice["message"]), "at least one tool call", choice)
    equal(choice["finish_reason"], "tool_calls", "finish_reason")


@check("instructor, LangChain's with_structured_output")
async def named(server: Context) -> None:
    """A tool_choice by name calls that tool and no other."""
    choice = (await server.chat(**_ASK, tool_choice=_NAMED))["choices"][0]
    equal([name for name, _ in _calls(choice["message"])], ["get_time"], "the tools that were called")
    expect(choice["finish_reason"] in ("stop", "tool_calls"), "finish_reason stop or tool_calls", choice)


@check("LangChain's agents")
async def none(server: Context) -> None:
    """tool_choice `none` never calls a tool."""
    choice = (await server.chat(**_ASK | {"max_tokens": 24}, tool_choice="none"))["choices"][0]
    expect(not choice["message"].get("tool_calls"), "no tool calls", choice["message"])
    expect(choice["finish_reason"] in ("stop", "length"), "finish_reason stop or length", choice["finish_reason"])


@check("LangChain's agents")
async def auto(server: Context) -> None:
    """With tool_choice `auto`, or none given, the answer is text or sound calls, and finish_reason says which."""
    for extra in ({}, {"tool_choice": "auto"}):
        choice = (await server.chat(**_ASK, **extra))["choices"][0]
        if choice["finish_reason"] == "length":
            continue
        called = bool(_calls(choice["message"]))
        equal(choice["finish_reason"] == "tool_calls", called, "finish_reason tool_calls exactly with calls")
        expect(called or isinstance(choice["message"]["content"], str), "text or calls", choice["message"])


@check("openai-python: content is null beside calls")
async def no_text_beside_a_forced_call(server: Context) -> None:
    """A forced call has no text beside it, and none of the call's markup."""
    message = (await server.chat(**_ASK, tool_choice="required"))["choices"][0]["message"]
    expect(message.get("tool_calls"), "a tool call", message)
    expect(not (message.get("content") or "").strip(), "content null", message["content"])


@check("openai-python's stream helpers, LangChain")
async def streamed(server: Context) -> None:
    """A streamed call: id and name come first, and its pieces, joined, are the whole answer's call."""
    whole = (await server.chat(**_ASK, tool_choice="required"))["choices"][0]
    stream = await server.stream(CHAT, **_ASK, tool_choice="required")
    calls = _joined(stream.choices())
    expect(calls, "at least one tool call", stream.text[:400], stream)
    equal(_calls({"tool_calls": calls}), _calls(whole["message"]), "the calls")
    equal(
        [call["function"] for call in calls], [c["function"] for c in whole["message"]["tool_calls"]], "to the letter"
    )
    equal(stream.finish_reasons(), [whole["finish_reason"]], "finish reasons")


@check("openai-python's stream helpers")
async def streamed_by_name(server: Context) -> None:
    """A call by name is streamed as a call, and not as text."""
    stream = await server.stream(CHAT, **_ASK, tool_choice=_NAMED)
    names = [name for name, _ in _calls({"tool_calls": _joined(stream.choices())})]
    equal(names, ["get_time"], "the tools that were called")
    expect(not stream.content_text().strip(), "no text", stream.content_text(), stream)


@check("LangChain")
async def one_call_where_parallel_is_off(server: Context) -> None:
    """parallel_tool_calls: false allows one call."""
    choice = (await server.chat(**_ASK, tool_choice="required"))["choices"][0]
    equal(len(_calls(choice["message"])), 1, "calls")


@check("LangChain's agents, whose default it is")
async def several_calls_are_sound(server: Context) -> None:
    """Where several calls may come, each is sound and has an id of its own."""
    ask = {**_ASK, "parallel_tool_calls": None}
    choice = (await server.chat(**ask, tool_choice="required"))["choices"][0]
    calls = choice["message"].get("tool_calls") or []
    expect(calls, "at least one tool call", choice)
    equal(len({call["id"] for call in calls}), len(calls), "different ids")
    # The last one may have been cut.
    _calls({"tool_calls": calls[:-1] if choice["finish_reason"] == "length" else calls})


@check("LangChain's agents: the second turn")
async def result_is_taken(server: Context) -> None:
    """A conversation goes on after a tool's result, and the result is part of the prompt."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": '{"zone":"UTC"}'}}
    turns = [*_ASK["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}]
    result = {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": json.dumps({"time": "12:00", "sky": "the moon " * 8}),
    }
    answer = await server.chat(messages=[*turns, result], tools=TOOLS)
    before = await server.chat(messages=_ASK["messages"], tools=TOOLS, tool_choice="auto")
    longer = answer["usage"]["prompt_tokens"] > before["usage"]["prompt_tokens"] + 12
    expect(longer, "a prompt with the call and its result", (before["usage"], answer["usage"]))


@check("openai-python")
async def unknown_tool_is_refused(server: Context) -> None:
    """A tool_choice that names no tool of the request is refused with its name."""
    choice = {"type": "function", "function": {"name": "no_such_tool"}}
    error = refused(await server.send(CHAT, **_ASK, tool_choice=choice))
    expect(str(error["param"]).startswith("tool_choice"), "param tool_choice", error)


@check("openai-python")
async def choice_without_tools_is_refused(server: Context) -> None:
    """tool_choice `required` without tools is refused."""
    error = refused(await server.send(CHAT, tool_choice="required"))
    expect(str(error["param"]).startswith("tool"), "param tool_choice or tools", error)


@check("agents that build tools at run time")
async def bad_schema_is_refused(server: Context) -> None:
    """With strict, a tool whose parameters are no JSON schema is refused, and never a 5xx."""
    tool = {"type": "function", "function": {"name": "odd", "strict": True, "parameters": {"type": "no_such_type"}}}
    error = refused(await server.send(CHAT, tools=[tool], tool_choice="required"))
    expect(str(error["param"]).startswith("tools"), "a param that begins with tools", error)


@check("agents")
async def tools_are_part_of_the_prompt(server: Context) -> None:
    """The model is told of the tools: they are part of the prompt."""
    without = await server.chat(messages=_ASK["messages"], max_tokens=1)
    told = await server.chat(messages=_ASK["messages"], tools=TOOLS, max_tokens=1)
    more = told["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"]
    if more <= 0:
        raise NotApplicableError("this model's template has no place for tools")
    expect(more > 10, "a prompt with the tools in it", f"{more} tokens more")


def _tool(parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "tool", "parameters": parameters, **more}}


async def _arguments(server: Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a call of a tool of these parameters, which must come."""
    fields = {**_ASK, "tools": [_tool(parameters)], "tool_choice": "required", "max_tokens": 80}
    choice = (await server.chat(**fields))["choices"][0]
    if choice["finish_reason"] == "length":
        raise NotApplicableError("the model did not end its call within 80 tokens")
    arguments = json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])
    expect(isinstance(arguments, dict), "arguments that are an object", arguments)
    return dict(arguments)


@check("pydantic-ai")
async def python_types_are_taken(server: Context) -> None:
    """Parameters as pydantic writes a set, a Decimal and a SecretStr do not stand in the way of an answer."""
    decimal = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
    properties = {
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "default": []},
        "amount": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": decimal}]},
        "password": {"type": "string", "format": "password", "writeOnly": True},
    }
    await server.chat(tools=[_tool({"type": "object", "properties": properties, "required": ["amount"]})])


@check("MCP servers made of OpenAPI")
async def openapi_types_are_taken(server: Context) -> None:
    """Neither do OpenAPI's formats and nullable, and fields that it adds."""
    properties = {
        "id": {"type": "integer", "format": "int64", "nullable": True, "example": 7},
        "data": {"type": "string", "format": "binary", "x-order": 1},
        "kind": {"oneOf": [{"type": "string"}, {"type": "string", "format": "uri-reference"}]},
    }
    await server.chat(
        tools=[_tool({"type": "object", "properties": properties, "discriminator": {"propertyName": "k"}})]
    )


@check("agents whose schemas name the types of their own language")
async def unknown_type_binds_nothing(server: Context) -> None:
    """A type that JSON schema lacks (any, str) binds nothing where strict is not set; the other fields hold."""
    properties = {"what": {"type": "any", "enum": ["fox"]}, "days": {"type": "integer", "enum": [1, 2]}}
    parameters = {"type": "object", "properties": properties, "required": ["what", "days"]}
    arguments = await _arguments(server, parameters)
    expect(arguments.get("days") in (1, 2), "days of 1 or 2", arguments)


@check("agents with schemas written by hand")
async def required_name_may_be_undeclared(server: Context) -> None:
    """A required field that properties do not declare does not stand in the way, and is in a call that comes whole."""
    parameters = {"type": "object", "properties": {"days": {"enum": [1, 2]}}, "required": ["days", "note"]}
    fields = {**_ASK, "tools": [_tool(parameters)], "tool_choice": "required", "max_tokens": 50}
    choice = (await server.chat(**fields))["choices"][0]
    if choice["finish_reason"] != "length":
        arguments = json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])
        expect({"days", "note"} <= arguments.keys(), "the fields days and note", arguments)


@check("LangChain's agents, MCP servers")
async def tool_without_parameters(server: Context) -> None:
    """A tool without parameters, or with none in its schema, is called with an object."""
    for parameters in ({"type": "object", "properties": {}}, {}):
        await _arguments(server, parameters)


@check("openai-python's strict tools")
async def strict_names_the_tool(server: Context) -> None:
    """With strict, a keyword of a tool's schema is obeyed, or refused by its name and that of the field."""
    parameters = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    reply = await server.send(
        CHAT, tools=[_tool({"type": "object"}, description="sound"), _tool(parameters, strict=True, name="b")]
    )
    if reply.status == 200:
        return
    error = refused(reply)
    expect("uniqueItems" in error["message"], "a message that names uniqueItems", error)
    expect(str(error["param"]).startswith("tools"), "a param that begins with tools", error)


@check("every agent")
async def arguments_that_nothing_satisfies(server: Context) -> None:
    """A tool whose parameters no arguments satisfy is refused where it must be called, and never a 5xx."""
    parameters = {"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]}
    tool = _tool(parameters)
    chosen = {"type": "function", "function": {"name": tool["function"]["name"]}}
    error = refused(await server.send(CHAT, tools=[tool], tool_choice=chosen))
    expect(str(error["param"]).startswith("tools"), "a param that begins with tools", error)
