"""Fields of a request at every depth: refused by their dotted name, or harmless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pagoda.server.config import ServerConfig

Serve = Callable[..., Any]
COMPLETIONS, CHAT, RESPONSES = "/v1/completions", "/v1/chat/completions", "/v1/responses"
HI = {"role": "user", "content": "hi"}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FLAT = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def ask(serve: Serve, path: str, fields: dict[str, Any], *, strict: bool = False) -> Any:
    subject: dict[str, Any] = {COMPLETIONS: {"prompt": "hi"}, RESPONSES: {"input": "hi"}}.get(path, {"messages": [HI]})

    async def main() -> Any:
        async with serve(ServerConfig(strict=strict, access_log=False), max_model_len=1024) as server:
            return await server.post(
                path, {"max_tokens": 4, **subject, **fields} if path != RESPONSES else {**subject, **fields}
            )

    return asyncio.run(main())


NESTED = [
    (CHAT, {"messages": [HI, {**HI, "foo": 1}]}, "messages[1].foo"),
    (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "bar": 1}]}]},
        "messages[0].content[0].bar",
    ),
    (
        CHAT,
        {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "foo": 1}]}, HI]},
        "messages[0].tool_calls[0].foo",
    ),
    (
        CHAT,
        {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "function": {**CALL["function"], "x": 1}}]}, HI]},  # type: ignore[dict-item]
        "messages[0].tool_calls[0].function.x",
    ),
    (CHAT, {"tools": [TOOL, {**TOOL, "function": {"name": "g", "bar": 1}}]}, "tools[1].function.bar"),
    (CHAT, {"tools": [{**TOOL, "foo": 1}]}, "tools[0].foo"),
    (
        CHAT,
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f", "x": 1}}},
        "tool_choice.function.x",
    ),
    (CHAT, {"response_format": {"type": "text", "x": 1}}, "response_format.x"),
    (
        CHAT,
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}, "x": 1},
            }
        },
        "response_format.json_schema.x",
    ),
    (CHAT, {"stream": True, "stream_options": {"include_usage": True, "y": 1}}, "stream_options.y"),
    (COMPLETIONS, {"stream": True, "stream_options": {"y": 1}}, "stream_options.y"),
    (CHAT, {"chat_template_kwargs": {"no_such_variable": 1}}, "chat_template_kwargs.no_such_variable"),
    (RESPONSES, {"input": [{**HI, "foo": 1}]}, "input[0].foo"),
    (
        RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "y": 1}]}]},
        "input[0].content[0].y",
    ),
    (RESPONSES, {"tools": [{**FLAT, "foo": 1}]}, "tools[0].foo"),
    (RESPONSES, {"tools": [{"type": "namespace", "name": "n", "tools": [{**FLAT, "x": 1}]}]}, "tools[0].tools[0].x"),
    (RESPONSES, {"text": {"format": {"type": "text", "x": 1}}}, "text.format.x"),
    (RESPONSES, {"text": {"x": 1}}, "text.x"),
    (RESPONSES, {"reasoning": {"effort": "low", "x": 1}}, "reasoning.x"),
    (RESPONSES, {"stream_options": {"x": 1}}, "stream_options.x"),
]


@pytest.mark.parametrize(("path", "fields", "param"), NESTED)
def test_an_unknown_field_is_ignored_or_where_the_server_is_strict_refused_by_its_place(
    serve: Serve, path: str, fields: dict[str, Any], param: str
) -> None:
    refused = ask(serve, path, fields, strict=True)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
    assert param in refused.json()["error"]["message"]
    assert ask(serve, path, fields).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            CHAT,
            {
                "messages": [
                    {"role": "assistant", "content": "x", "refusal": None, "annotations": [], "audio": None},
                    HI,
                ]
            },
        ),
        (CHAT, {"messages": [{"role": "assistant", "content": "4", "reasoning_content": "2+2"}, HI]}),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]}),
        (
            CHAT,
            {
                "messages": [
                    HI,
                    {"role": "assistant", "tool_calls": [{**CALL, "index": 0}]},
                    {"role": "tool", "tool_call_id": "c", "content": "x"},
                ]
            },
        ),
        (CHAT, {"tools": [{**TOOL, "function": {"name": "f", "return": {"type": "string"}}}]}),
        (CHAT, {"stream_options": {"include_usage": True, "include_obfuscation": False}, "stream": True}),
        (CHAT, {"user": "me", "metadata": {}, "prompt_cache_key": "k", "verbosity": "low", "reasoning_effort": "low"}),
        (CHAT, {"chat_template_kwargs": {"add_generation_prompt": False}}),
        (CHAT, {"top_logprobs": 0}),
        (
            CHAT,
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": None}}]}, HI]},
        ),
        (CHAT, {"tools": [{"function": {"name": "f"}}]}),
        (CHAT, {"repeat_penalty": 1.0, "typical_p": 1, "mirostat": 0, "options": {}, "format": None}),
        (RESPONSES, {"n": 1, "stop": None, "repetition_penalty": 1.0, "logprobs": False}),
        (RESPONSES, {"top_logprobs": 0, "text": {"verbosity": "low"}, "client_metadata": {"a": "b"}}),
        (RESPONSES, {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}}),
    ],
)
def test_what_clients_send_beside_is_no_unknown_field(serve: Serve, path: str, fields: dict[str, Any]) -> None:
    answer = ask(serve, path, fields, strict=True)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"messages": [HI, {"role": "assistant", "content": "x", "prefix": True}]}, "messages[1].prefix"),
        (CHAT, {"messages": [HI, {"role": "assistant", "content": "x", "audio": {"id": "a"}}]}, "messages[1].audio"),
        (CHAT, {"use_beam_search": True}, "use_beam_search"),
        (CHAT, {"add_special_tokens": True}, "add_special_tokens"),
        (COMPLETIONS, {"truncate_prompt_tokens": 10}, "truncate_prompt_tokens"),
        (COMPLETIONS, {"suffix": "end"}, "suffix"),
        (CHAT, {"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs.tools"),
        (CHAT, {"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
        (CHAT, {"chat_template_kwargs": {"tokenize": False}}, "chat_template_kwargs.tokenize"),
        (
            CHAT,
            {"add_generation_prompt": True, "chat_template_kwargs": {"add_generation_prompt": False}},
            "chat_template_kwargs.add_generation_prompt",
        ),
        (CHAT, {"documents": [{"text": "x"}]}, "documents"),
        (CHAT, {"top_logprobs": 1}, "top_logprobs"),
        (RESPONSES, {"top_logprobs": 1}, "top_logprobs"),
        (
            CHAT,
            {"response_format": {"type": "text", "json_schema": {"name": "x", "schema": {"type": "integer"}}}},
            "response_format.json_schema.schema",
        ),
        (
            CHAT,
            {"response_format": {"type": "json_object", "json_schema": {"schema": {"enum": []}}}},
            "response_format.json_schema.schema",
        ),
        (CHAT, {"format": "json"}, "format"),
        (CHAT, {"options": {"num_ctx": 4096}}, "options"),
        (CHAT, {"system": "Be brief."}, "system"),
        (CHAT, {"stop_sequences": ["x"]}, "stop_sequences"),
        (CHAT, {"extra_body": {"top_k": 1}}, "extra_body"),
        (
            CHAT,
            {"tools": [{**TOOL, "function": {"name": "f", "inputSchema": {"type": "object"}}}]},
            "tools[0].function.inputSchema",
        ),
        (COMPLETIONS, {"repeat_penalty": 1.3}, "repeat_penalty"),
        (COMPLETIONS, {"typical_p": 0.5}, "typical_p"),
        (COMPLETIONS, {"tools": [TOOL]}, "tools"),
        (RESPONSES, {"max_tokens": 5}, "max_tokens"),
        (RESPONSES, {"messages": [HI]}, "messages"),
        (RESPONSES, {"response_format": {"type": "json_object"}}, "response_format"),
        (RESPONSES, {"stop": ["x"]}, "stop"),
        (RESPONSES, {"repetition_penalty": 1.2}, "repetition_penalty"),
        (RESPONSES, {"structured_outputs": {"regex": "a"}}, "structured_outputs"),
        (RESPONSES, {"num_predict": 5}, "num_predict"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_its_place(
    serve: Serve, path: str, fields: dict[str, Any], param: str
) -> None:
    refused = ask(serve, path, fields)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        (CHAT, {"temperature": "0.1"}, "temperature: Input should be a valid integer or a valid number (given: '0.1')"),
        (CHAT, {"stop": 5}, "stop: Input should be a valid string or a valid list (given: 5)"),
        (COMPLETIONS, {"prompt": ["a", 5]}, "prompt[1]: Input should be a valid string (given: 5)"),
        (COMPLETIONS, {"prompt": [1, "a"]}, "prompt[1]: Input should be a valid integer (given: 'a')"),
        (CHAT, {"messages": [{**HI, "content": {"text": "x"}}]}, "a valid string or a valid list"),
        (CHAT, {"messages": [{**HI, "content": ["x"]}]}, "messages[0].content[0]: Input should be a valid dictionary"),
        (RESPONSES, {"input": ["x"]}, "input[0]: Input should be a valid dictionary"),
        (RESPONSES, {"num_predict": 5}, "use max_output_tokens"),
        (RESPONSES, {"stop": "x"}, "use /v1/chat/completions"),
    ],
)
def test_a_refusal_tells_all_that_would_have_been_taken(
    serve: Serve, path: str, fields: dict[str, Any], message: str
) -> None:
    refused = ask(serve, path, fields)
    assert refused.status_code == 400
    assert message in refused.json()["error"]["message"]


def test_a_variable_of_the_template_opens_no_turn_where_it_says_so(serve: Serve) -> None:
    async def main() -> list[str]:
        async with serve(max_model_len=1024) as server:
            for given in ({}, {"add_generation_prompt": False}):
                await server.post(CHAT, {"messages": [HI], "chat_template_kwargs": given})
            prompts: list[str] = server.engine.prompts
            return prompts

    opened, closed = asyncio.run(main())
    assert opened.removeprefix(closed) == "<|assistant|>"
