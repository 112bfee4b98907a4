"""The simulator against our own engine: 500 requests in real time, and the same requests on the virtual clock.

The built-in model answers a Poisson load of lognormal lengths; each token's time is noted. What steps cost is measured
beforehand, on a load of another seed, rate and lengths: a least-squares plane over tokens, requests, logits, keys and
pairs. Then p50 and p99 of TTFT and of the gaps between tokens are compared. Needs an idle machine: whatever else runs
is measured along. Run from the repository root:

    python benchmarks/simulate_engine.py [--num-requests 500] [--utilisation 0.6]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from pagoda.balancing import round_robin
from pagoda.engine.args import EngineArgs
from pagoda.engine.engine import LLMEngine
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.config import CacheConfig
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.loadtest.metrics import percentile
from pagoda.loadtest.workload import Lengths
from pagoda.planning.costs import StepLoad
from pagoda.planning.simulation.simulator import Installation, simulate
from pagoda.planning.simulation.summary import weighted
from pagoda.planning.simulation.workload import SimulatedRequest, synthetic
from pagoda.sampling_params import SamplingParams

MAX_NUM_SEQS = 32


@dataclass(frozen=True)
class PlaneCost:
    """Seconds of a step as a plane over what it does; columns of `columns`."""

    slopes: tuple[float, ...]

    def seconds(self, load: StepLoad) -> float:
        """Of one step."""
        return sum(slope * value for slope, value in zip(self.slopes, (1.0, *load), strict=True))


@dataclass
class Run:
    """What was measured: loads and seconds of steps; of each request its first token and end, and gaps between."""

    loads: list[StepLoad] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    first_s: dict[int, float] = field(default_factory=dict)
    last_s: dict[int, float] = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)


@contextmanager
def watched(engine: LLMEngine, plans: list[SchedulerOutput]) -> Iterator[None]:
    """The plan of each step is put into `plans`."""
    core = engine.parts.core
    executor = core.executor

    class Watching:
        def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
            plans.append(plan)
            return executor.execute(plan, rows)

    core.executor = Watching()
    try:
        yield
    finally:
        core.executor = executor


def load_of(plan: SchedulerOutput) -> StepLoad:
    logits = keys = 0
    pairs = 0.0
    for entry in plan.scheduled:
        new, before = len(entry.token_ids), entry.num_computed_tokens
        logits += entry.samples
        if new == 1:
            keys += before + 1
        else:
            pairs += new * before + new * (new + 1) / 2
    return StepLoad(plan.total_num_scheduled_tokens, logits, len(plan.scheduled), keys, pairs)


def serve(engine: LLMEngine, requests: list[SimulatedRequest]) -> Run:
    """In real time: each request is added when it is due, or as soon as a step lets it."""
    run, plans, due = Run(), [], 0
    began = time.perf_counter()
    with watched(engine, plans):
        while due < len(requests) or engine.has_unfinished_requests():
            now = time.perf_counter() - began
            while due < len(requests) and requests[due].arrival_s <= now:
                add(engine, due, requests[due])
                due += 1
            if not engine.has_unfinished_requests():
                time.sleep(max(0.0, requests[due].arrival_s - (time.perf_counter() - began)))
                continue
            before = time.perf_counter()
            engine.step()
            after = time.perf_counter()
            run.loads.append(load_of(plans[-1]))
            run.seconds.append(after - before)
            note(run, plans[-1], after - began)
            plans.clear()
    return run


def add(engine: LLMEngine, number: int, request: SimulatedRequest) -> None:
    ids = np.random.default_rng(number).integers(5, 4000, request.num_prompt_tokens).tolist()
    params = SamplingParams(temperature=0.0, max_tokens=request.num_output_tokens, ignore_eos=True, detokenize=False)
    engine.add_request(str(number), {"prompt_token_ids": ids}, params)


def note(run: Run, plan: SchedulerOutput, now_s: float) -> None:
    for entry in plan.scheduled:
        if entry.samples:
            number = int(entry.request_id.split("#")[0])
            if number in run.last_s:
                run.gaps.append(now_s - run.last_s[number])
            run.first_s.setdefault(number, now_s)
            run.last_s[number] = now_s


def calibrated(run: Run) -> PlaneCost:
    """Least squares with slopes that are not negative: of those that are, the most negative goes first."""
    matrix = np.array([(1.0, *load) for load in run.loads])
    seconds = np.array(run.seconds)
    weights = 1 / np.maximum(seconds, np.median(seconds))
    used = list(range(matrix.shape[1]))
    while True:
        slopes = np.linalg.lstsq(matrix[:, used] * weights[:, None], seconds * weights, rcond=None)[0]
        if slopes.min() >= 0:
            break
        used.pop(int(np.argmin(slopes)))
    full = np.zeros(matrix.shape[1])
    full[used] = slopes
    return PlaneCost(tuple(full.tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-requests", type=int, default=500)
    parser.add_argument("--model")
    parser.add_argument("--utilisation", type=float, default=0.6, help="share of what the engine can serve")
    args = parser.parse_args()
    settings = EngineArgs(
        model=args.model, max_num_seqs=MAX_NUM_SEQS, enable_prefix_caching=False, disable_log_stats=True
    )
    engine = LLMEngine.from_args(settings)
    other = Lengths.parse("lognormal:150", "input"), Lengths.parse("lognormal:40", "output")
    warm = [each._replace(num_prompt_tokens=min(each.num_prompt_tokens, 500)) for each in synthetic(60, 1e3, *other)]
    serve(engine, warm[:20])
    everything = serve(engine, warm)
    rate_now = len(warm) / sum(everything.seconds)
    apart = [each._replace(arrival_s=each.arrival_s * 1e3 / (0.5 * rate_now)) for each in warm]
    spread = serve(engine, apart)
    cost = calibrated(Run(everything.loads + spread.loads, everything.seconds + spread.seconds))
    print("calibrated on 120 other requests: " + ", ".join(f"{slope:.3g}" for slope in cost.slopes))
    lengths = Lengths.parse("lognormal:120", "input"), Lengths.parse("lognormal:60", "output")
    sizes = [
        each._replace(num_prompt_tokens=min(each.num_prompt_tokens, 500), num_output_tokens=min(each[2], 400))
        for each in synthetic(args.num_requests, 1.0, *lengths, seed=7)
    ]
    scheduler = engine.parts.core.scheduler
    blocks = CacheConfig(num_blocks=engine.parts.memory_plan.num_blocks, block_size=16, enable_prefix_caching=False)
    installation = Installation(scheduler_config=scheduler.config, cache_config=blocks, cost=cost, route=round_robin)
    at_once = simulate([each._replace(arrival_s=0.0) for each in sizes], installation)
    rate = args.utilisation * len(sizes) / at_once.duration_s
    requests = [each._replace(arrival_s=each.arrival_s / rate) for each in sizes]
    print(f"{len(requests)} requests at {rate:.1f} a second")
    real, found = serve(engine, requests), simulate(requests, installation)
    ttft = sorted(real.first_s[number] - request.arrival_s for number, request in enumerate(requests))
    mine = sorted(first - request.arrival_s for first, request in zip(found.times.first_s, requests, strict=True))
    gaps, own_gaps = sorted(real.gaps), weighted(found.times.gaps)
    for percent in (50, 99):
        for name, one, two in (
            ("TTFT", percentile(mine, percent) * 1e3, percentile(ttft, percent) * 1e3),
            ("ITL", own_gaps.percentiles[percent], percentile(gaps, percent) * 1e3),
        ):
            off = 100 * (one / two - 1)
            print(f"  {name:<5}p{percent}: simulated {one:8.2f} ms, measured {two:8.2f} ms ({off:+.1f} %)")


if __name__ == "__main__":
    main()
