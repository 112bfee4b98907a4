"""Looking up: what followed the last tokens before, against a search of the whole text."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.scheduling.request import Request
from pagoda.engine.speculation.ngram import _MAX_CANDIDATES, NgramIndex, NgramProposer
from pagoda.sampling_params import SamplingParams


def _following(tokens: Sequence[int], least: int, most: int, num_tokens: int) -> list[int]:
    """By its definition: the longest ending that stood before, its latest place, and what came there."""
    for length in range(most, least - 1, -1):
        for place in range(len(tokens) - 1, length - 1, -1):
            if length < len(tokens) and tokens[place - length : place] == tokens[-length:]:
                going_on = list(tokens)
                for offset in range(num_tokens):
                    going_on.append(going_on[place + offset])
                return going_on[len(tokens) :]
    return []


@given(
    st.lists(st.integers(0, 3), max_size=_MAX_CANDIDATES),
    st.lists(st.integers(1, 9), max_size=8),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 8),
)
def test_the_longest_and_latest_place_counts_however_the_text_came(
    tokens: list[int], pieces: list[int], least: int, more: int, num_tokens: int
) -> None:
    index = NgramIndex(least, least + more)
    start = 0
    for piece in [*pieces, len(tokens)]:
        index.extend(tokens[start : start + piece])
        start += piece
    assert len(index) == len(tokens)
    assert index.following(num_tokens) == _following(tokens, least, least + more, num_tokens)


def test_text_that_repeats_itself_goes_on_repeating() -> None:
    index = NgramIndex(2, 4)
    index.extend([9, 1, 2, 3, 1, 2, 3, 1])
    assert index.following(7) == [2, 3, 1, 2, 3, 1, 2]


def test_a_phrase_that_stands_everywhere_is_not_sought_everywhere() -> None:
    index = NgramIndex(1, 3)
    index.extend([7, 8, 5, *([0, 5] * (_MAX_CANDIDATES + 5)), 8, 5])
    assert index.following(1) == [8], "the only place with two tokens in common lies further back than is looked"


def _request(prompt: list[int], said: list[int]) -> CoreRequest:
    request = Request(
        request_id="a", prompt_token_ids=prompt, sampling_params=SamplingParams(temperature=0), max_tokens=20
    )
    request.output_token_ids.extend(said)
    return CoreRequest(request)


def test_prompt_and_answer_are_one_text_that_grows() -> None:
    proposer = NgramProposer(2, 4)
    core_request = _request([1, 2, 3, 4], [1])
    assert proposer.reach(core_request, 3) == 0
    core_request.request.output_token_ids.append(2)
    assert proposer.reach(core_request, 3) == 3
    assert proposer.propose([(core_request, 2)]) == {"a": [3, 4]}


def test_an_id_that_comes_again_begins_anew() -> None:
    proposer = NgramProposer(1, 4)
    assert proposer.reach(_request([1, 2], [1]), 5) == 5
    proposer.forget("a")
    proposer.forget("a")
    assert proposer.reach(_request([3, 4, 5], [1]), 5) == 0
