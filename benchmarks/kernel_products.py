"""How fast the native kernels multiply in bf16, by each instruction set of this machine, beside torch.

    python benchmarks/kernel_products.py [--rows 1 8 32 64 512]

Below the engine: what a step of so many rows, or a prompt of so many tokens, has to multiply by one matrix. All of them
take turns on one thread, and the clock is that thread's processor time, so that whatever else runs takes little away.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from machine import provenance
from torch.nn import functional as F

from pagoda.kernels.native import library
from pagoda.kernels.native.operations import NativeKernels

SIZES = ((2048, 2048), (4864, 896))  # outputs, inputs
OPERATIONS, MOST_TIMES, ROUNDS = 2e9, 300, 5


def seconds(ways: dict[str, Callable[[], torch.Tensor]], times: int) -> dict[str, float]:
    """Processor seconds of one call of each, the best of several rounds in which they take turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(1 + ROUNDS):  # the first warms up
        for name, way in ways.items():
            began = time.thread_time()
            for _ in range(times):
                way()
            best[name] = min(best[name], (time.thread_time() - began) / times)
    return best


def report(outputs: int, inputs: int, row_counts: list[int]) -> None:
    """Print a line for each number of rows: GFLOP/s of each way."""
    weight = torch.randn(outputs, inputs).bfloat16()
    kernels = {name: NativeKernels(1, name) for name in library.instruction_sets() if name != "portable"}
    packed = {name: own.pack(weight) for name, own in kernels.items()}
    print(f"\n[rows, {inputs}] by [{outputs}, {inputs}], GFLOP/s\n\n| rows | {' | '.join([*kernels, 'torch'])} |")
    print("|--:" * (len(kernels) + 2) + "|")
    for rows in row_counts:
        x = torch.randn(rows, inputs).bfloat16()
        ways: dict[str, Callable[[], torch.Tensor]] = {
            name: (lambda own=own, name=name, x=x: own.linear(x, packed[name], None))  # type: ignore[misc]
            for name, own in kernels.items()
        }
        ways["torch"] = lambda x=x: F.linear(x, weight)  # type: ignore[misc]
        work = 2 * rows * inputs * outputs
        found = seconds(ways, max(1, min(MOST_TIMES, int(OPERATIONS / work))))
        print(f"| {rows} | " + " | ".join(f"{work / each / 1e9:,.0f}" for each in found.values()) + " |", flush=True)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32, 64, 512])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for size in SIZES:
        report(*size, options.rows)
    print(f"\n{provenance()}")


if __name__ == "__main__":
    main()
