"""`pagoda plan --devices cpu` against the engine: seconds of a decode step and of a prompt, and bytes of memory.

For each model the plan is made from its configuration and a measurement of the machine; then the model runs in a fresh
process: one answer behind 64 tokens, eight of them, and a prompt of 512; and what loading and a full KV cache add to
its resident memory. Needs an idle machine for the times. Run from the repository root:

    python benchmarks/plan_this_machine.py builtin model.gguf ...
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pagoda.engine.args import BUILTIN_MODEL, BUILTIN_NAMES
from pagoda.models.checkpoint.hub import resolve_config
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.gguf.container import GGUFFile, opened
from pagoda.models.gguf.model_config import load_gguf_config
from pagoda.planning.costs import Parallel, StepCost, decode_load, prompt_load
from pagoda.planning.formats import STORED, format_named
from pagoda.planning.machine import measured_machine
from pagoda.planning.shapes import ModelShape, shape_of

DEPTH, STEPS, PROMPT = 64, 16, 512
KV_TOKENS = 16_384


def shape_named(name: str) -> ModelShape:
    checkpoint = opened(resolve_config(BUILTIN_MODEL if name in BUILTIN_NAMES else name))
    config = load_gguf_config(checkpoint) if isinstance(checkpoint, GGUFFile) else load_config(checkpoint)
    return shape_of(config, format_named("bfloat16" if config.coded == ALL_FLOATS else STORED))


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):  # without pages of mapped files, which the system takes back as it likes
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status says nothing of anonymous memory")


def measure(name: str) -> dict[str, Any]:
    """In a process of its own."""
    from pagoda.engine.args import EngineArgs
    from pagoda.engine.engine import LLMEngine
    from pagoda.sampling_params import SamplingParams

    settings: dict[str, Any] = {"dtype": "bfloat16", "enable_prefix_caching": False, "skip_tokenizer_init": True}
    settings |= {
        "disable_log_stats": True,
        "num_gpu_blocks_override": KV_TOKENS // 16,
        "max_num_batched_tokens": 1024,
        "max_model_len": 1024,
    }
    first = LLMEngine.from_args(EngineArgs(**settings))  # whatever any engine needs; kept, so that nothing is reused
    before = resident_bytes()
    engine = LLMEngine.from_args(EngineArgs(model=name, **settings))
    loaded = resident_bytes() - before
    found: dict[str, Any] = {"loaded_bytes": loaded}

    def run(rows: int, prompt: int, steps: int) -> list[float]:
        params = SamplingParams(temperature=0.0, max_tokens=steps, ignore_eos=True, detokenize=False)
        for row in range(rows):
            ids = [(row * 31 + place) % 4000 + 5 for place in range(prompt)]
            engine.add_request(f"{prompt} {row}", {"prompt_token_ids": ids}, params)
        seconds = []
        while engine.has_unfinished_requests():
            began = time.perf_counter()
            engine.step()
            seconds.append(time.perf_counter() - began)
        return seconds

    run(1, PROMPT, 2)
    found["prompt_s"] = statistics.median(run(1, PROMPT, 1)[0] for _ in range(3))
    for rows in (1, 8):
        found[f"decode_{rows}_s"] = statistics.median(run(rows, DEPTH, STEPS)[2:-1])
    run(KV_TOKENS // 1024, 990, 30)  # long enough that all are there at once
    found["filled_bytes"] = resident_bytes() - before - loaded
    del first
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.models[0])))
        return
    device, overheads = measured_machine()
    peaks = ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in device.peaks.items())
    print(f"{device.bandwidth / 1e9:.1f} GB/s, GFLOP/s in {peaks}; a step {overheads.step * 1e3:.2f} ms")
    for name in args.models:
        shape = shape_named(name)
        cost = StepCost(device, shape, Parallel(), overheads)
        command = [sys.executable, __file__, name, "--measure"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(ended.stdout.splitlines()[-1])
        middle = DEPTH + STEPS / 2
        pairs = {
            "one row, ms": (cost.seconds(decode_load(1, middle)) * 1e3, found["decode_1_s"] * 1e3),
            "8 rows, ms": (cost.seconds(decode_load(8, middle)) * 1e3, found["decode_8_s"] * 1e3),
            f"prompt of {PROMPT}, ms": (cost.seconds(prompt_load(PROMPT)) * 1e3, found["prompt_s"] * 1e3),
            "weights, MB": (shape.weight_bytes / 1e6, found["loaded_bytes"] / 1e6),
            "KV, MB": (KV_TOKENS * shape.kv_bytes_per_token / 1e6, found["filled_bytes"] / 1e6),
        }
        print(Path(name).name)
        for what, (planned, measured) in pairs.items():
            off = 100 * (planned / measured - 1)
            print(f"  {what:<18}planned {planned:10,.2f}  measured {measured:10,.2f}  ({off:+.1f} %)", flush=True)


if __name__ == "__main__":
    main()
