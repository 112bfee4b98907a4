"""`pagoda bench serve URL`: how a server answers under load, whoever made it, as long as it speaks OpenAI's API.

Beside the request's path: options become a workload, arrivals and a target; the work is in `loadtest`. Flags have the
names of `vllm bench serve` where it has them. Ctrl-C shows what was measured until then.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pagoda.cli.console.environment import client_api_key
from pagoda.cli.console.options import API_KEY_ENV, AsJson, Settings, option, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import ConfigError
from pagoda.loadtest.arrivals import Clock, Send, WallClock, arrival_times, closed_loop, open_loop
from pagoda.loadtest.client import Outcome, ServerUnusableError, Target, perform, served_model
from pagoda.loadtest.metrics import Summary, parse_goodput, summarize
from pagoda.loadtest.report import as_dict, failures, plot, table
from pagoda.loadtest.workload import (
    DEFAULT_INPUT_LEN,
    DEFAULT_OUTPUT_LEN,
    DEFAULT_VOCAB_SIZE,
    Lengths,
    PlannedRequest,
    Workload,
)

DEFAULT_NUM_REQUESTS = 100
DEFAULT_TIMEOUT_S = 600.0
ENDPOINTS = ("completions", "chat")


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many requests are sent, and when. Raises ConfigError for a count below 1.

    rate: requests a second, in an open loop; burstiness: shape of its gaps, see `arrival_times`
    concurrency: requests at once, in a closed loop; with a rate, never more
    trace: recorded requests in place of drawn ones, at their own times
    num_requests: None is the whole trace, or DEFAULT_NUM_REQUESTS
    """

    rate: float | None = None
    burstiness: float = 1.0
    concurrency: int | None = None
    trace: Path | None = None
    num_requests: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_requests", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}, but at least 1 is expected")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When requests are sent: `times` in an open loop, else `concurrency` at a time."""

    requests: Sequence[PlannedRequest]
    times: Sequence[float] | None
    concurrency: int | None
    described: str


_LENGTH = "Tokens of {}: 128, a range 64-256, or lognormal:161:1.0 (mean, sigma)."
LOAD_OPTIONS = (
    option("rate", float, "Open loop: requests a second; inf for all at once.", "--rate", "--request-rate"),
    option(
        "burstiness",
        float,
        "Shape of the gamma-distributed gaps: 1 is Poisson, less is burstier, inf is regular.",
        default=Load.burstiness,
    ),
    option(
        "concurrency",
        int,
        "Closed loop: requests at once. With --rate: never more.",
        "--concurrency",
        "--max-concurrency",
    ),
    option("trace", Path, "JSON lines with timestamp (s), input_length or prompt, output_length; else random prompts."),
    option("num_requests", int, f"{DEFAULT_NUM_REQUESTS}, or the whole trace.", "--num-requests", "--num-prompts"),
)
WORKLOAD_OPTIONS = (
    option(
        "input_len",
        str,
        _LENGTH.format("a prompt"),
        "--input-len",
        "--random-input-len",
        default=DEFAULT_INPUT_LEN,
    ),
    option(
        "output_len",
        str,
        _LENGTH.format("an answer"),
        "--output-len",
        "--random-output-len",
        default=DEFAULT_OUTPUT_LEN,
    ),
    option("vocab_size", int, "Token ids of random prompts are below it.", default=DEFAULT_VOCAB_SIZE),
    option("seed", int, "Of lengths, prompts and arrivals.", default="0"),
)
TARGET_OPTIONS = (
    option("model", str, "Its name in the API; else the first.", "--model", "-m"),
    option(
        "ignore_eos",
        bool,
        "Answers have their full length.",
        "--ignore-eos/--no-ignore-eos",
        default="ignore-eos",
    ),
    option("temperature", float, "Otherwise the server's."),
    option("timeout_s", float, "Seconds for one request.", default=DEFAULT_TIMEOUT_S),
    API_KEY_ENV,
)
REPORT_OPTIONS = (
    option("goodput", list[str], "Target in ms: ttft:200, tpot:50 or e2el:5000; may be repeated."),
    option("plot_file", Path, "Write a picture (PNG).", "--plot"),
)


@dataclass
class Run:
    """One load test under way; what is measured stays here when the test is stopped."""

    target: Target
    plan: Plan
    clock: Clock = field(default_factory=WallClock)
    outcomes: list[Outcome] = field(default_factory=list)

    async def carry_out(self, num_warmups: int, progress: Progress) -> None:
        """Find the model, warm up, send everything. Raises ServerUnusableError."""
        if self.target.model is None:
            self.target = replace(self.target, model=await served_model(self.target))
        for _ in range(num_warmups):
            outcome = await perform(self.target, self.plan.requests[0], self.clock.now(), self.clock.now)
            if outcome.error is not None:
                raise ServerUnusableError(f"the first request failed ({outcome.error}): {outcome.message}")
        task = progress.add_task("requests", total=len(self.plan.requests))

        async def send(request: PlannedRequest, due_s: float) -> None:
            self.outcomes.append(await perform(self.target, request, due_s, self.clock.now))
            progress.advance(task)

        await self._in_order(send)

    async def _in_order(self, send: Send) -> None:
        plan = self.plan
        if plan.times is not None:
            await open_loop(plan.requests, plan.times, send, self.clock, max_concurrency=plan.concurrency)
        else:
            assert plan.concurrency is not None, "a plan without times has a concurrency"
            await closed_loop(plan.requests, plan.concurrency, send, self.clock)


@with_options(workload=WORKLOAD_OPTIONS, load=LOAD_OPTIONS, target=TARGET_OPTIONS, report=REPORT_OPTIONS)
def serve(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="Address of the server, as in http://127.0.0.1:8000.")],
    endpoint: Annotated[str, typer.Option(help="completions or chat.")] = "completions",
    num_warmups: Annotated[int, typer.Option(min=0, help="Requests before the measurement.")] = 1,
    as_json: AsJson = False,
    *,
    workload: Settings,
    load: Settings,
    target: Settings,
    report: Settings,
) -> None:
    """Send requests to a running server and measure its latencies and throughput."""
    if endpoint not in ENDPOINTS:
        raise ConfigError(f"endpoint is {endpoint!r}, but one of {', '.join(ENDPOINTS)} is expected")
    is_chat = endpoint == "chat"
    targets = parse_goodput(report.get("goodput", ()))
    plan = make_plan(_workload(workload, as_text=is_chat), Load(**load))
    run = Run(_target(url, target, is_chat=is_chat), plan)
    try:
        _carry_out(run, num_warmups, ctx.obj)
    finally:
        # Ctrl-C comes through here with what there is; before the first answer there is nothing to show.
        if run.outcomes:
            _report(run, targets, ctx.obj, as_json=as_json, plot_file=report.get("plot_file"))
    if not any(outcome.error is None for outcome in run.outcomes):
        raise ServerUnusableError(f"none of {len(run.outcomes)} requests was answered")


def make_plan(workload: Workload, load: Load) -> Plan:
    """Requests and their times. Raises ConfigError for what contradicts itself."""
    if load.trace is not None:
        requests = workload.replay(load.trace, load.num_requests)
    else:
        requests = workload.requests(DEFAULT_NUM_REQUESTS if load.num_requests is None else load.num_requests)
    concurrency = load.concurrency
    limit = "" if concurrency is None else f", at most {concurrency} at once"
    if load.rate is not None:
        times = arrival_times(len(requests), load.rate, burstiness=load.burstiness, seed=workload.seed)
        described = f"{load.rate:g} requests/s offered{limit}"
        return Plan(requests=requests, times=times, concurrency=concurrency, described=described)
    recorded = [request.arrival_s for request in requests if request.arrival_s is not None]
    if recorded:
        return Plan(requests=requests, times=recorded, concurrency=concurrency, described=f"times of the trace{limit}")
    if concurrency is not None:
        return Plan(requests=requests, times=None, concurrency=concurrency, described=f"{concurrency} at a time")
    times = arrival_times(len(requests), math.inf)
    return Plan(requests=requests, times=times, concurrency=None, described="all at once")


def _workload(settings: Settings, *, as_text: bool) -> Workload:
    """Raises ConfigError for lengths that are none."""
    given = dict(settings)
    for name in ("input_len", "output_len"):
        if name in given:
            given[name] = Lengths.parse(given[name], name)
    return Workload(as_text=as_text, **given)


def _target(url: str, settings: Settings, *, is_chat: bool) -> Target:
    """Raises ConfigError for an address or a key that is none."""
    given: Settings = {"timeout_s": DEFAULT_TIMEOUT_S, **settings}
    key = client_api_key(os.environ, given.pop("api_key_env", None))
    return Target(url=url, chat=is_chat, api_key=key, **given)


def _carry_out(run: Run, num_warmups: int, terminal: Terminal) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal.err, disable=not terminal.err.is_terminal) as progress:
        asyncio.run(run.carry_out(num_warmups, progress))


def _report(
    run: Run, targets: Mapping[str, float], terminal: Terminal, *, as_json: bool, plot_file: Path | None
) -> None:
    summary: Summary = summarize(run.outcomes, targets, num_planned=len(run.plan.requests))
    title = f"{run.target.model} at {run.target.url}, {len(run.plan.requests):,} requests, {run.plan.described}"
    if as_json:
        facts = {"benchmark": "serve", "model": run.target.model, "url": run.target.url, "load": run.plan.described}
        terminal.result(json.dumps({**facts, **as_dict(summary)}, indent=2, ensure_ascii=False))
    else:
        terminal.out.print(table(summary, title, targets))
    for line in failures(summary):
        terminal.note(line, style="yellow")
    if plot_file is not None:
        plot(run.outcomes, title, plot_file)
