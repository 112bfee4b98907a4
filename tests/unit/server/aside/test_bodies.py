"""Large bodies are read as small ones are: the same values, the same refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from pagoda.errors import InvalidRequestError
from pagoda.server.aside.bodies import MAX_DEPTH, read_in_steps, read_json
from pagoda.server.aside.threads import LIGHT

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def _outcome(read: Any, body: bytes) -> Any:
    try:
        return read(body)
    except (ValueError, RecursionError):
        return "refused"


@given(values, st.booleans())
def test_values_are_the_same(value: Any, ascii_only: bool) -> None:
    try:
        body = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only escapes can write
        body = json.dumps(value).encode()
    assert _outcome(read_in_steps, body) == _outcome(lambda text: from_json(text, allow_inf_nan=False), body)


@given(values)
def test_the_parser_for_many_strings_reads_the_same(value: Any) -> None:
    many = [""] * 60_000
    body = json.dumps([value, many]).encode()
    assert read_in_steps(body) == [json.loads(json.dumps(value)), many]


MARKS = ['"', "\\", "\\u", "[", "]", "{", "}", ",", ":", "-", ".", "\n", "\x01"]
SCRAPS = [*MARKS, "d83d", "DE00", "d8", "0", "1", "e9", "NaN", "Infinity", "null", "true", "é", "a"]


@given(st.lists(st.sampled_from(SCRAPS), max_size=12))
def test_scraps_of_json_are_refused_by_both_or_by_neither(scraps: list[str]) -> None:
    body = "".join(scraps).encode()
    assert _outcome(read_in_steps, body) == _outcome(lambda text: from_json(text, allow_inf_nan=False), body)


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        (r'"\ud83d\ude00"', True),
        (r'"\ude00\ud83d"', False),
        (r'"\ud83d"', False),
        (r'"\\ud83d"', True),
        (r'"\\\ud83d"', False),
        (r'"\ud83d\ud83d\ude00"', False),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, True),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), False),
        ("[" * 100_000 + "]" * 100_000, False),
        ("\ufeff1", False),
        ("9" * 5000, False),
        ("-Infinity", False),
    ],
)
def test_what_either_parser_might_let_pass(text: str, sound: bool) -> None:
    body = text.encode()
    assert (_outcome(read_in_steps, body) != "refused") is sound
    assert (_outcome(lambda given: from_json(given, allow_inf_nan=False), body) != "refused") is sound


def test_a_large_body_that_is_not_json_is_refused_in_one_sentence() -> None:
    with pytest.raises(InvalidRequestError, match=r"the body is not valid JSON: .*line 1 column"):
        read_json(b'{"prompt": "' + b"x" * LIGHT + b'", oh}')
    with pytest.raises(InvalidRequestError, match="lone surrogate"):
        read_json(b'"' + b"x" * LIGHT + b'\\ud800"')
    with pytest.raises(InvalidRequestError, match="the body is not valid JSON"):
        read_json(b"\xff" * (LIGHT + 1))
