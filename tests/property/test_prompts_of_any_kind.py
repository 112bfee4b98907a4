"""Whatever is handed to LLM's methods, there is an answer or an error of pagoda's own, and the engine is left idle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.errors import PagodaError
from pagoda.llm import LLM
from pagoda.sampling_params import BeamSearchParams, SamplingParams

# Surrogates are characters to hypothesis only where they are asked for.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=12) | st.just("\ud83d") | st.just("fox \udc00")
SCALARS = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-2, 400),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.binary(max_size=4),
    st.sampled_from(
        [np.int64(5), np.float32(1.5), np.array([5, 6]), np.array([[5], [6]]), np.array("x"), object(), int]
    ),
)
KEYS = st.sampled_from(
    [
        "prompt",
        "prompt_token_ids",
        "cache_salt",
        "multi_modal_data",
        "role",
        "content",
        "text",
        "type",
        "tool_calls",
        "x",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(KEYS | st.integers(0, 1), inner, max_size=3),
        st.frozensets(st.integers(0, 9), max_size=2),
        st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "tool", "function", 3]), "content": inner}),
    ),
    max_leaves=6,
)
SHORT = SamplingParams(max_tokens=1, temperature=0)
CALLS: dict[str, Callable[[LLM, Any], object]] = {
    "generate": lambda llm, value: llm.generate(value, SHORT, use_tqdm=False),
    "chat": lambda llm, value: llm.chat(value, SHORT, use_tqdm=False),
    "embed": lambda llm, value: llm.embed(value, use_tqdm=False),
    "encode": lambda llm, value: llm.encode(value, use_tqdm=False),
    "score": lambda llm, value: llm.score(value, [value, "x"], use_tqdm=False),
    "enqueue": lambda llm, value: (llm.enqueue(value, SHORT), llm.wait_for_completion(use_tqdm=False)),
    "stream": lambda llm, value: list(llm.stream(value, SHORT)),
    "beam_search": lambda llm, value: llm.beam_search(value, BeamSearchParams(1, 1)),
    "sampling_params": lambda llm, value: llm.generate("x", value, use_tqdm=False),
    "pooling_params": lambda llm, value: llm.embed("x", value, use_tqdm=False),
    "priority": lambda llm, value: llm.generate("x", SHORT, priority=value, use_tqdm=False),
    "tools": lambda llm, value: llm.chat([{"role": "user", "content": "x"}], SHORT, use_tqdm=False, tools=value),
}


@pytest.mark.parametrize("call", CALLS)
def test_any_value_gives_an_answer_or_an_error_of_ours(call: str, llm: LLM, assert_idle: Callable[[LLM], None]) -> None:
    @settings(max_examples=60)
    @given(VALUES)
    def one(value: Any) -> None:
        with suppress(PagodaError):
            CALLS[call](llm, value)

    one()
    assert_idle(llm)


@pytest.mark.parametrize("place", ["stop", "bad_words", "choice", "regex", "json", "grammar"])
def test_half_a_character_in_a_parameter(place: str, llm: LLM, assert_idle: Callable[[LLM], None]) -> None:
    lone: dict[str, Any] = {
        "choice": ["\ud83d"], "regex": "\ud83d+", "json": {"const": "\ud83d"}, "grammar": 'start: "\ud83d"',
    }  # fmt: skip
    fields = {"structured_outputs": {place: lone[place]}} if place in lone else {place: ["\ud83d"]}
    with suppress(PagodaError):
        llm.generate("x", SamplingParams.from_dict({"max_tokens": 2, **fields}), use_tqdm=False)
    assert_idle(llm)
