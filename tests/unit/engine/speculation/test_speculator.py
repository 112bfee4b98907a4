"""Who is asked for proposals, and for how many: by what came of the last ones, request by request."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pagoda.engine.outputs import SampledToken
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.speculation.speculator import Prices, Speculator
from pagoda.engine.speculation.step_costs import StepCosts
from pagoda.sampling_params import SamplingParams

COSTS = StepCosts((1, 2, 12), (1.0, 1.1, 2.1))
"""A row more costs a tenth of a step."""


class Listing:
    """Proposes zeros, and notes for whom."""

    def __init__(self, silent: Sequence[str] = ()) -> None:
        self.forgotten: list[str] = []
        self._silent = silent

    def reach(self, core_request: CoreRequest, most: int) -> int:
        return 0 if core_request.request.request_id in self._silent else most

    def propose(self, wanted: Sequence[tuple[CoreRequest, int]]) -> dict[str, list[int]]:
        assert all(count > 0 for _, count in wanted)
        return {core_request.request.request_id: [0] * count for core_request, count in wanted}

    def forget(self, request_id: str) -> None:
        self.forgotten.append(request_id)


def _requests(*names: str, max_tokens: int = 10_000) -> list[CoreRequest]:
    params = SamplingParams(temperature=0)
    return [
        CoreRequest(Request(request_id=name, prompt_token_ids=[1], sampling_params=params, max_tokens=max_tokens))
        for name in names
    ]


def _step(speculator: Speculator, requests: Sequence[CoreRequest], right: dict[str, float]) -> dict[str, int]:
    """One step in which a share of each request's proposals was right; how many each had."""
    proposals = speculator.propose(requests)
    counts = {core_request.request.request_id: 0 for core_request in requests}
    counts |= {name: len(tokens) for name, tokens in proposals.items()}
    scheduled, tokens = [], {}
    for name, count in counts.items():
        scheduled.append(ScheduledRequest(name, (5, *[0] * count), 1, (0,), True, 1 + count, 1, count))
        tokens[name] = (SampledToken(0),) * (1 + int(count * right[name]))
    speculator.observe(SchedulerOutput(0, tuple(scheduled), {}, 0, (), (), ()), StepOutput(tokens))
    return counts


def test_who_is_right_gets_more_and_who_is_wrong_gets_none() -> None:
    speculator = Speculator(Listing(), Prices(step=COSTS, most=6))
    requests = _requests("right", "wrong")
    first = speculator.propose(requests)
    assert len(first["right"]) == len(first["wrong"]) > 0
    for _ in range(30):
        counts = _step(speculator, requests, {"right": 1.0, "wrong": 0.0})
    assert counts == {"right": 6, "wrong": 0}


def test_what_does_not_pay_is_tried_again_and_rarely() -> None:
    speculator = Speculator(Listing(), Prices(step=COSTS, most=4))
    requests = _requests("a")
    counts = [_step(speculator, requests, {"a": 0.0})["a"] for _ in range(2000)]
    assert counts[0] > 0
    assert 0 < sum(count > 0 for count in counts[100:]) < 0.15 * 1900
    assert 1 in counts[100:]
    again = [_step(speculator, requests, {"a": 1.0})["a"] for _ in range(200)]
    assert again[-1] == 4, "a text that begins to copy is found out"


def test_a_new_request_begins_where_the_others_are() -> None:
    speculator = Speculator(Listing(), Prices(step=COSTS, most=6))
    for number in range(20):
        requests = _requests(f"wrong {number}")
        for _ in range(20):
            _step(speculator, requests, {f"wrong {number}": 0.0})
        speculator.forget(f"wrong {number}")
    assert len(speculator.propose(_requests("new")).get("new", ())) <= 1


def test_who_has_nothing_to_propose_is_not_asked() -> None:
    speculator = Speculator(Listing(silent=("b",)), Prices(step=COSTS, most=3))
    assert speculator.propose(_requests("a", "b")).keys() == {"a"}
    assert speculator.propose(_requests("b")) == {}


@pytest.mark.parametrize(("max_tokens", "count"), [(1, 0), (2, 1), (3, 2)])
def test_no_more_is_proposed_than_an_answer_may_still_have(max_tokens: int, count: int) -> None:
    free = StepCosts((1, 2), (1.0, 1.0))
    speculator = Speculator(Listing(), Prices(step=free, most=5))
    assert len(speculator.propose(_requests("a", max_tokens=max_tokens)).get("a", ())) == count


def test_a_draft_costs_what_its_step_costs_for_each_of_its_requests() -> None:
    assert Prices(step=COSTS, most=5).drafting_s(4) == 0.0
    assert Prices(step=COSTS, draft=StepCosts((1, 5), (0.4, 0.8)), most=5).drafting_s(5) == pytest.approx(0.16)


def test_what_ended_is_forgotten() -> None:
    proposer = Listing()
    speculator = Speculator(proposer, Prices(step=COSTS, most=5))
    _step(speculator, _requests("a"), {"a": 0.0})
    speculator.forget("a")
    assert proposer.forgotten == ["a"]
    assert not speculator._rates
