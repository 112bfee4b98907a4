"""However an answer is cut into pieces, the tool calls read from it are the same."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pagoda.models.tokenizer.tool_formats import FORMATS, ToolFormat
from pagoda.server.tools.calls import ContentDelta, ToolCallParser, ToolDelta, joined

NAMES = ["get", "get_weather", "查询"]
# Whatever the formats give a meaning to, so that near misses of calls are common.
FRAGMENTS = [
    *("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[", "]", "{", "}", '{"name": "get"', ', "arguments": ', "; "),
    *(
        '{"name": "get", "arguments": {"x": "}"}}',
        '{"name": "查询", "parameters": {"城": "北京"}}',
        "\n",
        " ",
        "好",
        "🦊",
        "a",
    ),
]
formats = st.sampled_from(list(FORMATS.values()))
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
arguments = st.dictionaries(st.text(max_size=5), st.one_of(st.text(), st.integers(), st.lists(st.text())), max_size=3)
calls = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(NAMES), "arguments": arguments}), min_size=1, max_size=3
)


def read(form: ToolFormat, pieces: list[str]) -> list[ToolDelta]:
    ids = iter(range(1000))
    parser = ToolCallParser(form, NAMES, new_id=lambda: f"call_{next(ids)}")
    deltas = [delta for piece in pieces for delta in parser.push(piece)]
    return deltas + parser.push("", finished=True)


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


@given(formats, texts, st.lists(st.integers(0, 10_000), max_size=12))
def test_the_cuts_do_not_change_what_is_read(form: ToolFormat, text: str, places: list[int]) -> None:
    assert joined(read(form, cut(text, places))) == joined(read(form, [text]))


@given(formats, texts)
def test_reading_character_by_character_changes_nothing(form: ToolFormat, text: str) -> None:
    assert joined(read(form, list(text))) == joined(read(form, [text]))


@given(formats, calls, st.lists(st.integers(0, 10_000), max_size=12))
def test_what_a_format_writes_is_read_back(form: ToolFormat, given_calls: list[dict], places: list[int]) -> None:
    content, found = joined(read(form, cut(form.write(given_calls), places)))
    assert content == ""
    assert [{"name": call.name, "arguments": json.loads(call.arguments)} for call in found] == given_calls


@given(formats, st.text(alphabet=st.characters(exclude_characters="<[{", exclude_categories=["Cs"])))
def test_text_without_a_call_comes_out_as_it_is(form: ToolFormat, text: str) -> None:
    deltas = read(form, list(text))
    assert all(isinstance(delta, ContentDelta) for delta in deltas)
    assert joined(deltas) == (text, [])


@given(formats, texts)
def test_nothing_is_shown_twice_and_nothing_but_calls_and_layout_disappears(form: ToolFormat, text: str) -> None:
    content, found = joined(read(form, [text]))
    if not found:
        assert content == text
    position = 0
    for character in content:
        position = text.index(character, position) + 1
