"""What batching gives: the same requests through the engine one by one, and all together, in tokens a second.

    python benchmarks/batching_speedup.py [--random-shape builtin] [--requests 32] [--rounds 3]

Both ways give the same tokens, which is checked. Rounds of both are interleaved, so that whatever else the machine does
falls on both, and the medians are compared.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import subject
from machine import provenance

from pagoda import LLM, SamplingParams
from pagoda.engine.outputs import RequestOutput

TARGET = 5.0
Prompt = dict[str, list[int]]


@dataclass(frozen=True)
class Speedup:
    """Medians over the rounds, and the ratio of each round."""

    one_by_one: float
    together: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


def make_prompts(num_requests: int, length: int, vocab_size: int) -> list[Prompt]:
    """Random ids, the same in every run."""
    rng = random.Random(0)
    return [{"prompt_token_ids": [rng.randrange(vocab_size) for _ in range(length)]} for _ in range(num_requests)]


def measure(llm: LLM, prompts: Sequence[Prompt], max_tokens: int, num_rounds: int) -> Speedup:
    """Tokens a second both ways. Raises AssertionError where a request's tokens depend on the way."""
    params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False)
    llm.generate(prompts[:2], params, use_tqdm=False)  # the first steps of a process are slow
    slow, fast = [], []
    for _ in range(num_rounds):
        began = time.perf_counter()
        alone = [llm.generate(prompt, params, use_tqdm=False)[0] for prompt in prompts]
        between = time.perf_counter()
        together = llm.generate(prompts, params, use_tqdm=False)
        ended = time.perf_counter()
        assert _token_ids(alone) == _token_ids(together), "a request's tokens depend on what shares its batch"
        num_tokens = sum(len(token_ids) for token_ids in _token_ids(alone))
        slow.append(num_tokens / (between - began))
        fast.append(num_tokens / (ended - between))
    ratios = tuple(together / alone for alone, together in zip(slow, fast, strict=True))
    return Speedup(statistics.median(slow), statistics.median(fast), ratios)


def _token_ids(outputs: Sequence[RequestOutput]) -> list[tuple[int, ...]]:
    return [output.outputs[0].token_ids for output in outputs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subject.add_arguments(parser)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--prompt-len", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    where = provenance()
    llm = subject.load(arguments, disable_log_stats=True)
    prompts = make_prompts(arguments.requests, arguments.prompt_len, llm.llm_engine.config.vocab_size)
    speedup = measure(llm, prompts, arguments.max_tokens, arguments.rounds)
    print(
        f"{arguments.requests} requests of {arguments.prompt_len} + {arguments.max_tokens} tokens, one by one: "
        f"{speedup.one_by_one:,.0f} tokens/s; together: {speedup.together:,.0f} tokens/s; ratio x {speedup.ratio:.1f} "
        f"(rounds: {', '.join(f'{ratio:.1f}' for ratio in speedup.ratios)}; target: at least {TARGET:.0f})"
    )
    print(f"{subject.describe(llm)}; {where}")


if __name__ == "__main__":
    main()
