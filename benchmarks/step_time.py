"""How long one step of the engine takes, and where its time goes: decode at several batch sizes, and a prompt at once.

    python benchmarks/step_time.py [--kernels native] [--model NAME] [--sampling top-p] [--text] [--operators]

The table has microseconds of the engine's thread by part of a step (the median of the steps), of processor time, so
that what else runs on the machine matters little; each part without the parts inside it. "network" and "head" are the
arithmetic with what it takes to start it; the sum of the others is what a step costs beside it. `--text` turns tokens
into text as a server does, and packs and unpacks the message between the engine's process and the server's.
`--operators` shows the operators of torch that the time went to.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import subject
from machine import provenance
from torch.profiler import ProfilerActivity, profile

from pagoda import LLM, SamplingParams
from pagoda.engine.execution.frames import LENGTH, frame
from pagoda.engine.outputs import RequestOutput
from pagoda.engine.process.messages import StepStats, stepped, unpack
from pagoda.sampling_params import RequestOutputKind

BATCH_SIZES = (1, 8, 32)
PROMPT_LEN = 100
PREFILL_LEN = 512
NUM_WARM_UP = 8
NUM_STEPS = 60
NUM_PREFILLS = 5
SAMPLING: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "plain": {"temperature": 1.0, "seed": 7},
    "top-p": {"temperature": 0.8, "top_p": 0.95, "seed": 7},
    "chat": {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "seed": 7},
}
ARITHMETIC = ("network", "head")
PARTS = ("plan", "rows", "tensors", *ARITHMETIC, "sample", "record", "text", "step", "message", "reading")


class Stopwatch:
    """Microseconds of this thread by part; a part inside another is not counted to both."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    def watch(self, owner: object, method: str, part: str) -> None:
        """From now on, count a method of an object to a part."""
        setattr(owner, method, self.counted(getattr(owner, method), part))

    def counted(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        """`call`, counted to a part."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._enter(part)
            try:
                return call(*args, **kwargs)
            finally:
                self._leave()

        return counted

    def take(self) -> dict[str, float]:
        """What was counted since the last time."""
        parts, self.parts = dict(self.parts), defaultdict(float)
        return parts

    def _enter(self, part: str) -> None:
        self._note()
        self._open.append(part)

    def _leave(self) -> None:
        self._note()
        self._open.pop()

    def _note(self) -> None:
        now = time.thread_time_ns() / 1e3
        if self._open:
            self.parts[self._open[-1]] += now - self._since
        self._since = now


def watched(llm: LLM) -> Stopwatch:
    """A stopwatch at the parts of this engine's steps."""
    watch, engine = Stopwatch(), llm.llm_engine
    core, worker = engine.core, engine.core.executor
    watch.watch(engine, "step", "text")
    watch.watch(core, "step", "step")
    watch.watch(core.scheduler, "schedule", "plan")
    watch.watch(core, "_rows", "rows")
    watch.watch(core, "_update", "record")
    watch.watch(worker, "execute", "sample")
    watch.watch(worker.runner, "execute", "tensors")
    watch.watch(worker.runner.model, "forward", "network")
    for head in ("compute_logits", "best_tokens"):
        watch.watch(worker.runner.model, head, "head")
    return watch


def add_requests(llm: LLM, params: SamplingParams, num_requests: int, prompt_len: int) -> None:
    vocab_size = llm.llm_engine.config.vocab_size
    for index in range(num_requests):
        ids = [(index * 131 + position * 7) % vocab_size for position in range(prompt_len)]
        llm.llm_engine.add_request(str(index), {"prompt_token_ids": ids}, params)


def drain(llm: LLM) -> None:
    while llm.llm_engine.has_unfinished_requests():
        llm.llm_engine.step()


def message(llm: LLM, outputs: list[RequestOutput]) -> bytes:
    """What the engine's process sends after a step."""
    stats = llm.llm_engine.core.scheduler.stats
    return frame(stepped(outputs, [StepStats(stats, len(outputs))]))


def read(data: bytes) -> list[RequestOutput]:
    """The same outputs in the server's process."""
    return [unpack(packed, None, ()) for packed in pickle.loads(data[LENGTH.size :]).outputs]


def decode_us(llm: LLM, watch: Stopwatch, params: SamplingParams, batch_size: int) -> dict[str, float]:
    """Medians by part of steps in which `batch_size` requests, some hundred tokens long, get one token each."""
    add_requests(llm, params, batch_size, PROMPT_LEN)
    send, receive = watch.counted(message, "message"), watch.counted(read, "reading")
    samples: list[dict[str, float]] = []
    for number in range(NUM_WARM_UP + NUM_STEPS):
        began = time.perf_counter()
        outputs = llm.llm_engine.step()
        elapsed_us = (time.perf_counter() - began) * 1e6
        if params.detokenize:
            receive(send(llm, outputs))
        parts = watch.take()
        if number >= NUM_WARM_UP:
            samples.append({**parts, "all": sum(parts.values()), "elapsed": elapsed_us})
    drain(llm)
    watch.take()
    return {part: statistics.median(sample.get(part, 0.0) for sample in samples) for part in samples[0]}


def prefill_ms(llm: LLM, params: SamplingParams) -> float:
    """Of a step that computes one prompt whole."""
    figures = []
    for _ in range(NUM_PREFILLS):
        add_requests(llm, params, 1, PREFILL_LEN)
        began = time.process_time()
        llm.llm_engine.step()
        figures.append((time.process_time() - began) * 1e3)
        llm.llm_engine.abort_request("0")
    return statistics.median(figures)


def operators(llm: LLM, params: SamplingParams, batch_size: int) -> str:
    """Where the time of ten decode steps goes, by operator."""
    add_requests(llm, params, batch_size, PROMPT_LEN)
    for _ in range(4):
        llm.llm_engine.step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(10):
            llm.llm_engine.step()
    drain(llm)
    return profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=32)


