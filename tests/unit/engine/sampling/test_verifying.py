"""What is kept of several sampled tokens: those that the proposals before them led to."""

from __future__ import annotations

import pytest

from pagoda.engine.outputs import SampledToken
from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.sampler import NO_TOKEN
from pagoda.engine.sampling.verifying import verified
from pagoda.sampling_params import SamplingParams

PARAMS = SamplingParams()


def _kept(sampled: list[int], proposed: list[int]) -> list[int]:
    rows = [SampleRow("a", PARAMS, 0, position) for position in range(len(sampled))]
    answers = verified(rows, [SampledToken(token_id) for token_id in sampled], {"a": proposed} if proposed else {})
    return [token.token_id for token in answers["a"]]


@pytest.mark.parametrize(
    ("sampled", "proposed", "kept"),
    [
        ([5], [], [5]),
        ([5, 6, 7], [5, 6], [5, 6, 7]),
        ([5, 6, 7], [5, 9], [5, 6]),
        ([5, 6, 7], [9, 6], [5]),
        ([5, 6, 7, 8], [5, 9, 7], [5, 6]),  # right again, behind what was never said
        ([5, 6], [5, 6, 7], [5, 6]),  # rows may be fewer than proposals, where a grammar forbids one
        ([NO_TOKEN], [], [NO_TOKEN]),
        ([NO_TOKEN, 6], [5], [NO_TOKEN]),
        ([5, NO_TOKEN, 7], [5, 6], [5]),
        ([5, 6, NO_TOKEN], [5, 6], [5, 6]),
    ],
)
def test_tokens_are_kept_up_to_the_first_that_was_not_proposed(
    sampled: list[int], proposed: list[int], kept: list[int]
) -> None:
    assert _kept(sampled, proposed) == kept


def test_each_request_goes_its_own_way() -> None:
    rows = [
        SampleRow(name, PARAMS, 0, position)
        for name, count in (("a", 2), ("b", 1), ("c", 3))
        for position in range(count)
    ]
    sampled = [SampledToken(token_id) for token_id in (1, 2, 3, 4, 5, 6)]
    kept = verified(rows, sampled, {"a": (9,), "c": (4, 5)})
    assert {name: [token.token_id for token in tokens] for name, tokens in kept.items()} == {
        "a": [1], "b": [3], "c": [4, 5, 6],
    }  # fmt: skip
