"""Formats, grammars and the parser of tool calls, and that the built-in model is held to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import pagoda
from pagoda.chat.openai_types import NamedToolChoice, Tool, ToolChoice
from pagoda.engine.sampling.structured import GrammarCompiler, unpack_bitmask
from pagoda.errors import ConfigError
from pagoda.llm import LLM
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.models.tokenizer.tool_formats import FORMATS, HERMES, LLAMA3_JSON, MISTRAL, ToolFormat, tool_format
from pagoda.sampling_params import SamplingParams
from pagoda.server.json_schemas import Shape
from pagoda.server.tools.calls import ToolCallParser, joined, new_call_id
from pagoda.server.tools.formats import tool_shape

BUILTIN = Path(pagoda.__file__).parent / "builtin"
TOKENIZER = Tokenizer.from_directory(BUILTIN)
CITY = {"type": "string", "maxLength": 6}
SCHEMA = {
    "type": "object",
    "properties": {"city": CITY, "unit": {"enum": ["C", "F"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS = [
    Tool.model_validate({"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}),
    Tool.model_validate({"type": "function", "function": {"name": "now"}}),
]
NAMES = ["get_weather", "now"]
NAMED = NamedToolChoice.model_validate({"function": {"name": "get_weather"}})
GOOD = {"name": "get_weather", "arguments": {"city": "北京", "unit": "C"}}
BAD = {"name": "get_weather", "arguments": {"city": "北京", "unit": "K"}}
NOW = {"name": "now", "arguments": {}}
formats = pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))


def accepts(shape: Shape, text: str) -> bool:
    """Whether the grammar lets a model write exactly this."""
    assert shape.constraint is not None
    matcher = GrammarCompiler(TOKENIZER).compile(shape.constraint)
    for token_id in [*TOKENIZER.encode(text, add_special_tokens=False), TOKENIZER.eos_token_id]:
        assert token_id is not None
        if not unpack_bitmask(matcher.bitmask(), TOKENIZER.num_tokens)[token_id]:
            return False
        matcher.advance(token_id)
    return True


@formats
@pytest.mark.parametrize("choice", ["auto", "required", NAMED], ids=["auto", "required", "named"])
def test_a_call_is_held_to_its_schema(form: ToolFormat, choice: ToolChoice) -> None:
    constraint = tool_shape(form, TOOLS, choice)
    assert accepts(constraint, form.write([GOOD]))
    assert not accepts(constraint, form.write([BAD]))


@formats
def test_what_is_forced_is_calls_and_nothing_else(form: ToolFormat) -> None:
    required = tool_shape(form, TOOLS, "required")
    assert accepts(required, form.write([GOOD, NOW]))
    assert not accepts(required, "no")
    assert not accepts(tool_shape(form, TOOLS, NAMED), form.write([NOW]))
    assert not accepts(tool_shape(form, TOOLS, "required", parallel=False), form.write([GOOD, NOW]))


@formats
def test_of_its_own_accord_a_model_writes_what_it_likes(form: ToolFormat) -> None:
    constraint = tool_shape(form, TOOLS, "auto")
    for text in ("好的 🦊", '{"name": "Alice"}', "a <tool b [TOOL] {", "看看。\n" + form.write([GOOD])):
        assert accepts(constraint, text), text
    assert accepts(constraint, form.write([GOOD, NOW]))
    assert not accepts(tool_shape(form, TOOLS, "auto", parallel=False), form.write([GOOD, NOW]))


@formats
def test_beside_tools_an_answer_may_be_held_to_a_schema(form: ToolFormat) -> None:
    constraint = tool_shape(form, TOOLS, "auto", answer_schema={"type": "object", "required": ["x"]})
    assert accepts(constraint, '{"x": 1}')
    assert accepts(constraint, form.write([GOOD]))
    assert not accepts(constraint, "hello")


def test_fields_that_a_schema_does_not_name_are_not_invented_unless_it_allows_them() -> None:
    def held(**more: Any) -> Shape:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, **more}
        return tool_shape(
            HERMES,
            [Tool.model_validate({"type": "function", "function": {"name": "f", "parameters": schema}})],
            "required",
        )

    text = HERMES.write([{"name": "f", "arguments": {"a": 1, "b": 2}}])
    assert not accepts(held(), text)
    assert accepts(held(additionalProperties=True), text)


def test_without_tools_or_with_none_nothing_is_held() -> None:
    assert tool_shape(HERMES, [], "auto") == Shape()
    assert tool_shape(HERMES, TOOLS, "none") == Shape()


def test_a_mark_that_is_a_special_token_is_asked_for_by_its_id() -> None:
    constraint = tool_shape(MISTRAL, TOOLS, "auto", special={"[TOOL_CALLS]": 5}).constraint
    assert constraint is not None
    assert "<[5]>" in str(constraint.grammar)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ '<tool_call>' }}", HERMES),
        ("{{ '<|python_tag|>' }}", LLAMA3_JSON),
        ("{{ '[TOOL_CALLS]' }}", MISTRAL),
        ("", HERMES),
        (None, HERMES),
    ],
)
def test_the_format_is_found_in_the_template(source: str | None, expected: ToolFormat) -> None:
    assert tool_format("auto", source) is expected


def test_an_unknown_format_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match='did you mean "hermes"'):
        tool_format("hermse")


@formats
def test_calls_are_read_back(form: ToolFormat) -> None:
    content, calls = joined(ToolCallParser(form, NAMES).push("看。 " + form.write([GOOD, NOW]) + "\n", finished=True))
    assert content == "看。"
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("get_weather", GOOD["arguments"]),
        ("now", {}),
    ]


@formats
def test_arguments_come_while_they_are_written(form: ToolFormat) -> None:
    parser = ToolCallParser(form, NAMES)
    text = form.write([GOOD])
    middle = text.index("北京") + 1
    _, (begun,) = joined(parser.push(text[:middle]))
    assert begun.arguments == '{"city": "北'


def test_the_models_own_spacing_of_arguments_is_kept() -> None:
    text = '<tool_call>{"name":"now","arguments":{ "a" :1 }}</tool_call>'
    _, (call,) = joined(ToolCallParser(HERMES, NAMES).push(text, finished=True))
    assert call.arguments == '{ "a" :1 }'


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "now", "arguments": "x"}</tool_call>',
        "<tool_call>now()</tool_call>",
        '<tool_call>\n{"name": "no',
    ],
)
def test_what_begins_like_a_call_and_is_none_stays_content(text: str) -> None:
    assert joined(ToolCallParser(HERMES, NAMES).push(text, finished=True)) == (text, [])


def test_a_forced_head_that_was_cut_off_is_not_shown() -> None:
    parser = ToolCallParser(HERMES, NAMES, forced=True)
    assert parser.push('<tool_call>\n{"name": "no', finished=True) == []


def test_ids_have_the_length_that_templates_ask_for() -> None:
    assert len(new_call_id(MISTRAL)) == 9
    assert new_call_id(MISTRAL).isalnum()
    assert new_call_id(HERMES).startswith("call_")


@pytest.fixture(scope="module")
def builtin_llm() -> LLM:
    return LLM(BUILTIN, device="cpu", num_gpu_blocks_override=256, disable_log_stats=True)


@formats
@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_the_builtin_model_gives_a_valid_call_when_it_must(
    builtin_llm: LLM, form: ToolFormat, choice: ToolChoice
) -> None:
    held = tool_shape(form, TOOLS, choice, parallel=False)
    params = SamplingParams(max_tokens=200, seed=1, structured_outputs=held.constraint)
    (output,) = builtin_llm.generate("Weather?", params, use_tqdm=False)
    content, (call,) = joined(ToolCallParser(form, NAMES).push(output.outputs[0].text, finished=True))
    arguments = json.loads(call.arguments)
    assert content == ""
    assert output.outputs[0].finish_reason == "stop"
    if call.name == "get_weather":
        assert set(arguments) == {"city", "unit"}
        assert arguments["unit"] in ("C", "F")
    else:
        assert arguments == {}


BARE = '{"name": "get_weather", "arguments": {"city": "北京", "unit": "C"}}'


@formats
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "content", "count"),
    [
        (BARE, "", 1),
        (f"\n {BARE}\n", "", 1),
        (f"```json\n{BARE}\n```", "", 1),
        (f"```\n{BARE}\n```\n", "", 1),
        (f"Let me look.\n```json\n{BARE}\n```\nDone.", "Let me look.Done.", 1),
        (f"Let me look: {BARE}", "Let me look:", 1),
        (f"<tools>\n{BARE}\n</tools>", "", 1),
        (f"<tools>\n{BARE}\n{BARE}\n</tools>", "", 2),
        (f"{BARE}\n{BARE}", "", 2),
        (BARE.replace("arguments", "parameters"), "", 1),
        (BARE.replace(" ", "\n  "), "", 1),
    ],
)
def test_a_call_without_the_marks_of_its_format_is_read(
    form: ToolFormat, size: int, text: str, content: str, count: int
) -> None:
    parser = ToolCallParser(form, NAMES)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    deltas = [delta for piece in pieces for delta in parser.push(piece)] + parser.push("", finished=True)
    found, calls = joined(deltas)
    assert len(calls) == count
    assert all(call.name == "get_weather" for call in calls)
    assert all(json.loads(call.arguments) == {"city": "北京", "unit": "C"} for call in calls)
    assert found.replace("\n", "") == content


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "text",
    [
        BARE.replace("get_weather", "get_time"),
        '{"name": "get_weather"}',
        '{"name": "get_weather", "arguments": "Paris"}',
        '{"name": "get_weather", "city": "Paris", "arguments": {}}',
        '{"tool": "get_weather", "arguments": {}}',
        f"Write `{BARE}` to call it.",
        f'As text: "{BARE}"',
        f"f({BARE})",
        '```json\n{"name": "Alice", "age": 5}\n```',
        "```python\nprint({'name': 'get_weather'})\n```",
        "```js",
        "a ``` b { c < d",
        '{"name": "get_',
    ],
)
def test_what_only_looks_like_a_bare_call_is_content(size: int, text: str) -> None:
    parser = ToolCallParser(HERMES, NAMES)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    deltas = [delta for piece in pieces for delta in parser.push(piece)] + parser.push("", finished=True)
    assert joined(deltas) == (text, [])
