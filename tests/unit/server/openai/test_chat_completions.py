"""The chat endpoint in one process with an engine that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest

from pagoda.chat.openai_types import Tool
from pagoda.engine.outputs import CompletionOutput
from pagoda.engine.sampling.structured import GrammarCompiler
from pagoda.errors import StructuredOutputError
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.models.tokenizer.tool_formats import HERMES, ToolFormat
from pagoda.sampling_params import SamplingParams
from pagoda.server.tools.formats import tool_shape

USER = {"role": "user", "content": "北京今天热吗？🦊"}
WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS: Any = [{"type": "function", "function": WEATHER}, {"type": "function", "function": {"name": "now"}}]
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "北京 🦊"}}\n</tool_call>'
SECOND_CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


def run(work: Any) -> Any:
    return asyncio.run(work)


async def chat(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    return await client.chat.completions.create(model="scripted", **{"messages": [USER], **fields})


async def streamed(client: openai.AsyncOpenAI, **fields: Any) -> dict[int, dict[str, Any]]:
    """What a client puts together from a stream, by choice."""
    found: dict[int, dict[str, Any]] = {}
    async for chunk in await chat(client, stream=True, **fields):
        for choice in chunk.choices:
            so_far = found.setdefault(choice.index, {"content": "", "calls": [], "ends": []})
            so_far["content"] += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                if call.id is not None:
                    assert call.type == "function"
                    so_far["calls"].append([call.function.name, ""])
                so_far["calls"][call.index][1] += call.function.arguments
            if choice.finish_reason is not None:
                so_far["ends"].append(choice.finish_reason)
    return found


async def whole(client: openai.AsyncOpenAI, **fields: Any) -> dict[int, dict[str, Any]]:
    answer = await chat(client, **fields)
    return {
        choice.index: {
            "content": choice.message.content or "",
            "calls": [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []],
            "ends": [choice.finish_reason],
        }
        for choice in answer.choices
    }


@pytest.mark.parametrize("n", [1, 3])
def test_streaming_equals_not_streaming(engine: Any, client: openai.AsyncOpenAI, answer_text: str, n: int) -> None:
    engine.text = [answer_text, "二", "three 🦊"]

    async def both() -> tuple[Any, Any]:
        return await streamed(client, tools=TOOLS, n=n), await whole(client, tools=TOOLS, n=n)

    from_stream, at_once = run(both())
    assert from_stream == at_once
    assert sorted(at_once) == list(range(n))


def test_calls_are_read_out_of_the_text_with_the_models_own_arguments(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = [f"我来看看。\n{CALL}\n{SECOND_CALL}"]
    (choice,) = run(chat(client, tools=TOOLS)).choices
    assert choice.message.content == "我来看看。"
    calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert calls == [("get_weather", '{"city": "北京 🦊"}'), ("now", "{}")]
    assert choice.finish_reason == "tool_calls"
    assert len({call.id for call in choice.message.tool_calls}) == 2


NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(("choice", "reason"), [("auto", "tool_calls"), ("required", "tool_calls"), (NAMED, "stop")])
def test_a_call_ends_with_openais_reason(engine: Any, client: openai.AsyncOpenAI, choice: Any, reason: str) -> None:
    engine.text = [CALL]
    answer = run(chat(client, tools=TOOLS, tool_choice=choice))
    assert answer.choices[0].finish_reason == reason
    assert engine.params[0].structured_outputs is not None


def test_a_forced_call_that_was_cut_short_ends_with_length(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text, engine.finish_reason = [CALL[:60]], "length"
    (choice,) = run(chat(client, tools=TOOLS, tool_choice="required")).choices
    assert choice.finish_reason == "length"
    assert CALL[:60].endswith(choice.message.tool_calls[0].function.arguments)


def test_without_a_choice_of_tools_the_model_is_not_told_of_them(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = [CALL]
    (choice,) = run(chat(client, tools=TOOLS, tool_choice="none")).choices
    assert choice.message.content == CALL
    assert "get_weather" not in engine.prompts[0]
    assert engine.params[0].structured_outputs is None


def test_a_tool_round_trip_reaches_a_template_that_knows_no_tools(engine: Any, client: openai.AsyncOpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be kind."},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "三点"},
    ]
    run(chat(client, messages=messages, tools=TOOLS))
    (prompt,) = engine.prompts
    assert prompt.index("Be kind.") < prompt.index("get_weather") < prompt.index(SECOND_CALL) < prompt.index("三点")
    assert "<tool_response>\n三点\n</tool_response>" in prompt


def test_chunks_come_in_openais_order(engine: Any, client: openai.AsyncOpenAI, tokenizer: Tokenizer) -> None:
    async def chunks() -> list[Any]:
        options = {"include_usage": True}
        return [chunk async for chunk in await chat(client, stream=True, stream_options=options)]

    found = run(chunks())
    assert found[0].choices[0].delta.model_dump(exclude_none=True) == {"role": "assistant", "content": ""}
    assert found[-2].choices[0].delta.model_dump(exclude_none=True) == {}
    assert found[-2].choices[0].finish_reason == "stop"
    assert found[-1].choices == []
    assert found[-1].usage.completion_tokens == len(tokenizer.encode(engine.text[0], add_special_tokens=False))
    assert all(chunk.usage is None for chunk in found[:-1])
    assert len({(chunk.id, chunk.created) for chunk in found}) == 1


def test_logprobs_hold_the_exact_bytes_of_half_characters(engine: Any, client: openai.AsyncOpenAI) -> None:
    answer = run(chat(client, logprobs=True, top_logprobs=2))
    content = answer.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in content) == engine.text[0].encode()
    assert all(len(token.top_logprobs) == 2 for token in content)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice.function.name"),
        ({"tools": TOOLS + TOOLS}, "tools[2].function.name"),
        ({"functions": [WEATHER]}, "functions"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"tools": TOOLS, "extra_body": {"guided_regex": "a"}}, "structured_outputs"),
        ({"extra_body": {"chat_template": "x"}}, "chat_template"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(client: openai.AsyncOpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        run(chat(client, **fields))
    assert refusal.value.param == param


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": TOOLS}, "tools"),
        ({"tools": TOOLS, "tool_choice": "none"}, "structured_outputs.json"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "odd"}}}},
            "response_format.json_schema.schema",
        ),
        ({"extra_body": {"guided_regex": "("}}, "guided_regex"),
        ({"extra_body": {"structured_outputs": {"json": {}}}}, "structured_outputs.json"),
    ],
)
def test_a_fault_in_a_constraint_is_reported_under_the_clients_name_for_it(
    engine: Any,
    client: openai.AsyncOpenAI,
    monkeypatch: pytest.MonkeyPatch,
    stream: bool,
    fields: Any,
    param: str,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise StructuredOutputError("structured_outputs.json cannot be compiled", param="structured_outputs.json")

    monkeypatch.setattr(engine, "add_request", refuse)
    with pytest.raises(openai.BadRequestError) as refusal:
        run(chat(client, **fields, stream=stream))
    assert refusal.value.param == param


UNIQUE = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}


CALL_F: Any = {"type": "function", "function": {"name": "f"}}


def _schema_tool(parameters: Any, **more: Any) -> Any:
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **more}}


@pytest.mark.parametrize("choice", ["auto", "required", CALL_F], ids=str)
def test_a_tools_keyword_that_no_grammar_holds_is_left_to_the_model_and_told(
    engine: Any, client: openai.AsyncOpenAI, choice: Any
) -> None:
    tools = [TOOLS[1], _schema_tool({"type": "object", "properties": {"a": UNIQUE}})]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": {"b": {"not": {"const": 1}}}}}}
    answer = run(
        client.chat.completions.with_raw_response.create(
            model="scripted",
            messages=[USER],
            tools=tools,
            tool_choice=choice,
            response_format=form,  # type: ignore
        )
    )
    told = ["tools[1].function.parameters.properties.a.uniqueItems"]
    if choice == "auto":  # a forced call leaves no room for an answer
        told.append("response_format.json_schema.schema.properties.b.not")
    assert answer.headers["x-pagoda-unenforced"].split(", ") == told
    grammar = engine.params[0].structured_outputs.grammar
    assert '"type": "array", "items": {"type": "string"}' in grammar
    assert "uniqueItems" not in grammar


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        (
            {"tools": [TOOLS[1], _schema_tool({"properties": {"a": UNIQUE}}, strict=True)]},
            "tools[1].function.parameters.properties.a.uniqueItems",
            "strict is true",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": {"anyOf": [UNIQUE, {"type": "any"}]}},
                }
            },
            "response_format.json_schema.schema.anyOf[0].uniqueItems",
            "strict is true",
        ),
        (
            {"tools": [TOOLS[0], _schema_tool({"properties": {"a": False}, "required": ["a"]})], "tool_choice": CALL_F},
            "tools[1].function.parameters",
            "'a'",
        ),
        ({"tools": [_schema_tool({"type": "string"})]}, "tools[0].function.parameters.type", "an object"),
        (
            {"tools": [_schema_tool({"$ref": "#"})], "tool_choice": CALL_F},
            "tools[0].function.parameters",
            "leads back to itself",
        ),
        (
            {"tools": [_schema_tool({"properties": {"a": {"enum": []}}, "required": ["a"]}, strict=True)]},
            "tools[0].function.parameters",
            "'a'",
        ),
    ],
    ids=["tool", "format", "unsatisfiable", "no object", "knot", "strict"],
)
def test_a_schema_that_cannot_be_held_is_refused_by_keyword_and_place(
    engine: Any, client: openai.AsyncOpenAI, fields: Any, param: str, said: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        run(chat(client, **fields))
    assert refusal.value.param == param
    assert refusal.value.message.count(param) >= 1
    assert said in refusal.value.message
    assert not engine.added


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize(
    ("parameters", "left", "call"),
    [
        ({"properties": {"a": False}, "required": ["a"]}, "parameters.required", {}),
        ({"properties": {"a": {"type": "string", "enum": [1]}}, "required": ["a"]}, "parameters.required", {}),
        (
            {"properties": {"a": {"const": 1}}, "required": ["a", "z"], "additionalProperties": False},
            "parameters.required",
            {"a": 1},
        ),
        ({"$ref": "#"}, "parameters", {"b": [2]}),
        ({"anyOf": [{"enum": []}]}, "parameters", {"b": [2]}),
    ],
    ids=str,
)
def test_one_tool_that_contradicts_itself_stops_no_chat(
    tokenizer: Tokenizer, choice: Any, parameters: Any, left: str, call: Any
) -> None:
    tools = [Tool.model_validate(TOOLS[0]), Tool.model_validate(_schema_tool(parameters))]
    shape = tool_shape(HERMES, tools, choice)
    assert shape.unenforced == (f"tools[1].function.{left}",)
    assert shape.constraint is not None
    matcher = GrammarCompiler(tokenizer).compile(shape.constraint)
    for token_id in tokenizer.encode(HERMES.write([{"name": "f", "arguments": call}]), add_special_tokens=False):
        matcher.advance(token_id)


@pytest.mark.parametrize(
    ("parameters", "written"),
    [
        ({"properties": {"a": {"const": 1}}, "required": ["a", "b"]}, {"a": 1, "b": [2]}),
        ({"properties": []}, {}),
        ({"type": "any", "properties": {"a": {"const": 1}}}, {"a": 1}),
        ({"properties": {"a": {}}, "if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1, "b": 2}),
        ({"properties": {"a": {}}, "minProperties": 2}, {"a": 1, "b": 2}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "properties": {"a": {"const": 1}}}}}, {"a": 1}),
    ],
    ids=str,
)
def test_what_satisfies_a_tools_schema_can_be_written(tokenizer: Tokenizer, parameters: Any, written: Any) -> None:
    shape = tool_shape(HERMES, [Tool.model_validate(_schema_tool(parameters))], "required")
    assert shape.constraint is not None
    matcher = GrammarCompiler(tokenizer).compile(shape.constraint)
    for token_id in tokenizer.encode(HERMES.write([{"name": "f", "arguments": written}]), add_special_tokens=False):
        matcher.advance(token_id)


def test_a_template_that_refuses_is_heard_in_its_own_words(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="roles are system, user and assistant, not wizard"):
        run(chat(client, messages=[{"role": "wizard", "content": "hi"}]))


def test_the_final_message_can_be_continued_and_echoed(engine: Any, client: openai.AsyncOpenAI) -> None:
    body = {"continue_final_message": True, "add_generation_prompt": False, "echo": True}
    messages = [USER, {"role": "assistant", "content": "答："}]
    answer = run(chat(client, messages=messages, extra_body=body))
    assert answer.choices[0].message.content == "答：" + engine.text[0]
    assert engine.prompts[0].endswith("答：")


@pytest.mark.parametrize("text", ["好的。", CALL])
def test_special_tokens_that_the_parser_needs_are_not_shown_to_the_client(
    engine: Any, client: openai.AsyncOpenAI, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The end of sequence is shown in the text here, as it is where a format's marks are special tokens."""
    end, completion = tokenizer.eos_token_id, engine._completion
    assert end is not None

    def with_end(add: Any, index: int, params: SamplingParams) -> Iterator[CompletionOutput]:
        assert not params.skip_special_tokens
        *earlier, last = completion(add, index, params)
        text = last.text + tokenizer.token_text(end)
        yield from [*earlier, replace(last, text=text, token_ids=(*last.token_ids, end))]

    monkeypatch.setattr(ToolFormat, "special_markers", lambda self, tokenizer: {"<tool_call>": 1})
    monkeypatch.setattr(engine, "_completion", with_end)
    engine.text = [text]
    (answer,) = run(whole(client, tools=TOOLS)).values()
    (from_stream,) = run(streamed(client, tools=TOOLS)).values()
    assert answer == from_stream
    assert answer["content"] == ("" if text == CALL else text)


def test_a_format_and_tools_may_stand_together(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = ['{"x": 1}']
    answer = run(chat(client, tools=TOOLS, response_format={"type": "json_object"}))
    assert answer.choices[0].message.content == '{"x": 1}'
    held = engine.params[0].structured_outputs
    assert held is not None
    assert "answer: %json" in str(held.grammar)
