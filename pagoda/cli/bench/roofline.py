"""`pagoda bench roofline`: how near to the limits of this machine a model's steps run, and where their time goes.

Beside the token's path. The machine's bandwidth and peak are measured (`machine_limits`), the bytes and operations of a
step are counted (`step_work`), and the steps themselves run through the engine as every caller's do: one stream, 8 and
32 rows, and a prompt computed in one piece. What is not spent in the executor is the scheduler's and the outputs'.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from pagoda.cli.bench.offline import OfflineWorkload, machine_facts
from pagoda.cli.bench.step_work import StepWork, work_of
from pagoda.cli.console.options import ENGINE_OPTIONS, AsJson, Settings, engine_settings, option, with_options, without
from pagoda.cli.console.terminal import Terminal
from pagoda.engine.execution.memory_plan import DTYPE_BYTES
from pagoda.errors import ConfigError
from pagoda.sampling_params import SamplingParams

if TYPE_CHECKING:
    from pagoda.engine.sampling.rows import StepRows
    from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
    from pagoda.llm import LLM

ROWS = (1, 8, 32)
PREFILLS = 3


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What is timed. Raises ConfigError for a count below 1.

    depth: tokens that each row has already; steps: timed at each number of rows; prompt_len: of the prompt
    """

    depth: int = 128
    steps: int = 20
    prompt_len: int = 512

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise ConfigError(f"{name} is {value}, but at least 1 is expected")


STEP_OPTIONS = (
    option("depth", int, "Tokens that a row has when its steps are timed.", default=Steps.depth),
    option("steps", int, "Steps that are timed, of each number of rows.", default=Steps.steps),
    option("prompt_len", int, "Tokens of the prompt; as many as the context has if those are fewer.", default=512),
)
_ENGINE_OPTIONS = without(ENGINE_OPTIONS, "enable_prefix_caching", "max_num_batched_tokens", "max_decode_slowdown")


@dataclass(frozen=True)
class Limits:
    """Of this machine, now: bytes that are read and operations of matrix products, each a second."""

    bytes_per_s: float
    flops_per_s: dict[str, float]


@dataclass(frozen=True)
class StepTime:
    """One line of the report; the times are medians in milliseconds.

    executor_ms: of `step_ms`, what the network and the choice of tokens take; limit_ms: the shortest that this machine
    can; limited_by: the memory or the cores
    """

    name: str
    bytes_read: int
    flops: int
    limited_by: str
    limit_ms: float
    executor_ms: float
    step_ms: float

    @property
    def share(self) -> float:
        """Of the step's time, what the machine's limit takes: 1 is as fast as it gets."""
        return self.limit_ms / self.step_ms


@with_options(timed=STEP_OPTIONS, engine=_ENGINE_OPTIONS)
def roofline(ctx: typer.Context, as_json: AsJson = False, *, timed: Settings, engine: Settings) -> None:
    """How near to this machine's limits a model's steps run."""
    wanted = Steps(**timed)
    keywords = engine_settings(engine)
    # torch takes seconds to import: only once everything that can be checked without it is sound.
    from pagoda.llm import LLM

    llm = LLM(**keywords, enable_prefix_caching=False)
    wanted = _fitting(wanted, llm)
    limits = measured_limits(llm)
    _report(limits, list(step_times(llm, wanted, limits)), wanted, llm, ctx.obj, as_json)


def _fitting(steps: Steps, llm: LLM) -> Steps:
    """With the prompt cut to the context. Raises ConfigError where the rows do not fit."""
    parts = llm.llm_engine.parts
    limit, longest = llm.llm_engine.max_model_len, steps.depth + steps.steps + 2
    if longest > limit:
        raise ConfigError(
            f"depth {steps.depth} and {steps.steps} steps are {longest} tokens with those to warm up, but "
            f"max_model_len is {limit}: lower one of them"
        )
    if not parts.memory_plan.num_requests(longest):
        raise ConfigError(f"the KV cache holds no request of {longest} tokens: lower depth, or raise its memory")
    return replace(steps, prompt_len=min(steps.prompt_len, limit - 1))


def measured_limits(llm: LLM) -> Limits:
    """Bandwidth, and the peak of each dtype that the kernels know and torch has products for."""
    import torch

    from pagoda.kernels.machine_limits import ProductPeak, read_bandwidth

    kernels = llm.llm_engine.parts.kernels
    names = dict.fromkeys(("float32", "bfloat16", llm.llm_engine.parts.dtype))
    return Limits(read_bandwidth(), {name: ProductPeak(getattr(torch, name), kernels).measure() for name in names})


