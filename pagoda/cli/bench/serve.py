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
from pagoda.cli.console.options import ApiKeyEnv, AsJson
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import ConfigError
from pagoda.loadtest.arrivals import Clock, Send, WallClock, arrival_times, closed_loop, open_loop
from pagoda.loadtest.client import Outcome, ServerUnusableError, Target, perform, served_model
from pagoda.loadtest.metrics import Summary, parse_goodput, summarize
from pagoda.loadtest.report import as_dict, failures, plot, table
from pagoda.loadtest.workload import DEFAULT_VOCAB_SIZE, Lengths, PlannedRequest, Workload

DEFAULT_NUM_REQUESTS = 100
ENDPOINTS = ("completions", "chat")
_LENGTH = "Tokens of {}: 128, a range 64-256, or lognormal:161:1.0 (mean, sigma)."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When requests are sent: `times` in an open loop, else `concurrency` at a time."""

    requests: Sequence[PlannedRequest]
    times: Sequence[float] | None
    concurrency: int | None
    described: str


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


def serve(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="Address of the server, as in http://127.0.0.1:8000.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Its name in the API; else the first.")] = None,
    endpoint: Annotated[str, typer.Option(help="completions or chat.")] = "completions",
    rate: Annotated[
        float | None,
        typer.Option("--rate", "--request-rate", help="Open loop: requests a second; inf for all at once."),
    ] = None,
    burstiness: Annotated[
        float, typer.Option(help="Shape of the gamma-distributed gaps: 1 is Poisson, less is burstier, inf is regular.")
    ] = 1.0,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", "--max-concurrency", help="Closed loop: requests at once. With --rate: never more."
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace", help="JSON lines with timestamp (s), input_length or prompt, output_length; else random prompts."
        ),
    ] = None,
    num_requests: Annotated[
        int | None,
        typer.Option("--num-requests", "--num-prompts", help=f"{DEFAULT_NUM_REQUESTS}, or the whole trace."),
    ] = None,
    input_len: Annotated[
        str, typer.Option("--input-len", "--random-input-len", help=_LENGTH.format("a prompt"))
    ] = "128",
    output_len: Annotated[
        str, typer.Option("--output-len", "--random-output-len", help=_LENGTH.format("an answer"))
    ] = "128",
    vocab_size: Annotated[int, typer.Option(help="Token ids of random prompts are below it.")] = DEFAULT_VOCAB_SIZE,
    goodput: Annotated[
        list[str] | None, typer.Option(help="Target in ms: ttft:200, tpot:50 or e2el:5000; may be repeated.")
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos/--no-ignore-eos", help="Answers have their full length.")
    ] = True,
    temperature: Annotated[float | None, typer.Option(help="Otherwise the server's.")] = None,
    num_warmups: Annotated[int, typer.Option(min=0, help="Requests before the measurement.")] = 1,
    timeout_s: Annotated[float, typer.Option(help="Of one request.")] = 600.0,
    api_key_env: ApiKeyEnv = None,
    seed: Annotated[int, typer.Option(help="Of lengths, prompts and arrivals.")] = 0,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Write a picture (PNG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Send requests to a running server and measure its latencies and throughput."""
    terminal: Terminal = ctx.obj
    if endpoint not in ENDPOINTS:
        raise ConfigError(f"endpoint is {endpoint!r}, but one of {', '.join(ENDPOINTS)} is expected")
    targets = parse_goodput(goodput or ())
    workload = Workload(
        input_len=Lengths.parse(input_len, "input_len"),
        output_len=Lengths.parse(output_len, "output_len"),
        as_text=endpoint == "chat",
        vocab_size=vocab_size,
        seed=seed,
    )
    plan = make_plan(workload, trace, num_requests, rate, burstiness, concurrency)
    target = Target(
        url=url,
        model=model,
        chat=endpoint == "chat",
        ignore_eos=ignore_eos,
        temperature=temperature,
        api_key=client_api_key(os.environ, api_key_env),
        timeout_s=timeout_s,
    )
    run = Run(target, plan)
    try:
        _carry_out(run, num_warmups, terminal)
    finally:
        # Ctrl-C comes through here with what there is; before the first answer there is nothing to show.
        if run.outcomes:
            _report(run, targets, terminal, as_json=as_json, plot_file=plot_file)
    if not any(outcome.error is None for outcome in run.outcomes):
        raise ServerUnusableError(f"none of {len(run.outcomes)} requests was answered")


def make_plan(
    workload: Workload,
    trace: Path | None,
    num_requests: int | None,
    rate: float | None,
    burstiness: float,
    concurrency: int | None,
) -> Plan:
    """Requests and their times. Raises ConfigError for what contradicts itself."""
    for name, value in (("num_requests", num_requests), ("concurrency", concurrency)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}, but at least 1 is expected")
    if trace is not None:
        requests = workload.replay(trace, num_requests)
    else:
        requests = workload.requests(DEFAULT_NUM_REQUESTS if num_requests is None else num_requests)
    limit = "" if concurrency is None else f", at most {concurrency} at once"
    if rate is not None:
        times = arrival_times(len(requests), rate, burstiness=burstiness, seed=workload.seed)
        return Plan(
            requests=requests, times=times, concurrency=concurrency, described=f"{rate:g} requests/s offered{limit}"
        )
    recorded = [request.arrival_s for request in requests if request.arrival_s is not None]
    if recorded:
        return Plan(requests=requests, times=recorded, concurrency=concurrency, described=f"times of the trace{limit}")
    if concurrency is not None:
        return Plan(requests=requests, times=None, concurrency=concurrency, described=f"{concurrency} at a time")
    times = arrival_times(len(requests), math.inf)
    return Plan(requests=requests, times=times, concurrency=None, described="all at once")


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
