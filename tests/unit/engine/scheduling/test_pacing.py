"""Prompts beside running answers: how much of them a step takes."""

from __future__ import annotations

import pytest

from pagoda.engine.args import EngineArgs
from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.pacing import FIRST_PREFILL_TOKENS, MIN_PREFILL_TOKENS, PrefillPacer
from pagoda.engine.scheduling.plan import StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.errors import ConfigError
from pagoda.sampling_params import SamplingParams

DECODE_S = 0.010


def _simulate(pacer: PrefillPacer, seconds_per_token: float, num_steps: int, *, fixed_s: float = 0.0) -> list[float]:
    """Durations of steps on a machine that takes so long for each token of a prompt."""
    for _ in range(20):
        pacer.observe(num_decodes=8, num_prefill_tokens=0, elapsed_s=DECODE_S)
    durations = []
    for _ in range(num_steps):
        count = pacer.max_prefill_tokens
        durations.append(DECODE_S + fixed_s + seconds_per_token * count)
        pacer.observe(num_decodes=8, num_prefill_tokens=count, elapsed_s=durations[-1])
    return durations


@pytest.mark.parametrize("max_slowdown", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("seconds_per_token", [1e-5, 2e-4, 5e-4])
def test_steps_come_to_lie_just_under_the_limit(max_slowdown: float, seconds_per_token: float) -> None:
    pacer = PrefillPacer(max_slowdown)
    durations = _simulate(pacer, seconds_per_token, 100)[20:]
    assert max(durations) <= max_slowdown * DECODE_S * 1.05
    if pacer.max_prefill_tokens > 2 * MIN_PREFILL_TOKENS:
        assert sum(durations) / len(durations) >= 0.6 * max_slowdown * DECODE_S


def test_prompts_advance_even_where_the_limit_cannot_be_kept() -> None:
    pacer = PrefillPacer(1.1)
    _simulate(pacer, 1e-2, 50, fixed_s=0.05)
    assert pacer.max_prefill_tokens == MIN_PREFILL_TOKENS


def test_one_slow_step_does_not_bring_prompts_to_a_halt() -> None:
    pacer = PrefillPacer(2.0)
    _simulate(pacer, 1e-5, 60)
    before = pacer.max_prefill_tokens
    pacer.observe(num_decodes=8, num_prefill_tokens=before, elapsed_s=10.0)
    assert pacer.max_prefill_tokens >= 0.39 * before


def test_steps_without_answers_teach_nothing() -> None:
    pacer = PrefillPacer(2.0)
    pacer.observe(num_decodes=0, num_prefill_tokens=4000, elapsed_s=3.0)
    pacer.observe(num_decodes=1, num_prefill_tokens=4000, elapsed_s=3.0)
    assert pacer.max_prefill_tokens == FIRST_PREFILL_TOKENS


def _scheduler(**settings: int) -> Scheduler:
    config = SchedulerConfig(max_model_len=512, max_num_seqs=8, max_num_batched_tokens=256, **settings)
    return Scheduler(config, CacheConfig(num_blocks=256, block_size=16))


def _add(scheduler: Scheduler, name: str, length: int) -> None:
    scheduler.add_request(
        Request(
            request_id=name,
            prompt_token_ids=list(range(1, length + 1)),
            sampling_params=SamplingParams(max_tokens=50),
            max_tokens=50,
        )
    )


def _step(scheduler: Scheduler, max_prefill_tokens: int | None) -> dict[str, int]:
    plan = scheduler.schedule(max_prefill_tokens)
    tokens = {entry.request_id: (SampledToken(7),) for entry in plan.scheduled if entry.samples}
    scheduler.update(plan, StepOutput(tokens))
    return plan.num_scheduled_tokens


def test_beside_answers_a_step_takes_so_much_of_a_prompt_and_alone_all_it_can() -> None:
    scheduler = _scheduler()
    _add(scheduler, "a", 20)
    assert _step(scheduler, 16) == {"a": 20}
    _add(scheduler, "long", 300)
    assert _step(scheduler, 16) == {"a": 1, "long": 16}
    assert _step(scheduler, 5) == {"a": 1, "long": 5}
    assert _step(scheduler, None) == {"a": 1, "long": 255}


def test_every_running_request_advances_whatever_the_limit() -> None:
    scheduler = _scheduler()
    for name in "abc":
        _add(scheduler, name, 100)
    _step(scheduler, None)  # a and b whole, c in part
    assert _step(scheduler, 0) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("value", [1, 0.5, "2", True, float("nan")])
def test_a_slowdown_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="max_decode_slowdown"):
        EngineArgs(max_decode_slowdown=value)  # type: ignore[arg-type]
