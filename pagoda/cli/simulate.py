"""`pagoda simulate MODEL --devices 8xH100-80GB`: what a load would see of a layout, by the real scheduler on a clock.

Beside the token's path: options become an installation and a load; the work is in `planning`. Nothing of the model is
read but its configuration. Deterministic: the same options print the same figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pagoda.cli.console.messages import Messages
from pagoda.cli.console.options import AsJson, Settings, option, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.plan import load_config
from pagoda.cli.plan_devices import DEFAULT_PROGRAM, fleet_of
from pagoda.engine.args import BUILTIN_MODEL, BUILTIN_NAMES, EngineArgs
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.errors import ConfigError, InsufficientMemoryError, MissingExtraError
from pagoda.loadtest.metrics import PERCENTS, parse_goodput
from pagoda.loadtest.workload import Lengths
from pagoda.models.checkpoint.hub import resolve_config
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import opened
from pagoda.models.parallel import check_ranks
from pagoda.planning.costs import Parallel, StepCost, decode_load, prompt_load
from pagoda.planning.formats import STORED, format_named
from pagoda.planning.layouts import Fleet, StepLimits, device_memory
from pagoda.planning.routing import POLICIES, AffinityConfig, policy_named
from pagoda.planning.shapes import shape_of
from pagoda.planning.simulation.simulator import Installation, Simulation, simulate
from pagoda.planning.simulation.summary import SimulatedSummary, summarize_simulation
from pagoda.planning.simulation.timeline import timeline
from pagoda.planning.simulation.traces import read_trace
from pagoda.planning.simulation.workload import SimulatedRequest, synthetic

DEFAULT_NUM_REQUESTS = 1000
_DRAWN = ("rate", "burstiness", "input_len", "output_len", "seed")
_RECORDED = ("speed", "repeat")
"""Settings of a load that is drawn, and of one that is recorded."""


@dataclass(frozen=True, kw_only=True)
class SimulatedLoad:
    """Which requests come. trace: recorded ones; otherwise drawn. Raises ConfigError."""

    trace: Path | None = None
    num_requests: int | None = None
    rate: float = 1.0
    burstiness: float = 1.0
    input_len: str = "512"
    output_len: str = "128"
    speed: float = 1.0
    repeat: int = 1
    seed: int = 0

    def requests(self) -> list[SimulatedRequest]:
        if self.num_requests is not None and self.num_requests < 1:
            raise ConfigError(f"num_requests is {self.num_requests}, but at least 1 is expected")
        if self.trace is not None:
            return read_trace(self.trace, num_requests=self.num_requests, speed=self.speed, repeat=self.repeat)
        lengths = Lengths.parse(self.input_len, "input_len"), Lengths.parse(self.output_len, "output_len")
        count = self.num_requests or DEFAULT_NUM_REQUESTS
        return list(synthetic(count, self.rate, *lengths, burstiness=self.burstiness, seed=self.seed))


@dataclass(frozen=True, kw_only=True)
class SimulatedLayout:
    """How the model lies and how the engine is set; names are those of `pagoda serve`. Raises ConfigError.

    replicas: None is as many as the devices hold
    """

    devices: str
    device_table: tuple[Path, ...] = ()
    program: str = DEFAULT_PROGRAM
    format: str | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    replicas: int | None = None
    routing: str = "round-robin"
    imbalance: float = AffinityConfig.imbalance
    max_model_len: int | None = None
    max_num_seqs: int = StepLimits.max_num_seqs
    max_num_batched_tokens: int = StepLimits.max_num_batched_tokens
    block_size: int = StepLimits.block_size
    enable_prefix_caching: bool = True
    long_prefill_token_threshold: int = 0

    @property
    def parallel(self) -> Parallel:
        for name in ("tensor_parallel_size", "pipeline_parallel_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but at least 1 is expected")
        return Parallel(self.tensor_parallel_size, self.pipeline_parallel_size)

    def check(self, config: ModelConfig) -> None:
        """Raises ConfigError for ranks, blocks and lengths that the engine would refuse."""
        parallel = self.parallel
        check_ranks(config, tensor=parallel.tensor_parallel_size, pipeline=parallel.pipeline_parallel_size)
        if self.block_size < 1:
            raise ConfigError(f"block_size is {self.block_size}, but at least 1 is expected")
        if self.max_model_len is not None and not 1 <= self.max_model_len <= config.rope.max_length:
            raise ConfigError(
                f"max_model_len is {self.max_model_len}, but the model's context holds 1 to "
                f"{config.rope.max_length:.0f} tokens"
            )

    def num_replicas(self, fleet: Fleet) -> int:
        room = fleet.count // self.parallel.num_devices
        wanted = room if self.replicas is None else self.replicas
        if room == 0:
            raise ConfigError(
                f"one replica takes {self.parallel.num_devices} devices, but there are {fleet.count}: give more "
                f"devices, or fewer ranks"
            )
        if not 1 <= wanted <= room:
            raise ConfigError(
                f"{wanted} replicas of {self.parallel.num_devices} devices each are asked for, but {fleet.count} "
                f"devices hold {room}: give fewer, or more devices"
            )
        return wanted


LOAD_OPTIONS = (
    option(
        "trace",
        Path,
        "Azure's CSV, Mooncake's JSON lines, or JSON lines with timestamp (s), input_length, output_length.",
    ),
    option("num_requests", int, f"{DEFAULT_NUM_REQUESTS}, or the whole trace.", "--num-requests", "--num-prompts"),
    option("rate", float, "Requests a second, drawn as a gamma process.", "--rate", "--request-rate", default=1.0),
    option("burstiness", float, "Shape of the gaps: 1 is Poisson, inf is regular.", default=1.0),
    option("input_len", str, "Tokens of a prompt: 128, 64-256, or lognormal:161:1.0.", default="512"),
    option("output_len", str, "Tokens of an answer, likewise.", default="128"),
    option("speed", float, "How many times faster a trace is played.", default=1.0),
    option("repeat", int, "Copies of a trace behind each other.", default=1),
    option("seed", int, "Of lengths and arrivals.", default="0"),
)
_SHOWN = {field.name: field.default for field in fields(SimulatedLayout)}
_HELP: dict[str, tuple[Any, str]] = {
    "devices": (str, "A number and a device, such as 8xH100-80GB; cpu measures this machine, 2xcpu divides it."),
    "device_table": (list[Path], "JSON of devices beyond the known ones; may be repeated."),
    "program": (str, "Whose overheads are reckoned with on a GPU."),
    "format": (str, "Weights as bfloat16, float32, int8, int4 or stored; otherwise as the checkpoint has them."),
    "tensor_parallel_size": (int, "Ranks that share each layer."),
    "pipeline_parallel_size": (int, "Stages that share the layers."),
    "replicas": (int, "Copies; otherwise as many as the devices hold."),
    "routing": (str, f"Who gets a request: {', '.join(POLICIES)}."),
    "imbalance": (float, "Of prefix-affinity: most work of one replica over the mean."),
    "max_model_len": (int, "Tokens of the longest request; otherwise the model's."),
    "max_num_seqs": (int, "Requests that run at once."),
    "max_num_batched_tokens": (int, "Tokens of a step."),
    "block_size": (int, "Tokens of a KV block."),
    "enable_prefix_caching": (bool, "Share blocks of prompts that a trace says are alike."),
    "long_prefill_token_threshold": (int, "Most tokens of one prompt in a step; 0 sets no limit."),
}
LAYOUT_OPTIONS = tuple(
    option(name, kind, text, default=_SHOWN[name] if isinstance(_SHOWN[name], (int, float, str)) else None)
    for name, (kind, text) in _HELP.items()
)
REPORT_OPTIONS = (
    option("goodput", list[str], "A target in ms: ttft:200, tpot:50 or e2el:5000; may be repeated."),
    option("html", Path, "Write a page with the timeline: one file, nothing linked."),
    option("plot_file", Path, "Write a picture (PNG).", "--plot"),
)


@with_options(load=LOAD_OPTIONS, layout=LAYOUT_OPTIONS, report=REPORT_OPTIONS)
def simulate_command(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Argument(help="As for pagoda plan: only its configuration is read.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    as_json: AsJson = False,
    *,
    load: Settings,
    layout: Settings,
    report: Settings,
) -> None:
    """What a load would see of a layout: time to first token, between tokens, goodput, cache hits, preemptions."""
    if "devices" not in layout:
        raise ConfigError("devices is missing: say which, such as --devices 8xH100-80GB")
    wanted = SimulatedLayout(**{**layout, "device_table": tuple(layout.get("device_table", ()))})
    targets = parse_goodput(report.get("goodput", ()))
    name = EngineArgs(model=model).model or BUILTIN_MODEL
    config = load_config(opened(resolve_config(name, revision=revision)))
    terminal: Terminal = ctx.obj
    installation = installation_of(config, wanted, terminal)
    requests = load_of(load).requests()
    found = simulate(requests, installation, keep_steps="html" in report)
    summary = summarize_simulation(found, targets)
    _warn_refused(found, terminal)
    title = terminal.say.simulate_title.format(
        model=model or BUILTIN_NAMES[0],
        devices=wanted.devices,
        replicas=installation.num_replicas,
        routing=wanted.routing,
    )
    if "html" in report:
        page = timeline(found, title, {name: _shown(value) for name, value in summary.as_dict().items()})
        report["html"].write_text(page, encoding="utf-8")
    if "plot_file" in report:
        plot(found, title, report["plot_file"])
    if as_json:
        terminal.result(json.dumps(summary.as_dict(), indent=2))
    else:
        terminal.table(_table(summary, title, targets, terminal.say))


def load_of(settings: Settings) -> SimulatedLoad:
    """Raises ConfigError for what says something of a load of the other kind, and would be passed over."""
    recorded = "trace" in settings
    if idle := [name for name in (_DRAWN if recorded else _RECORDED) if name in settings]:
        why = "is of drawn loads, and trace is given" if recorded else "is of a trace, and none is given"
        raise ConfigError(f"{', '.join(idle)} {why}: leave one of them out")
    return SimulatedLoad(**settings)


def installation_of(config: ModelConfig, wanted: SimulatedLayout, terminal: Terminal) -> Installation:
    """Raises ConfigError, or InsufficientMemoryError where the model does not fit."""
    wanted.check(config)
    fleet = fleet_of(wanted.devices, wanted.device_table, wanted.program, terminal)
    name = wanted.format or ("bfloat16" if config.coded == ALL_FLOATS else STORED)
    shape = shape_of(config, format_named(name))
    limits = StepLimits(wanted.max_num_seqs, wanted.max_num_batched_tokens, wanted.block_size)
    memory = device_memory(shape, wanted.parallel, fleet.device, limits)
    if memory is None:
        raise InsufficientMemoryError(
            f"the weights in {name} leave no room for a KV cache on {wanted.parallel.num_devices} x "
            f"{fleet.device.name}: raise --tensor-parallel-size, or take a smaller format"
        )
    cost = StepCost(fleet.device, shape, wanted.parallel, fleet.overheads)
    token_s = cost.seconds(prompt_load(2048)) / 2048
    affinity = AffinityConfig(token_s, cost.seconds(decode_load(1, 1024)) / wanted.max_num_seqs, wanted.imbalance)
    return Installation(
        scheduler_config=SchedulerConfig(
            max_model_len=wanted.max_model_len or config.max_position_embeddings,
            max_num_seqs=wanted.max_num_seqs,
            max_num_batched_tokens=wanted.max_num_batched_tokens,
            long_prefill_token_threshold=wanted.long_prefill_token_threshold,
        ),
        cache_config=CacheConfig(
            num_blocks=memory.kv_tokens // wanted.block_size,
            block_size=wanted.block_size,
            enable_prefix_caching=wanted.enable_prefix_caching,
        ),
        cost=cost,
        route=policy_named(wanted.routing, affinity),
        num_replicas=wanted.num_replicas(fleet),
        overhead_s=fleet.overheads.request,
    )


def _warn_refused(found: Simulation, terminal: Terminal) -> None:
    for message, count in found.refused.items():
        terminal.note(terminal.say.simulate_refused.format(count=count, message=message))


def _table(summary: SimulatedSummary, title: str, targets: Mapping[str, float], say: Messages) -> Table:
    """Names of figures are those of `vllm bench serve`, in every language."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", say.simulate_mean, *(f"p{percent}" for percent in PERCENTS)):
        grid.add_column(name, justify="right" if name else "left")
    for name, value in summary.as_dict().items():
        if not name.endswith("_ms") and value is not None:
            grid.add_row(name.replace("_", " "), _shown(value))
    if targets:
        grid.add_row(say.simulate_targets, ", ".join(f"{name} {limit:g} ms" for name, limit in targets.items()))
    grid.add_section()
    for name in ("ttft", "tpot", "itl", "e2el"):
        distribution = getattr(summary, name)
        values = (distribution.mean, *distribution.percentiles.values())
        grid.add_row(f"{name} ms", *(_shown(value) for value in values), style="bold")
    return grid


def _shown(value: float | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def plot(found: Simulation, title: str, path: Path) -> None:
    """Write a PNG: shares of requests by TTFT, and by time a token. Raises MissingExtraError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("the picture of a simulation", "train") from error
    times = found.times
    done = [number for number, end_s in enumerate(times.end_s) if end_s == end_s]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    first, gaps = figure.subplots(1, 2)
    ttft = sorted(1e3 * (times.first_s[number] - times.arrival_s[number]) for number in done)
    first.step(ttft, [(place + 1) / len(ttft) for place in range(len(ttft))], where="post")
    first.set(xlabel="TTFT, ms", ylabel="share of requests", ylim=(0, 1), xscale="log")
    ordered = sorted(found.times.gaps.items())
    total, below, shares = sum(found.times.gaps.values()), 0, []
    for _, count in ordered:
        below += count
        shares.append(below / total)
    gaps.step([1e3 * seconds for seconds, _ in ordered], shares, where="post")
    gaps.set(xlabel="between tokens (ITL), ms", ylabel="share of tokens", ylim=(0, 1))
    figure.savefig(path, dpi=150, format="png")
