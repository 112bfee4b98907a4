"""Two ranks on this machine: what a sum over them takes, and steps of two ranks against one process with two threads.

    python benchmarks/parallel.py                                   # a sum of 8 x 2,048 floats
    python benchmarks/parallel.py --steps 30 --model MODEL          # and a model's steps, batch 8
    python benchmarks/parallel.py --steps 30 --layers 16            # random weights of a 1B model's shape, bf16

Rounds of both sides take turns, and what counts is the median of the rounds' ratios. Ranks without a core each wait for
one another: figures of a machine that is not idle say little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import provenance

from pagoda import LLM
from pagoda.engine.execution.executor import Executor
from pagoda.engine.sampling.rows import SampleRow, StepRows
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput
from pagoda.kernels.native.shared_memory import SharedGroup, SharedLayout, SharedMemory, unnamed_memory
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from pagoda.sampling_params import SamplingParams

BATCH, CONTEXT, BLOCK_SIZE = 8, 128, 16
SHAPE = {"hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 32, "num_key_value_heads": 8}


def time_sums(num_sums: int, rows: int = BATCH, width: int = 2048) -> list[float]:
    """Microseconds of each sum over two processes, as a layer calls it."""
    layout = SharedLayout(2, 1)
    memory = SharedMemory(unnamed_memory(layout.num_bytes), layout)
    torch.set_num_threads(1)
    child = os.fork()
    if child == 0:
        _sums(memory.group(0, 1), num_sums, rows, width)
        os._exit(0)
    try:
        return _sums(memory.group(0, 0), num_sums, rows, width)
    finally:
        os.waitpid(child, 0)


def _sums(group: SharedGroup, num_sums: int, rows: int, width: int) -> list[float]:
    x, taken = torch.randn(rows, width), []
    for _ in range(num_sums):
        began = time.perf_counter()
        group.all_reduce(x)
        taken.append((time.perf_counter() - began) * 1e6)
    return taken


def write_random(folder: Path, num_layers: int) -> None:
    """A checkpoint of random weights of a 1B model's shape."""
    config = ModelConfig(
        vocab_size=32000,
        num_hidden_layers=num_layers,
        head_dim=64,
        dtype="bfloat16",
        max_position_embeddings=2048,
        **SHAPE,
    )
    torch.set_default_dtype(torch.bfloat16)
    model = LlamaForCausalLM(config, ReferenceKernels())
    model.initialize(0)
    torch.set_default_dtype(torch.float32)
    save_checkpoint(model, config, folder)


def step(position: int) -> tuple[SchedulerOutput, StepRows]:
    """One greedy token for each of the batch."""
    blocks = -(-(CONTEXT + 1) // BLOCK_SIZE)
    entries = tuple(
        ScheduledRequest(str(i), (7 + i,), position, tuple(range(i * blocks, (i + 1) * blocks)), True, 1, position + 1)
        for i in range(BATCH)
    )
    rows = [SampleRow(str(i), SamplingParams(temperature=0), 0, 0) for i in range(BATCH)]
    return SchedulerOutput(0, entries, {str(i): 1 for i in range(BATCH)}, BATCH, (), (), ()), StepRows(rows)


def seconds_of(executor: Executor, num_steps: int) -> float:
    """The median of a round's steps."""
    taken = []
    for _ in range(num_steps):
        plan, rows = step(CONTEXT)
        began = time.perf_counter()
        executor.execute(plan, rows)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def compare(make: Callable[..., LLM], num_steps: int, num_rounds: int) -> list[tuple[float, float]]:
    """Seconds of a step: one process with two threads, two ranks; round by round."""
    torch.set_num_threads(2)
    sides = [make().llm_engine.core.executor, make(tensor_parallel_size=2).llm_engine.core.executor]
    for side in sides:
        seconds_of(side, 3)
    return [(seconds_of(sides[0], num_steps), seconds_of(sides[1], num_steps)) for _ in range(num_rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sums", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=0, help="of a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", help="otherwise random weights of a 1B model's shape")
    parser.add_argument("--layers", type=int, default=16, help="of these")
    args = parser.parse_args()
    sums = sorted(time_sums(args.sums))
    print(
        f"a sum of {BATCH} x 2,048 floats over two ranks: {statistics.median(sums):.1f} us in the median, "
        f"{sums[len(sums) // 10]:.1f} to {sums[len(sums) * 9 // 10]:.1f} for 80 %"
    )
    if args.steps:
        with tempfile.TemporaryDirectory() as folder:
            if args.model is None:
                write_random(Path(folder), args.layers)
            settings = {"num_gpu_blocks_override": 256, "max_num_seqs": BATCH, "skip_tokenizer_init": True}

            def make(**ranks: int) -> LLM:
                return LLM(args.model or folder, **settings, **ranks)

            rounds = compare(make, args.steps, args.rounds)
        for one, two in rounds:
            print(f"one process, two threads {one * 1e3:8.2f} ms; two ranks {two * 1e3:8.2f} ms; {one / two:.2f}")
        print(f"two ranks run at {statistics.median(one / two for one, two in rounds):.2f} of one process's speed")
    print(provenance())


if __name__ == "__main__":
    main()
