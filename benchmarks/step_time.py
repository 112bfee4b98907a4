"""How long one step of the engine takes: decode at several batch sizes, and a prompt computed in one step.

    python benchmarks/step_time.py [--random-shape builtin] [--dtype bfloat16] [--profile]

Milliseconds of processor time of this process (the median of the steps), so that what else runs on the machine matters
little; with `--profile` also the operators that it went to. No sampling beyond the greedy pick, no text.
"""

from __future__ import annotations

import argparse
import statistics
import time

import subject
from machine import provenance
from torch.profiler import ProfilerActivity, profile

from pagoda import LLM, SamplingParams

BATCH_SIZES = (1, 8, 32)
PROMPT_LEN = 100
PREFILL_LEN = 512
NUM_STEPS = 30
NUM_PREFILLS = 5


def add_requests(llm: LLM, num_requests: int, prompt_len: int, max_tokens: int) -> None:
    params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False)
    vocab_size = llm.llm_engine.config.vocab_size
    for index in range(num_requests):
        ids = [(index * 131 + position * 7) % vocab_size for position in range(prompt_len)]
        llm.llm_engine.add_request(str(index), {"prompt_token_ids": ids}, params)


def step_ms(llm: LLM) -> float:
    began = time.process_time()
    llm.llm_engine.step()
    return (time.process_time() - began) * 1e3


def drain(llm: LLM) -> None:
    while llm.llm_engine.has_unfinished_requests():
        llm.llm_engine.step()


def decode_ms(llm: LLM, batch_size: int) -> float:
    """Of a step in which `batch_size` requests, some hundred tokens long, get one token each."""
    num_warm_up = 5
    add_requests(llm, batch_size, PROMPT_LEN, max_tokens=num_warm_up + NUM_STEPS)
    for _ in range(num_warm_up):
        llm.llm_engine.step()
    figure = statistics.median(step_ms(llm) for _ in range(NUM_STEPS - 1))
    drain(llm)
    return figure


def prefill_ms(llm: LLM) -> float:
    """Of a step that computes one prompt whole."""
    figures = []
    for _ in range(NUM_PREFILLS):
        add_requests(llm, 1, PREFILL_LEN, max_tokens=1)
        figures.append(step_ms(llm))
        drain(llm)
    return statistics.median(figures)


def operators(llm: LLM, batch_size: int) -> str:
    """Where the time of ten decode steps goes, by operator."""
    add_requests(llm, batch_size, PROMPT_LEN, max_tokens=15)
    for _ in range(4):
        llm.llm_engine.step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(10):
            llm.llm_engine.step()
    drain(llm)
    return profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subject.add_arguments(parser)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    where = provenance()
    llm = subject.load(arguments, disable_log_stats=True)
    for batch_size in BATCH_SIZES:
        figure = decode_ms(llm, batch_size)
        rate = batch_size / figure * 1e3
        print(f"decode, {batch_size:>2} requests: {figure:7.2f} ms a step, {rate:7,.0f} tokens/s of processor time")
        if arguments.profile:
            print(operators(llm, batch_size))
    figure = prefill_ms(llm)
    print(f"prompt of {PREFILL_LEN}:       {figure:7.2f} ms, {PREFILL_LEN / figure * 1e3:13,.0f} tokens/s")
    print(f"{subject.describe(llm)}; {where}")


if __name__ == "__main__":
    main()