def step_times(llm: LLM, steps: Steps, limits: Limits) -> Iterator[StepTime]:
    """A line for each number of rows that the engine runs at once, and one for the prompt."""
    parts = llm.llm_engine.parts
    room = min(parts.args.max_num_seqs, parts.memory_plan.num_requests(steps.depth + steps.steps + 2))
    with timed_executor(llm) as executor_seconds:
        for rows in sorted({min(rows, room) for rows in ROWS}):
            times = _decode_times(llm, rows, steps, executor_seconds)
            work = work_of(parts.config, DTYPE_BYTES[parts.dtype], rows=rows, depth=steps.depth)
            yield _line(f"{rows} row{'s' * (rows > 1)}", work, times, limits, parts.dtype)
        times = [_prefill_time(llm, steps.prompt_len, executor_seconds) for _ in range(1 + PREFILLS)][1:]
        work = work_of(parts.config, DTYPE_BYTES[parts.dtype], rows=1, new_tokens=steps.prompt_len)
        yield _line(f"prompt of {steps.prompt_len}", work, times, limits, parts.dtype)


Times = list[tuple[float, float]]  # seconds of a step, and of its executor


def _line(name: str, work: StepWork, times: Times, limits: Limits, dtype: str) -> StepTime:
    step_s, executor_s = (statistics.median(seconds) for seconds in zip(*times, strict=True))
    reading = work.bytes_read / limits.bytes_per_s
    computing = work.flops / limits.flops_per_s[dtype]
    return StepTime(
        name=name,
        bytes_read=work.bytes_read,
        flops=work.flops,
        limited_by="memory" if reading > computing else "cores",
        limit_ms=1e3 * max(reading, computing),
        executor_ms=1e3 * executor_s,
        step_ms=1e3 * step_s,
    )


@contextmanager
def timed_executor(llm: LLM) -> Iterator[Callable[[], float]]:
    """Tells the seconds that the engine's executor has worked since."""
    core = llm.llm_engine.core
    watched = _WatchedExecutor(core.executor)
    before, core.executor = core.executor, watched
    try:
        yield lambda: watched.seconds
    finally:
        core.executor = before


class _WatchedExecutor:
    """An executor, and how long it has worked."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self.seconds = 0.0

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        began = time.perf_counter()
        output: StepOutput = self._executor.execute(plan, rows)
        self.seconds += time.perf_counter() - began
        return output


def _decode_times(llm: LLM, rows: int, steps: Steps, executor_seconds: Callable[[], float]) -> Times:
    """Of steps in which every row gets a token, after one that warms up."""
    engine = llm.llm_engine
    names = _add(llm, rows, steps.depth, steps.steps + 2)
    waiting = set(names)
    while waiting:
        waiting -= {output.request_id for output in engine.step()}
    engine.step()
    times = [_timed_step(llm, executor_seconds) for _ in range(steps.steps)]
    engine.abort_request(names)
    return times


def _prefill_time(llm: LLM, prompt_len: int, executor_seconds: Callable[[], float]) -> tuple[float, float]:
    """Of the steps that a prompt takes up to its first token: one, unless the engine takes it in pieces."""
    _add(llm, 1, prompt_len, 1)
    times = []
    while llm.llm_engine.has_unfinished_requests():
        times.append(_timed_step(llm, executor_seconds))
    return sum(step for step, _ in times), sum(executor for _, executor in times)


def _timed_step(llm: LLM, executor_seconds: Callable[[], float]) -> tuple[float, float]:
    before, began = executor_seconds(), time.perf_counter()
    llm.llm_engine.step()
    return time.perf_counter() - began, executor_seconds() - before


def _add(llm: LLM, rows: int, prompt_len: int, max_tokens: int) -> list[str]:
    """So many requests of random tokens, greedy and without text; their names."""
    params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False)
    work = OfflineWorkload(num_prompts=rows, input_len=prompt_len)
    names = []
    for index, prompt in enumerate(work.prompts(llm.llm_engine.config.vocab_size)):
        names.append(f"roofline-{index}")
        llm.llm_engine.add_request(names[-1], prompt, params)
    return names


def _report(limits: Limits, lines: list[StepTime], steps: Steps, llm: LLM, terminal: Terminal, as_json: bool) -> None:
    facts = machine_facts(llm)
    if as_json:
        told = [{**asdict(line), "share": line.share} for line in lines]
        sections = {"benchmark": "roofline", "limits": asdict(limits), "steps": told, "timed": asdict(steps)}
        terminal.result(json.dumps({**sections, "machine": facts}, indent=2))
        return
    peaks = " and ".join(f"{peak / 1e9:,.0f} GFLOP/s in {name}" for name, peak in limits.flops_per_s.items())
    terminal.out.print(f"This machine reads {limits.bytes_per_s / 1e9:,.1f} GB/s and multiplies {peaks}.\n")
    terminal.out.print(_table(lines))
    shown = ("model", "num_parameters", "dtype", "kernels", "torch_threads")
    terminal.out.print("\n" + ", ".join(f"{name} {facts[name]}" for name in shown), style="dim")


def _table(lines: list[StepTime]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("a step with")
    for title in ("reads MB", "GFLOP", "limit ms", "step ms", "executor", "of limit"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("by the")
    for line in lines:
        sizes = f"{line.bytes_read / 1e6:,.0f}", f"{line.flops / 1e9:,.2f}"
        times = (f"{value:,.2f}" for value in (line.limit_ms, line.step_ms, line.executor_ms))
        table.add_row(line.name, *sizes, *times, f"{100 * line.share:.0f} %", line.limited_by)
    return table
