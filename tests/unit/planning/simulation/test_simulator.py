"""The simulator against the engine's own core, and many steps at once against single ones."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pagoda.balancing import (
    AffinityConfig,
    Arrival,
    ReplicaState,
    least_loaded,
    prefix_affinity,
    round_robin,
)
from pagoda.engine.core import EngineCore
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.loadtest.workload import Lengths
from pagoda.planning.costs import StepCost, StepLoad
from pagoda.planning.simulation.replica import VirtualExecutor
from pagoda.planning.simulation.simulator import Installation, Simulation, simulate
from pagoda.planning.simulation.summary import summarize_simulation, weighted
from pagoda.planning.simulation.workload import SimulatedRequest, synthetic
from pagoda.sampling_params import SamplingParams

SCHEDULER = SchedulerConfig(max_model_len=2048, max_num_seqs=16, max_num_batched_tokens=256)


def installation(cost: StepCost, num_blocks: int = 4000, **settings: object) -> Installation:
    plain = Installation(
        scheduler_config=SCHEDULER,
        cache_config=CacheConfig(num_blocks=num_blocks, block_size=16),
        cost=cost,
        route=round_robin,
    )
    return replace(plain, **settings)  # type: ignore[arg-type]


def drawn(seed: int, num_requests: int = 60, rate: float = 20.0) -> list[SimulatedRequest]:
    """Requests of all lengths; two in three open with one of a few prefixes."""
    source = random.Random(seed)
    lengths = Lengths.parse("lognormal:200", "input"), Lengths.parse("1-120", "output")
    found = []
    for request in synthetic(num_requests, rate, *lengths, burstiness=0.5, seed=seed):
        size = min(request.num_prompt_tokens, 1500)
        root = source.randrange(3)
        names = tuple(100 * root + place for place in range(-(-size // 64))) if source.random() < 0.7 else ()
        found.append(request._replace(num_prompt_tokens=size, prefix=names, part_tokens=64))
    return found


def same_times(one: Simulation, other: Simulation) -> None:
    """To the bit: first tokens, ends, gaps, and everything that is counted."""
    assert repr(one.times.first_s) == repr(other.times.first_s)  # nan of a refused request is itself
    assert repr(one.times.end_s) == repr(other.times.end_s)
    assert one.times.gaps == other.times.gaps
    assert (one.busy_s, one.duration_s, one.num_routed) == (other.busy_s, other.duration_s, other.num_routed)
    assert (one.num_hit_tokens, one.num_preemptions) == (other.num_hit_tokens, other.num_preemptions)
    assert one.num_computed_tokens == other.num_computed_tokens


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_blocks", [4000, 140])
def test_many_steps_at_once_are_the_single_steps(cost: StepCost, seed: int, num_blocks: int) -> None:
    """With one pool of 140 blocks requests lose theirs now and then."""
    requests = drawn(seed)
    settings = {"route": least_loaded, "num_replicas": 2} if seed % 2 else {}
    settings["async_scheduling"] = seed % 3 == 0
    leaping = simulate(requests, installation(cost, num_blocks, **settings))
    single = simulate(requests, installation(cost, num_blocks, jumps=False, **settings))
    same_times(leaping, single)
    assert not any(map(math.isnan, leaping.times.end_s))
    assert num_blocks > 1000 or seed % 2 or single.num_preemptions


def test_a_full_engine_leaps_over_arrivals_that_it_cannot_admit(cost: StepCost) -> None:
    requests = [SimulatedRequest(0.001 * number, 40, 100) for number in range(80)]
    leaping = simulate(requests, installation(cost), keep_steps=True)
    same_times(leaping, simulate(requests, installation(cost, jumps=False)))
    assert max(record.num_steps for record in leaping.records[0]) > 8


def test_the_engines_core_makes_the_same_steps(cost: StepCost) -> None:
    """EngineCore itself, with the executor that computes nothing and a clock that the formula moves on."""
    requests = [request._replace(arrival_s=0.0, prefix=()) for request in drawn(3, 40)]
    now = 0.0

    class Timed(VirtualExecutor):
        def execute(self, plan: SchedulerOutput, rows: object = None) -> StepOutput:
            nonlocal now
            news = [(len(entry.token_ids), entry.num_computed_tokens) for entry in plan.scheduled]
            keys = sum(before + 1 for new, before in news if new == 1)
            pairs = sum(new * before + new * (new + 1) / 2 for new, before in news if new > 1)
            logits = sum(entry.samples for entry in plan.scheduled)
            load = StepLoad(plan.total_num_scheduled_tokens, logits, len(news), keys, pairs)
            now += cost.seconds(load)
            return super().execute(plan, rows)

    config = CacheConfig(num_blocks=140, block_size=16, enable_prefix_caching=False)
    core = EngineCore(Scheduler(SCHEDULER, config), Timed())
    for number, each in enumerate(requests):
        params = SamplingParams(max_tokens=each.num_output_tokens)
        prompt = [0] * each.num_prompt_tokens
        core.add_request(CoreRequest(Request(request_id=str(number), prompt_token_ids=prompt, sampling_params=params,
                                             max_tokens=each.num_output_tokens)))  # fmt: skip
    first, end = [math.nan] * len(requests), [math.nan] * len(requests)
    while core.has_unfinished_requests():
        for update in core.step():
            place = int(update.request_id)
            first[place] = now if math.isnan(first[place]) else first[place]
            end[place] = end[place] if update.finish_reason is None else now
    found = simulate(requests, installation(cost, cache_config=config))
    assert found.times.first_s == pytest.approx(first, abs=1e-9)
    assert found.times.end_s == pytest.approx(end, abs=1e-9)
    assert found.num_preemptions == core.scheduler.stats.num_preemptions > 0


def test_the_same_load_gives_the_same_result(cost: StepCost) -> None:
    settings = installation(cost, route=prefix_affinity(AffinityConfig(1e-4, 1e-3)), num_replicas=3)
    one, two = (simulate(drawn(5), settings) for _ in range(2))
    assert one.times == two.times
    assert one.num_routed == two.num_routed


def test_affinity_finds_more_in_the_caches_than_turns_do(cost: StepCost) -> None:
    requests = drawn(7, 200)
    turns = simulate(requests, installation(cost, num_replicas=4))
    affine = simulate(
        requests, installation(cost, num_replicas=4, route=prefix_affinity(AffinityConfig(1e-4, 1e-4, 1.5)))
    )
    assert affine.hit_rate > turns.hit_rate > 0
    assert sum(affine.num_routed) == sum(turns.num_routed) == 200


def test_a_request_that_can_never_finish_is_counted_and_the_others_go_on(cost: StepCost) -> None:
    requests = [SimulatedRequest(0.0, 3000, 4), SimulatedRequest(0.1, 30, 4)]
    found = simulate(requests, installation(cost))
    assert sum(found.refused.values()) == 1
    assert "3000 tokens" in next(iter(found.refused))
    summary = summarize_simulation(found, {})
    assert (summary.completed, summary.refused) == (1, 1)


def test_one_request_alone_takes_what_its_steps_take(cost: StepCost) -> None:
    found = simulate([SimulatedRequest(2.0, 100, 3)], installation(cost, overhead_s=0.5))
    prompt_s = cost.seconds(StepLoad(100, 1, 1, 0, 5050))
    assert found.times.first_s == pytest.approx([2.5 + prompt_s])
    decode_s = cost.seconds(StepLoad(1, 1, 1, 101, 0)) + cost.seconds(StepLoad(1, 1, 1, 102, 0))
    assert found.times.end_s == pytest.approx([2.5 + prompt_s + decode_s])


def test_the_summary_counts_goodput_and_gaps(cost: StepCost) -> None:
    found = simulate(drawn(1), installation(cost))
    figures = summarize_simulation(found, {"ttft": 1e9, "tpot": 1e9}).as_dict()
    assert figures["request_goodput"] == pytest.approx(figures["request_throughput"])
    assert summarize_simulation(found, {"ttft": 1e-9}).goodput == 0
    assert summarize_simulation(found, {}).goodput is None
    assert sum(found.times.gaps.values()) == sum(count - 1 for count in found.times.num_output_tokens)
    assert weighted({0.001: 98, 0.5: 2}).percentiles == {50: 1.0, 90: 1.0, 95: 1.0, 99: 500.0}


def test_a_refused_request_is_no_work_of_the_replica_it_was_for(cost: StepCost) -> None:
    loads: list[list[float]] = []

    def route(arrival: Arrival, replicas: Sequence[ReplicaState]) -> int:
        loads.append([state.load for state in replicas])
        return 0

    requests = [SimulatedRequest(0.0, 5000, 10), SimulatedRequest(1.0, 100, 10), SimulatedRequest(2.0, 100, 10)]
    found = simulate(requests, installation(cost, route=route, num_replicas=2))
    assert sum(found.refused.values()) == 1
    assert loads[:2] == [[0.0, 0.0]] * 2
    assert loads[2][0] > 0
