"""A simulation that jumps from event to event is, to the bit, the one in which the scheduler plans each single step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.balancing import AffinityConfig, Route, least_loaded, prefix_affinity, round_robin
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.planning.costs import StepLoad
from pagoda.planning.simulation.replica import Replica, RequestTimes
from pagoda.planning.simulation.simulator import Installation, Simulation, simulate
from pagoda.planning.simulation.workload import SimulatedRequest

MAX_MODEL_LEN = 160
ROUTES: list[Route] = [round_robin, least_loaded, prefix_affinity(AffinityConfig(1e-4, 1e-3, 1.5))]


class Plane:
    """Seconds of a step, linear in all that it does."""

    def seconds(self, load: StepLoad) -> float:
        weights = 0.003, 1.7e-5, 2.3e-5, 4.1e-5, 3.3e-8, 1.9e-9
        return sum(slope * amount for slope, amount in zip(weights, (1.0, *load), strict=True))


@st.composite
def schedulers(draw: st.DrawFn) -> dict[str, Any]:
    """Few sequences, tokens and blocks: requests wait, prompts are cut, and blocks run out."""
    block_size = draw(st.sampled_from([1, 2, 4, 16]))
    max_num_seqs = draw(st.integers(1, 8))
    chunked = draw(st.booleans())
    least = max_num_seqs if chunked else MAX_MODEL_LEN
    scheduler = SchedulerConfig(
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=draw(st.integers(least, least + 60)),
        enable_chunked_prefill=chunked,
        long_prefill_token_threshold=draw(st.sampled_from([0, 7])) if chunked else 0,
    )
    cache = CacheConfig(
        num_blocks=draw(st.integers(-(-MAX_MODEL_LEN // block_size), 700 // block_size + 20)),
        block_size=block_size,
        enable_prefix_caching=draw(st.booleans()),
        watermark=draw(st.sampled_from([0.0, 0.05])),
    )
    return {"scheduler_config": scheduler, "cache_config": cache}


@st.composite
def loads(draw: st.DrawFn) -> list[SimulatedRequest]:
    """Some at once, some with the beginning, or all, of another's prompt."""
    arrival_s, found = 0.0, []
    for _ in range(draw(st.integers(1, 25))):
        arrival_s += draw(st.sampled_from([0.0, 0.0004, 0.01, 0.05, 0.6]))
        num_prompt_tokens, root = draw(st.integers(1, 120)), draw(st.integers(0, 2))
        names = tuple(100 * root + place for place in range(-(-num_prompt_tokens // 8))) if root else ()
        num_output_tokens = draw(st.integers(1, 90))
        found.append(SimulatedRequest(arrival_s, num_prompt_tokens, num_output_tokens, names, 8))
    return found


def _facts(found: Simulation) -> dict[str, Any]:
    """All that comes out, times as they are written: nan is nan."""
    facts = {name: value for name, value in vars(found).items() if name not in ("times", "records")}
    times = found.times
    return {**facts, "times": repr((times.first_s, times.end_s)), "gaps": times.gaps}


@settings(max_examples=150)
@given(schedulers(), loads(), st.sampled_from(ROUTES), st.integers(1, 3), st.booleans(), st.sampled_from([0.0, 0.007]))
def test_jumps_are_single_steps(
    configs: dict[str, Any],
    load: Sequence[SimulatedRequest],
    route: Route,
    num_replicas: int,
    async_scheduling: bool,
    overhead_s: float,
) -> None:
    installed = {"cost": Plane(), "route": route, "num_replicas": num_replicas, **configs}
    installed |= {"async_scheduling": async_scheduling, "overhead_s": overhead_s}
    jumping, single = (simulate(load, Installation(**installed, jumps=jumps)) for jumps in (True, False))
    assert _facts(jumping) == _facts(single)


@settings(max_examples=60)
@given(schedulers(), loads())
def test_every_block_goes_where_the_scheduler_by_itself_puts_it(
    configs: dict[str, Any], load: Sequence[SimulatedRequest]
) -> None:
    """Free blocks lie in the same order in the end, and remember the same. Without names one is as good as another."""
    pools = []
    for jumps in (True, False):
        times = RequestTimes([0.0] * len(load), [0.0] * len(load), [0.0] * len(load), [0] * len(load))
        replica = Replica(**configs, cost=Plane(), times=times, jumps=jumps)
        for number, simulated in enumerate(load):
            replica.run_until(simulated.arrival_s)
            replica.add(replica.request(number, simulated))
        replica.run_until(None)
        replica.scheduler.kv_cache_manager.check_invariants()
        pools.append(vars(replica.scheduler.kv_cache_manager.pool))
    if configs["cache_config"].enable_prefix_caching:
        assert pools[0] == pools[1]
        assert list(pools[0]["_kept"]) == list(pools[1]["_kept"])
    assert len(pools[0]["_blank"]) == len(pools[1]["_blank"])
