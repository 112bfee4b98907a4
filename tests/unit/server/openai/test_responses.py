"""The Responses API in one process with an engine that says what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall

WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
FLAT_TOOLS: Any = [{"type": "function", **WEATHER, "strict": False}]
SECOND_CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


def run(work: Any) -> Any:
    return asyncio.run(work)


async def respond(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    return await client.responses.create(model="scripted", **{"input": "你好", **fields})


async def response_events(client: openai.AsyncOpenAI, **fields: Any) -> list[Any]:
    return [event async for event in await respond(client, stream=True, **fields)]


def without_ids(response: Any) -> Any:
    plain = response.model_dump()
    for item in plain["output"]:
        item.pop("id")
        item.pop("call_id", None)
    return {key: value for key, value in plain.items() if key not in ("id", "created_at")}


def test_a_streamed_response_ends_with_what_is_given_at_once(
    engine: Any, client: openai.AsyncOpenAI, answer_text: str
) -> None:
    engine.text = [answer_text]

    async def both() -> tuple[list[Any], Any]:
        return await response_events(client, tools=FLAT_TOOLS), await respond(client, tools=FLAT_TOOLS)

    events, at_once = run(both())
    assert without_ids(events[-1].response) == without_ids(at_once)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    texts = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert texts == at_once.output_text
    pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert pieces == "".join(item.arguments for item in at_once.output if isinstance(item, ResponseFunctionToolCall))


def test_events_of_a_response_come_in_openais_order(client: openai.AsyncOpenAI) -> None:
    types = [event.type for event in run(response_events(client)) if not event.type.endswith(".delta")]
    assert types == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_a_response_cut_short_is_incomplete(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.finish_reason = "length"
    response = run(respond(client, max_output_tokens=3))
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


def test_an_engine_that_dies_fails_the_stream(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.dies_after = 0
    events = run(response_events(client))
    assert events[-1].type == "response.failed"
    assert "has ended" in events[-1].response.error.message


def test_items_of_earlier_turns_become_messages(engine: Any, client: openai.AsyncOpenAI) -> None:
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "几点？"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "三点"},
    ]
    response = run(respond(client, input=items, instructions="Be kind.", metadata={"a": "b"}, store=True))
    (prompt,) = engine.prompts
    assert prompt.index("Be kind.") < prompt.index("几点？") < prompt.index(SECOND_CALL) < prompt.index("三点")
    assert (response.metadata, response.store) == ({"a": "b"}, False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"tools": FLAT_TOOLS, "tool_choice": "sometimes"}, "tool_choice"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"tools": FLAT_TOOLS, "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
    ],
)
def test_what_needs_a_store_or_other_tools_is_refused_by_name(
    client: openai.AsyncOpenAI, fields: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        run(respond(client, **fields))
    assert refusal.value.param == param


def test_harmless_fields_of_responses_change_nothing(client: openai.AsyncOpenAI) -> None:
    response = run(respond(client, background=False, truncation="disabled", reasoning={"effort": "low"}, user="me"))
    assert response.status == "completed"


def test_no_response_can_be_fetched_later(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        run(client.responses.retrieve("resp_1"))
    assert missing.value.body is not None
    assert set(cast(dict[str, Any], missing.value.body)) == {"message", "type", "param", "code"}


def test_json_schema_formats_of_responses_reach_the_grammar(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = ['{"x": 1}']
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    text: Any = {"format": {"type": "json_schema", "name": "point", "schema": schema}}
    response = run(respond(client, text=text))
    assert json.loads(response.output_text) == {"x": 1}
    held = engine.params[0].structured_outputs
    assert held is not None
    assert held.json == {**schema, "additionalProperties": False}


def test_places_in_schemas_are_those_of_the_clients_own_request(engine: Any, client: openai.AsyncOpenAI) -> None:
    unique = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    tools: Any = [{"type": "function", "name": "f", "parameters": unique}]
    text: Any = {"format": {"type": "json_schema", "name": "x", "schema": unique}}
    raw = run(client.responses.with_raw_response.create(model="scripted", input="a", tools=tools, text=text))
    places = ["tools[0].parameters.properties.a.uniqueItems", "text.format.schema.properties.a.uniqueItems"]
    assert raw.headers["x-pagoda-unenforced"].split(", ") == places
    tools[0]["strict"], text["format"]["strict"] = True, True
    for fields, place in (({"tools": tools}, places[0]), ({"text": text}, places[1])):
        with pytest.raises(openai.BadRequestError) as refusal:
            run(respond(client, **fields))
        assert refusal.value.param == place
        assert refusal.value.message.count(place) >= 1


def test_a_schema_beside_json_object_is_honoured(engine: Any, client: openai.AsyncOpenAI) -> None:
    text: Any = {"format": {"type": "json_object", "schema": {"const": 1}}}
    run(respond(client, text=text))
    assert engine.params[0].structured_outputs.json == {"const": 1}


def test_a_response_that_its_own_constraints_ended_has_failed_by_the_requests_fault(
    engine: Any, client: openai.AsyncOpenAI
) -> None:
    engine.finish_reason, engine.stop_reason = "error", "the grammar of structured_outputs grew too large"
    text: Any = {"format": {"type": "json_schema", "name": "x", "schema": {}}}
    with pytest.raises(openai.BadRequestError, match=r"text\.format\.schema grew too large"):
        run(respond(client, text=text))
    last = run(response_events(client, text=text))[-1]
    assert (last.type, last.response.error.code) == ("response.failed", "invalid_prompt")
    assert last.response.error.message == "the grammar of text.format.schema grew too large"
