"""This machine as a device, measured in a few seconds: bandwidth, peaks of the kernels, and what a step costs besides.

Beside the token's path, for `pagoda plan --devices cpu`. Bandwidth and peaks are those of `kernels/machine_limits`;
products with codes are timed on codes, and those of one row besides, since opening codes takes a row the same time as
many. What the engine adds to a step and to each request in it is what the built-in model's steps take beyond their
bytes and products. Whatever else the machine does meanwhile is measured along.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pagoda.hardware import available_memory_bytes
from pagoda.planning.costs import Parallel, StepCost, decode_load
from pagoda.planning.devices import THIS_MACHINE, Device, Efficiency, Overheads
from pagoda.planning.formats import FORMATS
from pagoda.planning.shapes import shape_of

if TYPE_CHECKING:
    import torch

    from pagoda.engine.engine import LLMEngine
    from pagoda.kernels.interface import Kernels

_ROWS, _SIZE, _PASSES = 256, 1024, 3
_BEYOND_CACHES = (8192, 16384)
"""Of codes of 4 bits, 67 MB."""
_BATCHES, _STEPS, _DEPTH = (1, 8), 12, 32
_EFFICIENCY = Efficiency(bandwidth=1.0, products={"bfloat16": 0.9, "float32": 0.9, "codes": 1.0}, kv=0.7, attention=0.4)
"""Of what was measured: shares that steps of 135M and 1B weights reached on an idle machine (docs/kernels.md)."""
_ALL_REDUCE_S = 15.3e-6
"""Of a sum over two ranks in shared memory, the median on two idle Zen 4 cores (benchmarks/parallel.py)."""
_NOTHING = Overheads(step=0.0, layer=0.0, sequence=0.0)


def part_of(machine: Device, count: int) -> Device:
    """What one of `count` ranks of a machine has of it: they share its memory, and the cores that reach it."""
    if count == 1:
        return machine
    return replace(
        machine,
        name=f"1/{count} of {machine.name}",
        memory_bytes=machine.memory_bytes // count,
        bandwidth=machine.bandwidth / count,
        opening=machine.opening / count,
        peaks={dtype: peak / count for dtype, peak in machine.peaks.items()},
        link=machine.bandwidth / count,  # what goes to another rank is written once and read once
        all_reduce=_ALL_REDUCE_S,
    )


def measured_machine() -> tuple[Device, Overheads]:
    """Takes some seconds, and all cores. Memory is what is free now; `usable` is the engine's own default share."""
    import torch

    from pagoda.engine.args import EngineArgs
    from pagoda.engine.engine import LLMEngine
    from pagoda.kernels.machine_limits import ProductPeak, read_bandwidth

    engine = LLMEngine.from_args(EngineArgs(enable_prefix_caching=False, max_num_seqs=8, disable_log_stats=True))
    kernels = engine.parts.kernels
    peaks = {name: ProductPeak(getattr(torch, name), kernels).measure() for name in ("float32", "bfloat16")}
    bandwidth, opening = read_bandwidth(), math.inf
    if kernels.keeps_codes:
        peaks["codes"] = 2 * _SIZE * _SIZE * _ROWS / _product_s(kernels, _ROWS, (_SIZE, _SIZE))
        opening = _opening(kernels, bandwidth, peaks["codes"])
    device = Device(
        name=f"{THIS_MACHINE} ({os.cpu_count()} cores)",
        memory_bytes=available_memory_bytes(),
        bandwidth=bandwidth,
        peaks=peaks,
        link=0.0,  # one device sends nothing
        efficiency=_EFFICIENCY,
        opening=opening,
        usable=EngineArgs.kv_cache_memory_fraction,
    )
    return device, _overheads(device, engine)


def _opening(kernels: Kernels, bandwidth: float, peak: float) -> float:
    """Weights a second that one row's product opens, by what it takes beyond reading them, as `costs` adds that up."""
    outputs, inputs = _BEYOND_CACHES
    num_weights = outputs * inputs
    row_s, reading_s = _product_s(kernels, 1, _BEYOND_CACHES), num_weights / 2 / bandwidth
    opened_s = math.sqrt(max(row_s**2 - reading_s**2, 0.0)) - 2 * num_weights / peak
    return num_weights / opened_s if opened_s > 0 else math.inf


def _product_s(kernels: Kernels, rows: int, size: tuple[int, int]) -> float:
    """Seconds of a product with codes of 4 bits; size: outputs, inputs."""
    import torch

    from pagoda.kernels.grouped_codes import GroupedCodes

    outputs, inputs = size
    codes = torch.randint(0, 16, size, dtype=torch.uint8)
    scales = torch.full((outputs, inputs // 64), 0.01)
    packed = kernels.pack_codes(GroupedCodes(codes, 4, 64, scales, zero=8), torch.bfloat16)
    x = torch.full((rows, inputs), 0.5, dtype=torch.bfloat16)
    with torch.inference_mode():
        return _best_seconds(lambda: kernels.linear(x, packed, None))


def _best_seconds(run: Callable[[], torch.Tensor]) -> float:
    run()
    seconds = []
    for _ in range(_PASSES):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _overheads(device: Device, engine: LLMEngine) -> Overheads:
    """From decode steps of the built-in model with one row and with eight."""
    config, dtype = engine.parts.config, engine.parts.dtype
    cost = StepCost(device, shape_of(config, FORMATS[dtype]), Parallel(), _NOTHING)
    beyond = [_decode_s(engine, rows) - cost.seconds(decode_load(rows, _DEPTH + _STEPS / 2)) for rows in _BATCHES]
    sequence = max((beyond[1] - beyond[0]) / (_BATCHES[1] - _BATCHES[0]), 0.0)
    return replace(_NOTHING, step=max(beyond[0] - sequence, 0.0), sequence=sequence)


def _decode_s(engine: LLMEngine, rows: int) -> float:
    """The median step of so many answers behind prompts of _DEPTH tokens."""
    from pagoda.sampling_params import SamplingParams

    params = SamplingParams(temperature=0.0, max_tokens=_STEPS + 3, ignore_eos=True, detokenize=False)
    for row in range(rows):
        engine.add_request(f"row {row}", {"prompt_token_ids": [5 + row] * _DEPTH}, params)
    seconds = []
    while engine.has_unfinished_requests():
        began = time.perf_counter()
        engine.step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:-1])
