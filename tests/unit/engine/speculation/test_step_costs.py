"""Seconds by rows: what is measured, on a clock of the test's own, and what lies between."""

from __future__ import annotations

import pytest

from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.engine.speculation.step_costs import NUM_ROWS, StepCosts, measured


def test_costs_lie_on_straight_lines() -> None:
    costs = StepCosts((1, 2, 4, 8), (1.0, 1.5, 2.0, 4.0))
    assert [costs.of(rows) for rows in (1, 2, 3, 4, 6, 8, 12)] == [1.0, 1.5, 1.75, 2.0, 3.0, 4.0, 6.0]
    assert StepCosts((1,), (2.0,)).of(5) == 2.0


class Machine:
    """Takes ten seconds a step and one a row; every second round something else takes another hundred."""

    def __init__(self) -> None:
        self.now = 0.0
        self.plans: list[SchedulerOutput] = []

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        [entry] = plan.scheduled
        assert len(rows.samples) in (0, len(entry.token_ids))
        if rows.samples:
            assert entry.num_logits == len(rows.samples)
            assert len(entry.block_ids) * 16 >= entry.num_computed_tokens + len(entry.token_ids)
            self.now += 10 + len(rows.samples) + 100 * (len(self.plans) // len(NUM_ROWS) % 2)
        self.plans.append(plan)
        return StepOutput()


def test_the_best_of_several_rounds_counts() -> None:
    machine = Machine()
    costs = measured(machine, max_num_tokens=4096, block_size=16, vocab_size=50, clock=lambda: machine.now)
    assert costs == StepCosts(NUM_ROWS, tuple(10.0 + rows for rows in NUM_ROWS))
    fed = {token_id for plan in machine.plans for token_id in plan.scheduled[0].token_ids}
    assert fed <= set(range(50))


@pytest.mark.parametrize("max_num_tokens", [1, 2, 5, 30])
def test_a_small_engine_is_measured_as_far_as_it_goes(max_num_tokens: int) -> None:
    machine = Machine()
    costs = measured(machine, max_num_tokens=max_num_tokens, block_size=16, vocab_size=50, clock=lambda: machine.now)
    assert costs.num_rows[0] == 1
    ends = [p.scheduled[0].num_computed_tokens + len(p.scheduled[0].token_ids) for p in machine.plans]
    assert max(ends) <= max_num_tokens


def test_what_is_measured_never_falls() -> None:
    machine, seconds = Machine(), iter([5.0, 3.0, 4.0, 8.0] * 1000)

    def execute(plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        machine.now += next(seconds)
        return StepOutput()

    machine.execute = execute  # type: ignore[method-assign]
    costs = measured(machine, max_num_tokens=4096, block_size=16, vocab_size=50, clock=lambda: machine.now)
    assert list(costs.seconds) == sorted(costs.seconds)
