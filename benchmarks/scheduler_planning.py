"""How long the scheduler thinks: milliseconds of schedule() and update() with 256 running requests, on made-up ids.

No model and no torch, so the figure is the planning alone, block tables included. Run from the repository root:

    python benchmarks/scheduler_planning.py [--num-requests 256] [--prompt-len 1000] [--num-steps 500]
"""

from __future__ import annotations

import argparse
import time
from statistics import quantiles

from pagoda.engine.args import EngineArgs
from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.sampling_params import SamplingParams

TARGET_MS = 0.7


def make_scheduler(num_requests: int, prompt_len: int, num_steps: int) -> Scheduler:
    """A scheduler whose requests have computed their prompts and will decode for `num_steps` steps."""
    max_model_len = prompt_len + num_steps + 2
    num_blocks = num_requests * (max_model_len // EngineArgs.block_size + 1)
    scheduler = Scheduler(
        SchedulerConfig(max_model_len=max_model_len, max_num_seqs=num_requests, max_num_batched_tokens=8192),
        CacheConfig(num_blocks=num_blocks, block_size=EngineArgs.block_size, watermark=0.0),
    )
    for index in range(num_requests):
        prompt = [(index * 7919 + position) % 32000 for position in range(prompt_len)]
        params = SamplingParams(max_tokens=num_steps + 2)
        scheduler.add_request(
            Request(request_id=str(index), prompt_token_ids=prompt, sampling_params=params, max_tokens=num_steps + 2)
        )
    num_decoding = 0
    while num_decoding < num_requests:
        output = scheduler.schedule()
        num_decoding = len(scheduler.update(output, sample(output)))
    return scheduler


def sample(output: SchedulerOutput) -> StepOutput:
    """A made-up token for every request that samples."""
    token = SampledToken(output.step % 32000)
    return StepOutput({entry.request_id: (token,) for entry in output.scheduled if entry.samples})


def measure(scheduler: Scheduler, num_steps: int) -> tuple[list[float], list[float]]:
    """Milliseconds of processor time of each schedule() and of each update()."""
    schedule_ms, update_ms = [], []
    for _ in range(num_steps):
        begin = time.thread_time()
        output = scheduler.schedule()
        planned = time.thread_time()
        sampled = sample(output)
        sampled_at = time.thread_time()
        scheduler.update(output, sampled)
        end = time.thread_time()
        schedule_ms.append((planned - begin) * 1e3)
        update_ms.append((end - sampled_at) * 1e3)
    return schedule_ms, update_ms


def describe(name: str, milliseconds: list[float]) -> str:
    percentiles = quantiles(milliseconds, n=100)
    return f"{name:<10} median {percentiles[49]:.3f} ms   p99 {percentiles[98]:.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-requests", type=int, default=256)
    parser.add_argument("--prompt-len", type=int, default=1000)
    parser.add_argument("--num-steps", type=int, default=500)
    args = parser.parse_args()
    scheduler = make_scheduler(args.num_requests, args.prompt_len, args.num_steps)
    schedule_ms, update_ms = measure(scheduler, args.num_steps - 50)
    print(f"{scheduler.num_running} running requests, prompts of {args.prompt_len} tokens, {len(schedule_ms)} steps")
    both_ms = [sum(both) for both in zip(schedule_ms, update_ms, strict=True)]
    print(describe("schedule()", schedule_ms))
    print(describe("update()", update_ms))
    print(describe("both", both_ms), f"  (target: median under {TARGET_MS} ms)")


if __name__ == "__main__":
    main()
