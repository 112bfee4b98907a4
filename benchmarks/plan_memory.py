"""What `pagoda plan` says a model takes on this machine, against what it does take: weights, keys and values, a step.

    python benchmarks/plan_memory.py builtin /path/to/a.gguf /path/to/a/folder

Each model is loaded in a process of its own. Its anonymous memory is read from /proc before, after loading, and after
requests that filled the KV cache to its last block; beside that the weights' own tensors are counted, since a process
also keeps what reading a file's header left behind. The tokenizer, which no plan counts, comes last. It does not matter
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
from pagoda.errors import CheckpointError
from pagoda.kernels.native.packed_weight import PackedWeight
from pagoda.models.checkpoint.loading import load_tokenizer
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.gguf.container import opened
from pagoda.models.llama import LlamaForCausalLM
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


def weight_bytes() -> int:
    """Of all tensors of weights that this process holds: packed matrices, and what is not packed."""
    held = gc.get_objects()
    packed = sum(each.data.numel() for each in held if type(each) is PackedWeight)
    networks = [each for each in held if type(each) is LlamaForCausalLM]
    return packed + sum(each.numel() * each.element_size() for network in networks for each in network.parameters())


def measure(model: str) -> None:
    """Print one line."""
    limits = StepLimits(max_num_seqs=ROWS, max_num_batched_tokens=STEP)
    with LLM(max_num_seqs=1, num_gpu_blocks_override=32, disable_log_stats=True, max_model_len=64) as first:
        first.generate("Once", SamplingParams(max_tokens=2), use_tqdm=False)  # imports, threads, caches of kernels
    before, held_before = anonymous_bytes(), weight_bytes()
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
    loaded, tensors = anonymous_bytes(), weight_bytes() - held_before
    prompts = [{"prompt_token_ids": [5 + (row + i) % 200 for i in range(LENGTH - 8)]} for row in range(ROWS)]
    params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True, detokenize=False)
    llm.generate(prompts, params, use_tqdm=False)
    used = anonymous_bytes()
    parts = llm.llm_engine.parts
    tokenizer = with_tokenizer(parts.path, used)
    held = FORMATS[parts.dtype if parts.config.coded == ALL_FLOATS else STORED]
    plan = parts.memory_plan
    step = step_bytes(shape_of(parts.config, held), Parallel(), limits)
    weights, whole = loaded - before, used - before
    planned = plan.weight_bytes + plan.kv_cache_bytes + step
    in_tensors = f"{tensors / MB:.1f} in tensors ({plan.weight_bytes / tensors - 1:+.2%})"
    print(
        f"{Path(model).name}, {parts.dtype}: weights {plan.weight_bytes / MB:.1f} MB planned, {in_tensors}, "
        f"{weights / MB:.1f} taken ({plan.weight_bytes / weights - 1:+.1%}); with {plan.kv_cache_bytes / MB:.1f} MB of "
        f"keys and values and {step / MB:.1f} of a step {planned / MB:.1f} planned, {whole / MB:.1f} taken "
        f"({planned / whole - 1:+.1%}){tokenizer}",
        flush=True,
    )


def with_tokenizer(checkpoint: Path, before: int) -> str:
    """What the tokenizer takes beyond `before`, where the checkpoint has one."""
    try:
        kept = load_tokenizer(opened(checkpoint))
    except CheckpointError:
        return ""
    assert kept.backend_tokenizer
    return f"; the tokenizer {(anonymous_bytes() - before) / MB:.1f}"


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
