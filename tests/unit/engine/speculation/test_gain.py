"""How many tokens are proposed: as many as pay, by what is counted and by what rows cost."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagoda.engine.speculation.gain import LEAST_GAIN, AcceptanceRate, share
from pagoda.engine.speculation.step_costs import StepCosts

FREE = StepCosts((1, 2), (1.0, 1.0))
DEAR = StepCosts((1, 2), (1.0, 2.0))
"""Twice the rows take twice the time: nothing is gained by guesses, however good."""


def test_rows_that_cost_nothing_are_all_taken() -> None:
    assert share([0.5, 0.1], [4, 2], 2, FREE) == [4, 2]


def test_rows_that_cost_as_much_as_a_step_are_never_taken() -> None:
    assert share([0.99], [5], 1, DEAR) == [0]
    assert share([0.99, 0.9], [5, 5], 2, DEAR) == [0, 0]


def test_who_is_right_more_often_gets_more() -> None:
    few = share([0.9, 0.4], [8, 8], 2, StepCosts((2, 12), (1.0, 2.0)))
    assert few[0] > few[1] > 0


def test_a_draft_that_takes_long_proposes_less() -> None:
    costs = StepCosts((1, 11), (1.0, 1.5))
    alone, beside = share([0.8], [10], 1, costs), share([0.8], [10], 1, costs, drafting_s=0.2)
    assert alone > beside > [0]
    assert share([0.8], [10], 1, costs, drafting_s=1.0) == [0]


def test_the_more_answers_run_the_fewer_tokens_each_gets() -> None:
    costs = StepCosts((1, 4, 64), (1.0, 1.1, 8.0))
    alone, among_thirty = share([0.7], [8], 1, costs), share([0.7], [8], 30, costs)
    assert alone[0] > 2
    assert among_thirty == [0]


def test_a_step_that_takes_rows_in_blocks_is_filled() -> None:
    blocks = StepCosts((1, 2, 8), (1.0, 1.9, 1.9))
    assert share([0.9], [7], 1, blocks) == [7]
    assert share([0.9], [1], 1, blocks) == [0]


def _goodput(
    counts: tuple[int, ...], rates: list[float], num_requests: int, costs: StepCosts, drafting_s: float
) -> float:
    tokens = num_requests + sum(
        rate**place for rate, count in zip(rates, counts, strict=True) for place in range(1, count + 1)
    )
    return tokens / (costs.of(num_requests + sum(counts)) + drafting_s * sum(counts))


@given(
    st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3),
    st.integers(0, 2),
    st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4),
    st.floats(0.0, 0.3),
)
def test_no_other_shares_bring_more_tokens_a_second(
    rates: list[float], num_others: int, steps: list[float], drafting_s: float
) -> None:
    seconds = [1.0]
    for step in steps:
        seconds.append(seconds[-1] + step)
    costs = StepCosts((1, 2, 4, 6, 12), tuple(seconds))
    num_requests = len(rates) + num_others
    reaches = [3] * len(rates)
    chosen = tuple(share(rates, reaches, num_requests, costs, drafting_s))
    best = max(
        _goodput(counts, rates, num_requests, costs, drafting_s) for counts in product(range(4), repeat=len(rates))
    )
    without = _goodput((0,) * len(rates), rates, num_requests, costs, drafting_s)
    if any(chosen):
        assert _goodput(chosen, rates, num_requests, costs, drafting_s) == pytest.approx(best)
    else:
        assert best <= LEAST_GAIN * without * (1 + 1e-9)


def test_a_rate_follows_what_is_seen_and_fades_back() -> None:
    rate = AcceptanceRate(fading=0.9, weight=2.0)
    assert rate.of(0.6) == pytest.approx(0.6)
    for _ in range(20):
        rate.observe(4, 0, 1)
    low = rate.of(0.6)
    assert low < 0.15
    rate.observe(0, 0, 1)
    assert rate.of(0.6) > low
    for _ in range(100):
        rate.observe(0, 0, 1)
    assert rate.of(0.6) == pytest.approx(0.6, abs=1e-3), "nothing is held against it for ever"
    for _ in range(20):
        rate.observe(4, 4, 5)
    assert rate.of(0.6) > 0.85


def test_what_stands_behind_a_wrong_token_says_nothing() -> None:
    one, four = AcceptanceRate(0.9, 2.0), AcceptanceRate(0.9, 2.0)
    one.observe(1, 0, 1)
    four.observe(4, 0, 1)
    assert one == four