def table(figures: dict[int, dict[str, float]]) -> str:
    """Parts by batch size, in Markdown."""
    rows = [["part, microseconds of a step", *(f"{size} rows" for size in figures)], ["---"] * (len(figures) + 1)]
    shown = [part for part in PARTS if any(part in parts for parts in figures.values())]
    rows += [[part, *(f"{parts.get(part, 0):,.0f}" for parts in figures.values())] for part in shown]
    rows += [["all", *(f"{parts['all']:,.0f}" for parts in figures.values())]]
    beside = (parts["all"] - sum(parts[name] for name in ARITHMETIC) for parts in figures.values())
    rows += [["all but network and head", *(f"{value:,.0f}" for value in beside)]]
    rows += [["elapsed, without messages", *(f"{parts['elapsed']:,.0f}" for parts in figures.values())]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subject.add_arguments(parser)
    parser.add_argument("--sampling", choices=SAMPLING, default="greedy")
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--operators", action="store_true")
    arguments = parser.parse_args()
    where = provenance()
    llm = subject.load(arguments, disable_log_stats=True)
    kind = RequestOutputKind.DELTA if arguments.text else RequestOutputKind.FINAL_ONLY
    params = SamplingParams(
        **SAMPLING[arguments.sampling],
        max_tokens=NUM_WARM_UP + NUM_STEPS + 1,
        ignore_eos=True,
        detokenize=arguments.text,
        output_kind=kind,
    )
    if arguments.operators:
        for batch_size in BATCH_SIZES:
            print(operators(llm, params, batch_size))
    prefill = prefill_ms(llm, params)
    watch = watched(llm)
    print(table({size: decode_us(llm, watch, params, size) for size in BATCH_SIZES}))
    print(f"\nprompt of {PREFILL_LEN}: {prefill:.2f} ms, {PREFILL_LEN / prefill * 1e3:,.0f} tokens/s")
    print(f"{arguments.sampling}; {subject.describe(llm)}; {where}")


if __name__ == "__main__":
    main()
