"""What HTTP costs: 32 requests at once through `pagoda serve`, streamed and not, against the same through `LLM`.

    python benchmarks/http_throughput.py [--requests 32] [--rounds 5]

Rounds of all three are interleaved, so that whatever else the machine does falls on each; the ratio is the median of
the rounds' ratios. Server, engine and client share the cores, as they would on a person's machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from typing import Any

from machine import provenance
from served import Server, post, serving

from pagoda import LLM, SamplingParams

TARGET = 0.9
PROMPT_LEN, MAX_TOKENS = 32, 256


def make_prompts(num_requests: int, vocab_size: int) -> list[list[int]]:
    """Random ids, the same in every run."""
    draw = random.Random(0)
    return [[draw.randrange(vocab_size) for _ in range(PROMPT_LEN)] for _ in range(num_requests)]


def offline(llm: LLM, prompts: list[list[int]]) -> float:
    """Tokens a second of LLM.generate."""
    params = SamplingParams(max_tokens=MAX_TOKENS, ignore_eos=True, seed=0)
    began = time.perf_counter()
    llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
    return len(prompts) * MAX_TOKENS / (time.perf_counter() - began)


async def over_http(server: Server, prompts: list[list[int]], *, stream: bool) -> float:
    """Tokens a second of as many clients as there are prompts. Raises AssertionError where any came short."""
    shared: dict[str, Any] = {"max_tokens": MAX_TOKENS, "ignore_eos": True, "seed": 0, "stream": stream}
    shared |= {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "stream_options": {"include_usage": True}}
    began = time.perf_counter()
    answers = await asyncio.gather(
        *(post(server.url, "/v1/completions", {**shared, "prompt": prompt}) for prompt in prompts)
    )
    elapsed_s = time.perf_counter() - began
    for answer in answers:
        assert answer.status == 200, answer.body
        assert f'"completion_tokens":{MAX_TOKENS}' in answer.body.decode(), "an answer came short"
    return len(prompts) * MAX_TOKENS / elapsed_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    line = provenance()
    llm = LLM(disable_log_stats=True)
    prompts = make_prompts(arguments.requests, llm.llm_engine.config.vocab_size)
    rates: dict[str, list[float]] = {"offline": [], "streamed": [], "whole": []}
    with serving() as server:
        for number in range(arguments.rounds + 1):
            measured = {
                "offline": offline(llm, prompts),
                "streamed": asyncio.run(over_http(server, prompts, stream=True)),
                "whole": asyncio.run(over_http(server, prompts, stream=False)),
            }
            if number:  # the first round of a process is slow
                for name, rate in measured.items():
                    rates[name].append(rate)
    for name in ("streamed", "whole"):
        ratio = statistics.median(rate / base for rate, base in zip(rates[name], rates["offline"], strict=True))
        print(
            f"{arguments.requests} at once, {name}: {statistics.median(rates[name]):,.0f} tokens/s over HTTP, "
            f"{statistics.median(rates['offline']):,.0f} offline; ratio x {ratio:.2f} (target: at least {TARGET})"
        )
    print(json.dumps({name: [round(rate) for rate in values] for name, values in rates.items()}))
    print(line)


if __name__ == "__main__":
    main()
