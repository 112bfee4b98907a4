"""The chat endpoint and the Responses API in one process with an engine that says what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall

import pagoda
from pagoda.engine.async_engine import AsyncEngine, EngineState
from pagoda.engine.detokenizer import IncrementalDetokenizer
from pagoda.engine.messages import EngineInfo
from pagoda.engine.outputs import CompletionOutput, Logprob, RequestMetrics, RequestOutput, merge_outputs
from pagoda.errors import EngineDeadError, StructuredOutputError
from pagoda.models.tokenizer import Tokenizer
from pagoda.sampling_params import RequestOutputKind, SamplingParams
from pagoda.server.app import build_app
from pagoda.server.config import ServerConfig
from pagoda.server.tool_formats import ToolFormat

TOKENIZER = Tokenizer.from_directory(Path(pagoda.__file__).parent / "builtin")
USER = {"role": "user", "content": "北京今天热吗？🦊"}
WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS: Any = [{"type": "function", "function": WEATHER}, {"type": "function", "function": {"name": "now"}}]
FLAT_TOOLS: Any = [{"type": "function", **WEATHER, "strict": False}]
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "北京 🦊"}}\n</tool_call>'
SECOND_CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'


class ScriptedStream:
    """Says the scripted texts token by token, the n completions in turns; with FINAL_ONLY all at once."""

    def __init__(self, prompt_token_ids: list[int], params: SamplingParams, texts: Sequence[str], reason: str) -> None:
        self.prompt_token_ids = prompt_token_ids
        outputs = list(_outputs(prompt_token_ids, params, texts, reason))
        if params.output_kind is RequestOutputKind.FINAL_ONLY:
            outputs = [merge_outputs(outputs)]
        self._outputs = iter(outputs)
        self.fails = False

    def __aiter__(self) -> AsyncIterator[RequestOutput]:
        return self

    async def __anext__(self) -> RequestOutput:
        await asyncio.sleep(0)
        if self.fails:
            raise EngineDeadError("the engine's process has ended")
        output = next(self._outputs, None)
        if output is None:
            raise StopAsyncIteration
        return output

    def abort(self) -> None:
        self._outputs = iter(())


def _outputs(
    prompt_token_ids: list[int], params: SamplingParams, texts: Sequence[str], reason: str
) -> Iterator[RequestOutput]:
    streams = [TOKENIZER.encode(texts[i % len(texts)], add_special_tokens=False) for i in range(params.n)]
    detokenizers = [IncrementalDetokenizer(TOKENIZER) for _ in streams]
    for step in range(max(map(len, streams))):
        for index, ids in enumerate(streams):
            if step >= len(ids):
                continue
            last = step == len(ids) - 1
            text = detokenizers[index].push(ids[step]) + (detokenizers[index].flush() if last else "")
            entry = {ids[step]: Logprob(-0.5, 1), 65: Logprob(-1.5, 2)}
            completion = CompletionOutput(
                index,
                text,
                (ids[step],),
                logprobs=None if params.logprobs is None else (entry,),
                finish_reason=reason if last else None,
            )
            finished = all(step >= len(other) - 1 for other in streams) and index == len(streams) - 1
            metrics = RequestMetrics(0.0, 0.1, 0.2, 0.3, 0.4)
            yield RequestOutput("r", None, prompt_token_ids, None, (completion,), finished, metrics)


class ScriptedEngine:
    """What the server asks of an AsyncEngine, without a model."""

    def __init__(self) -> None:
        self.state = EngineState.READY
        self.tokenizer = TOKENIZER
        self.texts: list[str] = ["好的。🦊"]
        self.reason = "stop"
        self.fails = False
        self.prompts: list[str] = []
        self.params: list[SamplingParams] = []
        self.info = EngineInfo(
            model="scripted",
            path="",
            max_model_len=1024,
            vocab_size=TOKENIZER.num_tokens,
            hidden_size=8,
            num_parameters=1,
            dtype="float32",
            device="cpu",
            kernels="reference",
            block_size=16,
            num_blocks=64,
            max_num_seqs=8,
            max_logprobs=20,
            eos_token_ids=(0,),
            default_sampling_params={},
            startup_s={},
            pid=0,
        )

    def add_stats_listener(self, listener: object) -> None:
        pass

    async def encode(self, prompt: str, *, add_special_tokens: bool = True) -> tuple[str, list[int]]:
        return prompt, TOKENIZER.encode(prompt, add_special_tokens)

    async def add_request(
        self, request_id: str, prompt: dict[str, Any], params: SamplingParams, **_: object
    ) -> ScriptedStream:
        self.prompts.append(TOKENIZER.decode(prompt["prompt_token_ids"], skip_special_tokens=False))
        self.params.append(params)
        stream = ScriptedStream(list(prompt["prompt_token_ids"]), params, self.texts, self.reason)
        stream.fails = self.fails
        return stream


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def client(engine: ScriptedEngine) -> openai.AsyncOpenAI:
    return client_of(engine)


def client_of(engine: ScriptedEngine) -> openai.AsyncOpenAI:
    app = build_app(cast(AsyncEngine, engine), ServerConfig(access_log=False))
    transport = httpx.ASGITransport(app)
    http_client = httpx.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(api_key="x", base_url="http://pagoda/v1", http_client=http_client, max_retries=0)


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


ANSWERS = [
    "好的。🦊",
    CALL,
    f"我来看看。\n{CALL}\n{SECOND_CALL}",
    '<tool_call>\n{"name": "unknown", "arguments": {}}\n</tool_call>',
    "a <tool_call b",
    CALL[:60],
]


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("n", [1, 3])
def test_streaming_equals_not_streaming(engine: ScriptedEngine, client: openai.AsyncOpenAI, text: str, n: int) -> None:
    engine.texts = [text, "二", "three 🦊"]

    async def both() -> tuple[Any, Any]:
        return await streamed(client, tools=TOOLS, n=n), await whole(client, tools=TOOLS, n=n)

    from_stream, at_once = run(both())
    assert from_stream == at_once
    assert sorted(at_once) == list(range(n))


def test_calls_are_read_out_of_the_text_with_the_models_own_arguments(
    engine: ScriptedEngine, client: openai.AsyncOpenAI
) -> None:
    engine.texts = [f"我来看看。\n{CALL}\n{SECOND_CALL}"]
    (choice,) = run(chat(client, tools=TOOLS)).choices
    assert choice.message.content == "我来看看。"
    calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert calls == [("get_weather", '{"city": "北京 🦊"}'), ("now", "{}")]
    assert choice.finish_reason == "tool_calls"
    assert len({call.id for call in choice.message.tool_calls}) == 2


NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(("choice", "reason"), [("auto", "tool_calls"), ("required", "tool_calls"), (NAMED, "stop")])
def test_a_call_ends_with_openais_reason(
    engine: ScriptedEngine, client: openai.AsyncOpenAI, choice: Any, reason: str
) -> None:
    engine.texts = [CALL]
    answer = run(chat(client, tools=TOOLS, tool_choice=choice))
    assert answer.choices[0].finish_reason == reason
    assert engine.params[0].structured_outputs is not None


def test_a_forced_call_that_was_cut_short_ends_with_length(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    engine.texts, engine.reason = [CALL[:60]], "length"
    (choice,) = run(chat(client, tools=TOOLS, tool_choice="required")).choices
    assert choice.finish_reason == "length"
    assert CALL[:60].endswith(choice.message.tool_calls[0].function.arguments)


def test_without_a_choice_of_tools_the_model_is_not_told_of_them(
    engine: ScriptedEngine, client: openai.AsyncOpenAI
) -> None:
    engine.texts = [CALL]
    (choice,) = run(chat(client, tools=TOOLS, tool_choice="none")).choices
    assert choice.message.content == CALL
    assert "get_weather" not in engine.prompts[0]
    assert engine.params[0].structured_outputs is None


def test_a_tool_round_trip_reaches_a_template_that_knows_no_tools(
    engine: ScriptedEngine, client: openai.AsyncOpenAI
) -> None:
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


def test_chunks_come_in_openais_order(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    async def chunks() -> list[Any]:
        options = {"include_usage": True}
        return [chunk async for chunk in await chat(client, stream=True, stream_options=options)]

    found = run(chunks())
    assert found[0].choices[0].delta.model_dump(exclude_none=True) == {"role": "assistant", "content": ""}
    assert found[-2].choices[0].delta.model_dump(exclude_none=True) == {}
    assert found[-2].choices[0].finish_reason == "stop"
    assert found[-1].choices == []
    assert found[-1].usage.completion_tokens == len(TOKENIZER.encode(engine.texts[0], add_special_tokens=False))
    assert all(chunk.usage is None for chunk in found[:-1])
    assert len({(chunk.id, chunk.created) for chunk in found}) == 1


def test_logprobs_hold_the_exact_bytes_of_half_characters(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    answer = run(chat(client, logprobs=True, top_logprobs=2))
    content = answer.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in content) == engine.texts[0].encode()
    assert all(len(token.top_logprobs) == 2 for token in content)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice.function.name"),
        ({"tools": TOOLS + TOOLS}, "tools"),
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
    engine: ScriptedEngine,
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


def test_a_template_that_refuses_is_heard_in_its_own_words(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="roles are system, user and assistant, not wizard"):
        run(chat(client, messages=[{"role": "wizard", "content": "hi"}]))


def test_the_final_message_can_be_continued_and_echoed(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    body = {"continue_final_message": True, "add_generation_prompt": False, "echo": True}
    messages = [USER, {"role": "assistant", "content": "答："}]
    answer = run(chat(client, messages=messages, extra_body=body))
    assert answer.choices[0].message.content == "答：" + engine.texts[0]
    assert engine.prompts[0].endswith("答：")


class SpecialMarks(ScriptedEngine):
    """Its end of sequence is shown in the text, as it is where a format's marks are special tokens."""

    async def add_request(
        self, request_id: str, prompt: dict[str, Any], params: SamplingParams, **_: object
    ) -> ScriptedStream:
        assert not params.skip_special_tokens
        stream = await super().add_request(request_id, prompt, params)
        *earlier, last = [output async for output in stream]
        end = TOKENIZER.eos_token_id
        assert end is not None
        (said,) = last.outputs
        shown = replace(said, text=said.text + TOKENIZER.token_text(end), token_ids=(*said.token_ids, end))
        stream._outputs = iter([*earlier, replace(last, outputs=(shown,))])
        return stream


