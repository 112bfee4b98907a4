"""/v1/responses: OpenAI's newer interface, whole and as a stream of typed events.

openai-python's stream helper puts the response together from the events and fails where one is out of order.
"""

from __future__ import annotations

from typing import Any

from pagoda.conformance.check import RESPONSES, Context, check, equal, expect, refused
from pagoda.conformance.checks.tools import SCHEMAS
from pagoda.conformance.client import JSON_BODY, Stream
from pagoda.conformance.shapes import parsed

_ORDER = [
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]


def _text(response: dict[str, Any]) -> str:
    """What openai-python calls output_text."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def _of(stream: Stream, kind: str) -> list[dict[str, Any]]:
    return [event for event in stream.chunks if event["type"] == kind]


@check("openai-python, OpenAI's agents library")
async def shape(server: Context) -> None:
    """A response has its id, object, status, output, usage and text as OpenAI's has."""
    answer = await server.answer(RESPONSES)
    equal(answer["object"], "response", "object")
    expect(str(answer["id"]).startswith("resp_"), "an id that begins with resp_", answer["id"])
    expect(answer["status"] in ("completed", "incomplete"), "status completed or incomplete", answer["status"])
    expect({"output", "usage", "error", "model", "created_at"} <= set(answer), "all fields", sorted(answer))
    expect(_text(answer), "an output_text", answer["output"])


@check("openai-python")
async def input_may_be_messages(server: Context) -> None:
    """The input may be a list of messages, with text or parts; instructions lengthen the prompt."""
    plain = await server.answer(RESPONSES, input="Hello")
    parts = [{"type": "input_text", "text": "Hello"}]
    for content in ("Hello", parts):
        listed = await server.answer(RESPONSES, input=[{"role": "user", "content": content}])
        equal(listed["usage"]["input_tokens"], plain["usage"]["input_tokens"], "input_tokens")
    told = await server.answer(RESPONSES, input="Hello", instructions="You are a fox who likes the moon.")
    longer = told["usage"]["input_tokens"] > plain["usage"]["input_tokens"] + 4
    expect(longer, "more input_tokens with instructions", told["usage"])


@check("openai-python")
async def cut_response_is_incomplete(server: Context) -> None:
    """A response that max_output_tokens cut is `incomplete` and says why."""
    answer = await server.answer(RESPONSES, max_output_tokens=2)
    if answer["status"] == "completed" and answer["usage"]["output_tokens"] < 2:
        return
    equal(answer["status"], "incomplete", "status")
    equal((answer.get("incomplete_details") or {}).get("reason"), "max_output_tokens", "incomplete_details.reason")


@check("openai-python's stream helper")
async def events_are_in_order(server: Context) -> None:
    """A stream's events come in OpenAI's order, each with its name and number."""
    stream = await server.stream(RESPONSES)
    kinds = [event["type"] for event in stream.chunks]
    firsts = [kinds.index(kind) if kind in kinds else -1 for kind in _ORDER]
    expect(firsts == sorted(firsts) and -1 not in firsts, f"the events {_ORDER}", kinds, stream)
    expect(kinds[-1] in ("response.completed", "response.incomplete"), "response.completed at the end", kinds[-1])
    names = [name for name, data in stream.events if data != "[DONE]"]
    equal(names, kinds, "the `event:` lines")
    numbers = [event["sequence_number"] for event in stream.chunks]
    equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "sequence numbers")


@check("openai-python's stream helper")
async def deltas_make_the_text(server: Context) -> None:
    """The deltas, joined, are the text of the done event, of the last event, and of the whole response."""
    whole = _text(await server.answer(RESPONSES))
    stream = await server.stream(RESPONSES)
    joined = "".join(event["delta"] for event in _of(stream, "response.output_text.delta"))
    (done,) = _of(stream, "response.output_text.done")
    said = [joined, done["text"], _text(stream.chunks[-1]["response"])]
    equal(said, [whole] * 3, "the text, three times")


@check("openai-python, OpenAI's agents library")
async def function_call(server: Context) -> None:
    """A required tool is a function_call item with arguments that obey the schema."""
    tool = {"type": "function", "name": "get_weather", "parameters": SCHEMAS["get_weather"], "strict": True}
    forced = {"tools": [tool], "tool_choice": "required", "parallel_tool_calls": False}
    answer = await server.answer(RESPONSES, **forced, max_output_tokens=300)
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    expect(calls and all(call.get("call_id") for call in calls), "a function_call with a call_id", answer["output"])
    for call in calls:
        equal(call["name"], "get_weather", "name")
        parsed(call["arguments"], SCHEMAS["get_weather"])


