"""What `pagoda plan` says a model takes on this machine, against what it does take: weights, keys and values, a step.

    python benchmarks/plan_memory.py builtin /path/to/a.gguf /path/to/a/folder

Each model is loaded in a process of its own. Its anonymous memory is read from /proc before, after loading, and after
requests that filled the KV cache to its last block. The tokenizer, which no plan counts, comes last. It does not matter
what else the machine does.
"""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
from pathlib import Path

from machine import provenance

from pagoda import LLM
from pagoda.engine.args import EngineArgs
from pagoda.models.checkpoint.loading import load_tokenizer
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.gguf.container import opened
from pagoda.planning.costs import Parallel
from pagoda.planning.formats import FORMATS, STORED
from pagoda.planning.layouts import StepLimits, step_bytes
from pagoda.planning.shapes import shape_of
from pagoda.sampling_params import SamplingParams

ROWS, LENGTH, STEP = 8, 512, 1024
"""Requests at once, their tokens, and the tokens of a step at most."""
MB = 1e6


def anonymous_bytes() -> int:
    """Of this process, in RAM; mapped files do not count."""
    gc.collect()
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def measure(model: str) -> None:
    """Print one line."""
    limits = StepLimits(max_num_seqs=ROWS, max_num_batched_tokens=STEP)
    with LLM(max_num_seqs=1, num_gpu_blocks_override=32, disable_log_stats=True, max_model_len=64) as first:
        first.generate("Once", SamplingParams(max_tokens=2), use_tqdm=False)  # imports, threads, caches of kernels
    before = anonymous_bytes()
    args = EngineArgs(
        model=None if model == "builtin" else model,
        max_model_len=LENGTH,
        max_num_seqs=ROWS,
        max_num_batched_tokens=STEP,
        num_gpu_blocks_override=ROWS * LENGTH // limits.block_size,
        enable_prefix_caching=False,
        skip_tokenizer_init=True,
        disable_log_stats=True,
    )
    llm = LLM.from_engine_args(args)
    loaded = anonymous_bytes()
    prompts = [{"prompt_token_ids": [5 + (row + i) % 200 for i in range(LENGTH - 8)]} for row in range(ROWS)]
    params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True, detokenize=False)
    llm.generate(prompts, params, use_tqdm=False)
    used = anonymous_bytes()
    parts = llm.llm_engine.parts
    kept = load_tokenizer(opened(parts.path))
    tokenizer = anonymous_bytes() - used
    assert kept.backend_tokenizer
    held = FORMATS[parts.dtype if parts.config.coded == ALL_FLOATS else STORED]
    plan = parts.memory_plan
    step = step_bytes(shape_of(parts.config, held), Parallel(), limits)
    weights, whole = loaded - before, used - before
    planned = plan.weight_bytes + plan.kv_cache_bytes + step
    print(
        f"{Path(model).name}, {parts.dtype}: weights {plan.weight_bytes / MB:.1f} MB planned, {weights / MB:.1f} taken "
        f"({plan.weight_bytes / weights - 1:+.1%}); with {plan.kv_cache_bytes / MB:.1f} MB of keys and values and "
        f"{step / MB:.1f} of a step {planned / MB:.1f} planned, {whole / MB:.1f} taken ({planned / whole - 1:+.1%}); "
        f"the tokenizer {tokenizer / MB:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="directories, GGUF files or names; 'builtin' is the one that ships")
    parser.add_argument("--one", action="store_true", help="in this process: what the others are started with")
    options = parser.parse_args()
    if options.one:
        measure(options.models[0])
    else:
        print(provenance())
        for each in options.models:
            subprocess.run([sys.executable, __file__, "--one", each], check=True)
