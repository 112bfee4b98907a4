"""The engine against transformers' `generate`, on the built-in model: one stream, and 32 prompts at once.

    python benchmarks/against_transformers.py [MODEL] [--dtype float32]

Both run greedily in one dtype for the same number of new tokens from the same token ids, prompts of equal length so
that transformers needs no padding, in interleaved rounds; the median of the ratios counts. The tokens are compared too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from machine import provenance

from pagoda import LLM, SamplingParams
from pagoda.engine.args import BUILTIN_MODEL

PROMPT_TOKENS, NEW_TOKENS, ROUNDS = 64, 64, 3


def timed(run: Callable[[], list[list[int]]]) -> tuple[float, list[list[int]]]:
    began = time.perf_counter()
    tokens = run()
    return time.perf_counter() - began, tokens


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=BUILTIN_MODEL)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    path, dtype = arguments.model, arguments.dtype
    theirs = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).eval()
    llm = LLM(path, dtype=dtype, enable_prefix_caching=False)
    vocab_size = llm.llm_engine.config.vocab_size
    # Neither ends early: an end token is one like others.
    theirs.generation_config.eos_token_id = None
    params = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True, detokenize=False)
    generator = torch.Generator().manual_seed(0)
    print("| prompts | transformers, tokens/s | pagoda, tokens/s | ratio | same tokens |\n|---|---|---|---|---|")
    for count in (1, 32):
        ids = torch.randint(10, vocab_size, (count, PROMPT_TOKENS), generator=generator)
        prompts = [{"prompt_token_ids": row} for row in ids.tolist()]

        def ours(prompts: list[dict[str, list[int]]] = prompts) -> list[list[int]]:
            outputs = llm.generate(prompts, params, use_tqdm=False)
            return [list(output.outputs[0].token_ids) for output in outputs]

        def peers(ids: torch.Tensor = ids) -> list[list[int]]:
            settings = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "pad_token_id": 0}
            generated = theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings)
            return generated[:, PROMPT_TOKENS:].tolist()

        timed(ours), timed(peers)
        rounds = [(timed(peers), timed(ours)) for _ in range(ROUNDS)]
        (_, first_theirs), (_, first_ours) = rounds[0]
        agree = sum(a == b for a, b in zip(first_theirs, first_ours, strict=True))
        total = count * NEW_TOKENS
        rates = [(total / peer[0], total / own[0]) for peer, own in rounds]
        ratio = statistics.median(own / peer for peer, own in rates)
        peer, own = (statistics.median(values) for values in zip(*rates, strict=True))
        print(f"| {count} | {peer:,.0f} | {own:,.0f} | x {ratio:.2f} | {agree} of {count} |", flush=True)
    kernels = llm.llm_engine.parts.kernels.name
    print(f"\n{dtype}, {kernels} kernels, transformers {transformers.__version__}; {provenance()}")


if __name__ == "__main__":
    main()
