"""Ranks that are killed at random moments, under load: what every request gets, and how long the engine is away.

    python benchmarks/rank_faults.py                              # 100 x kill -9 of a rank, the built-in model on two
    python benchmarks/rank_faults.py --signal STOP --rounds 20
    python benchmarks/rank_faults.py --victim engine --rounds 20  # the engine's own process, with its ranks
    python benchmarks/rank_faults.py --pipeline-parallel-size 2 --model MODEL

The engine is the one behind `pagoda serve`, in a process of its own. Eight callers send prompts without a pause; each
answer is compared with that of the same engine before anything was killed. Moments are drawn evenly over two seconds of
work, and over the restart that follows in one round of four.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from machine import provenance

from pagoda.engine.args import EngineArgs
from pagoda.engine.process.async_engine import AsyncEngine, EngineState
from pagoda.errors import EngineDeadError
from pagoda.sampling_params import RequestOutputKind, SamplingParams

NUM_CALLERS, WORK_S, SETTLE_S = 8, 2.0, 60.0
PROMPTS = ["Once upon a time there was", "The old man went to", "One day a small dog"]
ASKED = [
    SamplingParams(temperature=temperature, seed=seed, max_tokens=length, ignore_eos=True, output_kind=kind)
    for seed, (temperature, length, kind) in enumerate(
        [
            (0.0, 120, RequestOutputKind.DELTA),
            (0.9, 60, RequestOutputKind.DELTA),
            (0.0, 200, RequestOutputKind.FINAL_ONLY),
            (0.9, 16, RequestOutputKind.FINAL_ONLY),
        ]
    )
]
WORK = [(prompt, params) for prompt in PROMPTS for params in ASKED]


@dataclass
class Ledger:
    """What came of all requests. error_s: from the last kill to an error; away_s: from a kill until it serves again."""

    ends: Counter[str] = field(default_factory=Counter)
    error_s: list[float] = field(default_factory=list)
    away_s: list[float] = field(default_factory=list)
    killed_at: float = 0.0
    orphans: int = 0
    done: bool = False


def processes_below(pid: int) -> list[int]:
    """Children and theirs, of all threads."""
    children = [
        int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()
    ]
    return [*children, *(each for child in children for each in processes_below(child))]


def is_left(pid: int) -> bool:
    """One that has ended and was not waited for is none."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def answer(engine: AsyncEngine, name: str, index: int) -> list[int]:
    """The tokens of one of WORK."""
    prompt, params = WORK[index]
    stream = await engine.add_request(name, prompt, params)
    async with stream:
        return [token for output in [each async for each in stream] for token in output.outputs[0].token_ids]


async def call(engine: AsyncEngine, number: int, expected: Sequence[list[int]], ledger: Ledger) -> None:
    """One caller: request after request until the ledger is done."""
    drawn, count = random.Random(number), 0
    while not ledger.done:
        index, count = drawn.randrange(len(WORK)), count + 1
        refused = engine.state is not EngineState.READY
        try:
            tokens = await asyncio.wait_for(answer(engine, f"{number}.{count}", index), SETTLE_S)
            ledger.ends["answers" if tokens == expected[index] else "OTHER ANSWERS"] += 1
        except EngineDeadError:
            ledger.ends["refused while it was away" if refused else "errors"] += 1
            if not refused:
                ledger.error_s.append(time.monotonic() - ledger.killed_at)
            await asyncio.sleep(0.05)
        except TimeoutError:
            ledger.ends["NOTHING"] += 1


async def kill_one(engine: AsyncEngine, options: argparse.Namespace, ledger: Ledger, drawn: random.Random) -> None:
    """Wait for a random moment, kill, wait until it serves again, look for what is left."""
    before = engine.num_restarts
    await asyncio.sleep(drawn.uniform(0, WORK_S))
    family = processes_below(engine.info.pid)
    ledger.killed_at = began = time.monotonic()
    os.kill(engine.info.pid if options.victim == "engine" else drawn.choice(family), options.signal)
    while engine.num_restarts == before:
        await asyncio.sleep(0.01)
    if drawn.random() < 0.25 and (reborn := processes_below(engine.info.pid)):
        os.kill(drawn.choice(reborn), signal.SIGKILL)  # also while it comes back
    while engine.state is not EngineState.READY:
        await asyncio.sleep(0.01)
    ledger.away_s.append(time.monotonic() - began)
    ledger.orphans += sum(map(is_left, family))


async def main(options: argparse.Namespace) -> None:
    drawn, ledger = random.Random(options.seed), Ledger()
    shared = set(os.listdir("/dev/shm"))
    args = EngineArgs(
        model=options.model,
        tensor_parallel_size=options.tensor_parallel_size,
        pipeline_parallel_size=options.pipeline_parallel_size,
        device="cpu",
        max_num_seqs=NUM_CALLERS,
        disable_log_stats=True,
    )
    engine = AsyncEngine(args, max_restarts=10**9)
    began = time.monotonic()
    await engine.start()
    load_s = time.monotonic() - began
    expected = [await answer(engine, f"expected {index}", index) for index in range(len(WORK))]
    callers = [asyncio.create_task(call(engine, number, expected, ledger)) for number in range(NUM_CALLERS)]
    for _ in range(options.rounds):
        await kill_one(engine, options, ledger, drawn)
    ledger.done = True
    await asyncio.gather(*callers)
    family = [engine.info.pid, *processes_below(engine.info.pid)]
    await engine.stop()
    await asyncio.sleep(0.5)
    print(f"{options.rounds} x {options.signal.name} of {options.victim}; first load {load_s:.1f} s")
    print("requests:", ", ".join(f"{count} {name}" for name, count in ledger.ends.most_common()))
    if ledger.error_s:
        print(f"from a kill to an error: {max(ledger.error_s):.2f} s at most")
    away = ledger.away_s
    print(f"away after a kill: median {statistics.median(away):.1f} s, at most {max(away):.1f} s")
    left = sum(map(is_left, family))
    print(f"processes left: {ledger.orphans} after restarts, {left} at the end")
    print(f"left in /dev/shm: {len(set(os.listdir('/dev/shm')) - shared)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="the built-in one where nothing is said")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--victim", choices=["rank", "engine"], default="rank")
    parser.add_argument("--signal", type=lambda name: signal.Signals[f"SIG{name}"], default=signal.SIGKILL)
    parser.add_argument("--tensor-parallel-size", type=int, default=2)
    parser.add_argument("--pipeline-parallel-size", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    print(provenance())
    asyncio.run(main(parser.parse_args()))
