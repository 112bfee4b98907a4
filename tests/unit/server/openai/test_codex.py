"""Requests of the Responses API in the shape in which coding agents send them, Codex above all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}},
}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
}
EDITOR = {
    "type": "namespace",
    "name": "mcp__editor__",
    "description": "Tools of the editor.",
    "tools": [{**SHELL, "name": "open_file", "defer_loading": True}],
}
SEARCH = {"type": "web_search", "external_web_access": False}
INPUT: list[Any] = [
    {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "<permissions>all</permissions>"}],
    },
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment>bash</environment>"}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]},
]
HISTORY: list[Any] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAA"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "ls"}},
    {
        "type": "message",
        "role": "assistant",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "I look."}],
    },
    {"type": "function_call", "id": "fc_1", "name": "shell", "arguments": '{"command": ["ls"]}', "call_id": "call_1"},
    {
        "type": "custom_tool_call",
        "id": "ctc_1",
        "status": "completed",
        "name": "apply_patch",
        "input": "*** Begin\n",
        "call_id": "call_2",
    },
    {
        "type": "function_call",
        "name": "open_file",
        "namespace": "mcp__editor__",
        "arguments": "{}",
        "call_id": "call_3",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "README.md"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "Done."}]},
    {"type": "function_call_output", "call_id": "call_3", "output": "opened"},
]


def codex(**fields: Any) -> dict[str, Any]:
    """A request as it goes over the wire."""
    return {
        "model": "scripted",
        "instructions": "You are a coding agent.",
        "input": INPUT,
        "tools": [SHELL, PATCH, EDITOR, SEARCH],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "5a3c",
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "1"},
        **fields,
    }


async def events(client: openai.AsyncOpenAI, **fields: Any) -> list[Any]:
    return [
        event
        async for event in await client.post(
            "/responses", body=codex(**fields), cast_to=Any, stream=True, stream_cls=openai.AsyncStream[Any]
        )
    ]  # type: ignore[arg-type]


def run(client: openai.AsyncOpenAI, **fields: Any) -> list[Any]:
    return asyncio.run(events(client, **fields))


def test_what_codex_sends_is_answered(engine: Any, client: openai.AsyncOpenAI) -> None:
    last = run(client)[-1]
    assert last["type"] == "response.completed"
    assert [item["type"] for item in last["response"]["output"]] == ["message"]
    assert last["response"]["store"] is False
    (prompt,) = engine.prompts
    assert prompt.index("coding agent") < prompt.index("<permissions>") < prompt.index("<environment>")
    for told in ('"name": "shell"', '"name": "apply_patch"', "*** Begin Patch", '"name": "mcp__editor__open_file"'):
        assert told in prompt
    assert "web_search" not in prompt


def test_a_call_of_a_function_comes_back_as_one(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = ['<tool_call>\n{"name": "shell", "arguments": {"command": ["ls"]}}\n</tool_call>']
    (item,) = run(client)[-1]["response"]["output"]
    assert (item["type"], item["name"], json.loads(item["arguments"])) == (
        "function_call",
        "shell",
        {"command": ["ls"]},
    )
    assert "namespace" not in item


def test_a_call_of_a_namespace_s_function_comes_back_under_its_own_name(
    engine: Any, client: openai.AsyncOpenAI
) -> None:
    engine.text = ['<tool_call>\n{"name": "mcp__editor__open_file", "arguments": {}}\n</tool_call>']
    (item,) = run(client)[-1]["response"]["output"]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "mcp__editor__", "open_file")


def test_a_custom_tool_s_text_comes_back_as_text(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = [
        '<tool_call>\n{"name": "apply_patch", "arguments": {"input": "*** Begin\\n+a \\"b\\""}}\n</tool_call>'
    ]
    found = run(client)
    (item,) = found[-1]["response"]["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", '*** Begin\n+a "b"')
    told = [event for event in found if event["type"].startswith("response.custom_tool_call_input")]
    assert "".join(event.get("delta", "") for event in told) == told[-1]["input"] == item["input"]
    assert not any("function_call_arguments" in event["type"] for event in found)


def test_a_bare_object_as_qwen_coder_writes_it_is_a_call(engine: Any, client: openai.AsyncOpenAI) -> None:
    engine.text = ['I look.\n```json\n{"name": "shell", "arguments": {"command": ["ls"]}}\n```']
    message, call = run(client)[-1]["response"]["output"]
    assert message["content"][0]["text"] == "I look."
    assert call["name"] == "shell"


def test_a_history_of_all_kinds_of_items_is_told_again(engine: Any, client: openai.AsyncOpenAI) -> None:
    assert run(client, input=[*INPUT, *HISTORY])[-1]["type"] == "response.completed"
    (prompt,) = engine.prompts
    order = ["List the files.", "I look.", '"command": ["ls"]', '"input": "*** Begin', "README.md", "Done.", "opened"]
    places = [prompt.index(text) for text in order]
    assert places == sorted(places)
    assert "gAAA" not in prompt


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [SHELL, {"type": "local_shell"}]}, "tools[1].type"),
        ({"tools": [SHELL, {"type": "code_interpreter", "container": {}}]}, "tools[1].type"),
        ({"tools": [SEARCH]}, "tools[0].type"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [SEARCH]}]}, "tools[0].tools[0].type"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": []}]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [SEARCH, SHELL, {**SHELL, "name": "bad name"}]}, "tools[2].name"),
        ({"tools": [SHELL], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tools": [SHELL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"input": []}, "input"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]},
            "input[0].content[0]",
        ),
        ({"input": [{"type": "local_shell_call"}]}, "input[0].type"),
        ({"input": [*INPUT, {"type": "function_call", "name": "f", "call_id": "c"}]}, "input[3].arguments"),
        (
            {"input": [*INPUT, *HISTORY, {"type": "function_call_output", "call_id": "x", "output": ""}]},
            "input[12].call_id",
        ),
        ({"input": [*INPUT, {"role": "system", "content": "late"}]}, "input[3]"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"input": "fox " * 2000}, "input"),
    ],
)
def test_faults_are_told_by_the_names_of_the_client(client: openai.AsyncOpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        run(client, **fields)
    assert refusal.value.param == param, refusal.value.message
    assert "messages[" not in refusal.value.message


def test_only_the_tools_that_are_allowed_may_be_called(engine: Any, client: openai.AsyncOpenAI) -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}
    run(client, tool_choice=choice)
    assert '"name": "shell"' not in engine.prompts[0]
    assert '"name": "apply_patch"' in engine.prompts[0]