@pytest.mark.parametrize("text", ["好的。", CALL])
def test_special_tokens_that_the_parser_needs_are_not_shown_to_the_client(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(ToolFormat, "special_markers", lambda self, tokenizer: {"<tool_call>": 1})
    engine = SpecialMarks()
    engine.texts = [text]
    (answer,) = run(whole(client_of(engine), tools=TOOLS)).values()
    (from_stream,) = run(streamed(client_of(engine), tools=TOOLS)).values()
    assert answer == from_stream
    assert answer["content"] == ("" if text == CALL else text)


def test_a_format_and_tools_may_stand_together(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    engine.texts = ['{"x": 1}']
    answer = run(chat(client, tools=TOOLS, response_format={"type": "json_object"}))
    assert answer.choices[0].message.content == '{"x": 1}'
    held = engine.params[0].structured_outputs
    assert held is not None
    assert "answer: %json" in str(held.grammar)


# The Responses API


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


@pytest.mark.parametrize("text", ANSWERS)
def test_a_streamed_response_ends_with_what_is_given_at_once(
    engine: ScriptedEngine, client: openai.AsyncOpenAI, text: str
) -> None:
    engine.texts = [text]

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


def test_a_response_cut_short_is_incomplete(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    engine.reason = "length"
    response = run(respond(client, max_output_tokens=3))
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


def test_an_engine_that_dies_fails_the_stream(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    engine.fails = True
    events = run(response_events(client))
    assert events[-1].type == "response.failed"
    assert "has ended" in events[-1].response.error.message


def test_items_of_earlier_turns_become_messages(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
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


def test_json_schema_formats_of_responses_reach_the_grammar(engine: ScriptedEngine, client: openai.AsyncOpenAI) -> None:
    engine.texts = ['{"x": 1}']
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    text: Any = {"format": {"type": "json_schema", "name": "point", "schema": schema}}
    response = run(respond(client, text=text))
    assert json.loads(response.output_text) == {"x": 1}
    held = engine.params[0].structured_outputs
    assert held is not None
    assert held.json == {**schema, "additionalProperties": False}
