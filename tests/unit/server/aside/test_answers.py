"""Answers in pieces are what `json.dumps` writes, and no piece is large."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pagoda.server.aside.answers import in_pieces, json_response
from pagoda.server.aside.threads import Aside

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(values)
def test_the_pieces_joined_are_the_json(value: Any) -> None:
    assert "".join(in_pieces(value)) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_long_lists_are_many_small_pieces() -> None:
    value = {
        "tokens": list(range(10_000)),
        "rows": [{"a": 1.5, "top": [None, *({"b": i} for i in range(900))]}] * 3,
        "empty": [[], {}, [[]]],
    }
    pieces = list(in_pieces(value))
    assert json.loads("".join(pieces)) == value
    assert max(map(len, pieces)) < 5000


def test_a_long_answer_is_written_aside_and_is_the_same() -> None:
    for count in (1, 100_000):
        value = {"ids": list(range(count)), "text": "好"}
        response = asyncio.run(json_response(value, Aside()))
        assert json.loads(response.body) == value
        assert response.headers["content-type"] == "application/json"
