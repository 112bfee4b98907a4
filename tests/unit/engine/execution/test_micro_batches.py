"""A step in parts: all tokens, in their order, at their places, in parts of nearly one size."""

from __future__ import annotations

import random

import pytest

from pagoda.engine.execution.micro_batches import micro_batches
from pagoda.engine.scheduling.plan import ScheduledRequest


def _requests(lengths: list[int]) -> list[ScheduledRequest]:
    return [
        ScheduledRequest(str(index), tuple(range(length)), 10 * index, (index,), True, 1, length)
        for index, length in enumerate(lengths)
    ]


@pytest.mark.parametrize("num_stages", [1, 2, 3])
def test_parts_make_up_the_step(num_stages: int) -> None:
    chance = random.Random(0)
    for _ in range(200):
        scheduled = _requests([chance.choice((1, 1, 1, 5, 70, 600)) for _ in range(chance.randint(1, 40))])
        parts = micro_batches(scheduled, num_stages)
        fed = [
            (entry.request_id, entry.num_computed_tokens + offset, token)
            for part in parts
            for entry in part
            for offset, token in enumerate(entry.token_ids)
        ]
        assert fed == [
            (entry.request_id, entry.num_computed_tokens + offset, token)
            for entry in scheduled
            for offset, token in enumerate(entry.token_ids)
        ]
        sizes = [sum(len(entry.token_ids) for entry in part) for part in parts]
        assert len(parts) <= 2 * num_stages
        assert max(sizes) - min(sizes) <= 1
        assert all(entry.token_ids for part in parts for entry in part)


def test_a_step_of_few_tokens_stays_whole() -> None:
    assert len(micro_batches(_requests([1] * 100), 2)) == 1
    assert len(micro_batches(_requests([512]), 2)) == 4