@check("openai-python")
async def mistakes_are_refused(server: Context) -> None:
    """Malformed JSON, a missing input and bad values are 400; an unknown model is 404."""
    refused(await server.client.request("POST", RESPONSES, b'{"input": ', JSON_BODY))
    refused(await server.send(RESPONSES, input=None), param="input")
    refused(await server.send(RESPONSES, temperature=-1), param="temperature")
    refused(await server.send(RESPONSES, max_output_tokens=-1), param="max_output_tokens")
    refused(await server.send(RESPONSES, model="no-such-model"), 404, param="model")


@check("openai-python")
async def json_schema(server: Context) -> None:
    """text.format json_schema gives JSON after the schema."""
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    form = {"format": {"type": "json_schema", "name": "number", "schema": schema, "strict": True}}
    answer = await server.answer(RESPONSES, text=form, max_output_tokens=100)
    parsed(_text(answer), schema)


_SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
_CODEX: dict[str, Any] = {
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]},
    ],
    "tools": [_SHELL],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "medium", "summary": "auto"},
    "prompt_cache_key": "5a3c",
    "text": {"verbosity": "low"},
    "temperature": None,
}
_CALLED: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
    {"type": "function_call", "name": "shell", "arguments": '{"command": "ls"}', "call_id": "call_1"},
]


@check("Codex: the fields that it always sends")
async def codex_is_answered(server: Context) -> None:
    """A request as Codex sends it is answered to the end of its stream."""
    stream = await server.stream(RESPONSES, **_CODEX)
    kinds = [event.get("type") for event in stream.chunks]
    last = kinds[-1] if kinds else None
    expect(last in ("response.completed", "response.incomplete"), "response.completed as the last event", last, stream)


@check("Codex: its tool for the web")
async def hosted_tool_is_passed_over_or_refused_by_name(server: Context) -> None:
    """A tool that the server would have to run is passed over beside functions, or refused with its place."""
    reply = await server.send(RESPONSES, **{**_CODEX, "tools": [_SHELL, {"type": "web_search"}]})
    if reply.status != 200:
        error = refused(reply)
        told = f"{error['param']} {error['message']}"
        expect("tools[1]" in told or "web_search" in told, "the place or type of the tool", told, reply)


@check("Codex: apply_patch")
async def custom_tool_is_offered_or_refused_by_name(server: Context) -> None:
    """A tool that takes free text is offered to the model, or refused with its place."""
    custom = {"type": "custom", "name": "apply_patch", "description": "Edits files, and that with great care."}
    plain = (await server.answer(RESPONSES, **_CODEX))["usage"]["input_tokens"]
    reply = await server.send(RESPONSES, **{**_CODEX, "tools": [_SHELL, custom]})
    if reply.status != 200:
        told = str(refused(reply))
        expect("tools[1]" in told or "custom" in told, "the place or type of the tool", told, reply)
        return
    counted = reply.json()["usage"]["input_tokens"]
    expect(counted > plain + 5, "more input_tokens with the tool", f"{counted}, and {plain} without", reply)


@check("Codex, OpenAI's agents library")
async def output_of_a_call_is_told(server: Context) -> None:
    """Items of earlier calls are taken, reasoning among them, and a call's output is part of the prompt."""
    counts = []
    for text in ("fox", "fox and moon and fox and moon and fox and moon"):
        output = {"type": "function_call_output", "call_id": "call_1", "output": text}
        answer = await server.answer(RESPONSES, **{**_CODEX, "input": [*_CODEX["input"], *_CALLED, output]})
        counts.append(answer["usage"]["input_tokens"])
    expect(counts[1] >= counts[0] + 5, "more input_tokens for a longer output", counts)


@check("Codex, openai-python")
async def empty_input_is_refused(server: Context) -> None:
    """An input of no items is refused with param `input`."""
    refused(await server.send(RESPONSES, input=[]), param="input")


@check("openai-python")
async def faults_have_the_names_of_the_request(server: Context) -> None:
    """A fault in an item is told by its place in `input`, and not by another interface's name for it."""
    parts = [{"type": "hologram", "hologram": "AAAA"}]
    for fields in ({}, {"instructions": "Be kind."}):
        error = refused(await server.send(RESPONSES, input=[{"role": "user", "content": parts}], **fields))
        expect(str(error["param"]).startswith("input"), "a param that begins with input", error)
        expect("messages[" not in error["message"], "no word of messages", error)


@check("openai-python")
async def unknown_tool_type_is_refused_by_its_place(server: Context) -> None:
    """A tool of a type that nobody knows is refused with its place."""
    error = refused(await server.send(RESPONSES, tools=[{"type": "hologram"}]))
    expect(str(error["param"]).startswith("tools"), "a param that begins with tools", error)


@check("LangChain sends its default")
async def top_logprobs_0_asks_for_nothing(server: Context) -> None:
    """top_logprobs: 0 asks for nothing, and so it is taken."""
    reply = await server.send(RESPONSES, top_logprobs=0)
    expect(reply.status == 200, "status 200", reply.summary(), reply)
