"""`pagoda plan MODEL --devices 8xH100-80GB`: which formats and layouts fit, what each gives, and what to type for it.

Beside the token's path: options become a fleet, a usage and a target; the work is in `planning`. Nothing of the model
is read but its configuration, and torch is imported only where this machine itself is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from pagoda.cli.console.options import Settings, option
from pagoda.cli.console.terminal import Terminal
from pagoda.engine.execution.memory_plan import GIB
from pagoda.errors import ConfigError
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel
from pagoda.planning.devices import THIS_MACHINE, DeviceTable, parse_devices
from pagoda.planning.formats import STORED, WeightFormat, format_named
from pagoda.planning.layouts import (
    PRESETS,
    Fleet,
    LatencyTarget,
    Layout,
    StepLimits,
    cheapest,
    fastest,
    layouts,
    parallels,
    preset_named,
    serve_command,
)
from pagoda.planning.steady import RequestMix

DEFAULT_PROGRAM = "vllm"


@dataclass(frozen=True, kw_only=True)
class DeviceWish:
    """What the options say; the names are theirs. Raises ConfigError."""

    devices: str
    device_table: tuple[Path, ...] = ()
    preset: str | None = None
    formats: str | None = None
    input_len: int = 1024
    output_len: int = 256
    concurrency: int = StepLimits.max_num_seqs
    target_ttft: float | None = None
    target_tpot: float | None = None
    target_throughput: float | None = None
    program: str = DEFAULT_PROGRAM

    def __post_init__(self) -> None:
        for name in ("input_len", "output_len", "concurrency"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but at least 1 is expected")

        if self.concurrency > (most := StepLimits.max_num_batched_tokens):
            raise ConfigError(
                f"concurrency is {self.concurrency}, but a step of a replica has at most {most} tokens, one for each "
                f"request: give at most so many; several replicas have more together"
            )

    @property
    def usage(self) -> RequestMix:
        return RequestMix(self.input_len, self.output_len, self.concurrency)

    @property
    def target(self) -> LatencyTarget:
        return LatencyTarget(
            ttft_ms=self.target_ttft, tpot_ms=self.target_tpot, output_tokens_per_s=self.target_throughput
        )

    @property
    def has_target(self) -> bool:
        return self.target != LatencyTarget()


DEVICE_OPTIONS = (
    option("devices", str, "A number and a device, such as 8xH100-80GB; cpu measures this machine, 2xcpu divides it."),
    option("device_table", list[Path], "JSON of devices beyond the known ones; may be repeated."),
    option("preset", str, f"A ready-made size: {', '.join(PRESETS)}."),
    option("formats", str, "Weights as bfloat16, int8, int4, float32 or stored, some of them; otherwise all that fit."),
    option("input_len", int, "Tokens of a prompt.", default=DeviceWish.input_len),
    option("output_len", int, "Tokens of an answer.", default=DeviceWish.output_len),
    option("concurrency", int, "Most requests at once, of a replica.", default=DeviceWish.concurrency),
    option("target_ttft", float, "Milliseconds to the first token that users are promised."),
    option("target_tpot", float, "Milliseconds for each further token."),
    option("target_throughput", float, "Output tokens a second, of all replicas together."),
    option("program", str, "Whose overheads are reckoned with on a GPU.", default=DEFAULT_PROGRAM),
)


def device_wish(settings: Settings) -> DeviceWish | None:
    """None where nobody asks about devices. Raises ConfigError where something is asked and no device named."""
    if not settings:
        return None
    if "devices" not in settings:
        raise ConfigError(f"{', '.join(settings)} without devices: say which, such as --devices 8xH100-80GB")
    return DeviceWish(**{**settings, "device_table": tuple(settings.get("device_table", ()))})


@dataclass(frozen=True)
class DevicePlan:
    """What came out. `chosen` is None where nothing fits or meets the target; `command` starts one replica of it."""

    wish: DeviceWish
    fleet: Fleet
    found: Sequence[Layout]
    chosen: Layout | None
    command: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "device": self.fleet.device.name,
            "count": self.fleet.count,
            "borrowed_efficiency": self.fleet.device.borrowed,
            "layouts": [_as_dict(layout) for layout in self.found],
            "chosen": None if self.chosen is None else _as_dict(self.chosen),
            "command": self.command,
        }


def plan_devices(model: str, config: ModelConfig, wish: DeviceWish, terminal: Terminal) -> DevicePlan:
    """Raises ConfigError for devices, formats and presets that are not known, and lengths beyond the context."""
    length = wish.input_len + wish.output_len
    if length > config.rope.max_length:
        raise ConfigError(
            f"input_len and output_len are {length} tokens, but the context has {config.rope.max_length:.0f}"
        )
    preset = None if wish.preset is None else preset_named(wish.preset)
    at_least = 1 if preset is None else preset.count
    fleet = fleet_of(wish.devices, wish.device_table, wish.program, terminal, at_least=at_least)
    choices = parallels(config, fleet.count)
    if preset is not None:
        choices = _of_preset(preset.parallel, choices, wish, fleet)
    held = None if preset is None or config.coded != ALL_FLOATS else preset.held
    formats = _formats(wish.formats or held, config, fleet)
    limits = StepLimits(max_num_seqs=max(StepLimits.max_num_seqs, wish.concurrency))
    found = list(layouts(config, fleet, wish.usage, wish.target, formats=formats, choices=choices, limits=limits))
    chosen = cheapest(found) if wish.has_target else fastest(found)
    command = None if chosen is None else serve_command(model, chosen, length)
    return DevicePlan(wish, fleet, found, chosen, command)


def fleet_of(devices: str, tables: Sequence[Path], program: str, terminal: Terminal, *, at_least: int = 1) -> Fleet:
    """What `--devices` names. at_least: of a device without a number, so many. Raises ConfigError."""
    count, name = parse_devices(devices)
    if name == THIS_MACHINE:
        from pagoda.planning.machine import measured_machine, part_of

        terminal.note(terminal.say.plan_measuring)
        device, overheads = measured_machine()
        count = at_least if count is None else count
        return Fleet(part_of(device, count), count, overheads)
    table = DeviceTable.load(*tables)
    return Fleet(table.device(name), at_least if count is None else count, table.program(program))


def _of_preset(wanted: Parallel, choices: Sequence[Parallel], wish: DeviceWish, fleet: Fleet) -> list[Parallel]:
    if wanted not in choices:
        raise ConfigError(
            f"the preset {wish.preset} is {wanted.tensor_parallel_size} ranks by {wanted.pipeline_parallel_size} "
            f"stages, which {fleet.count} devices, or this model's heads and layers, do not allow: leave it out"
        )
    return [wanted]


def _formats(names: str | None, config: ModelConfig, fleet: Fleet) -> list[WeightFormat]:
    """Those asked for, or all that the checkpoint can be held in and the device has products of."""
    if names is not None:
        return [format_named(name.strip()) for name in names.split(",")]
    if config.coded != ALL_FLOATS:
        return [format_named(STORED)]
    return [format_named(name) for name in ("bfloat16", "int8", "int4") if "bfloat16" in fleet.device.peaks]


def show(plan: DevicePlan, terminal: Terminal) -> None:
    """The table and the command."""
    say, device, wish = terminal.say, plan.fleet.device, plan.wish
    said = say.plan_fleet.format(
        count=plan.fleet.count, device=device.name, input_len=wish.input_len, output_len=wish.output_len
    )
    if device.borrowed is not None:
        said += "; " + say.plan_borrowed.format(device=device.name, borrowed=device.borrowed)
    terminal.result(f"\n{said}:\n")
    if plan.chosen is None:
        nothing = say.plan_nothing_meets if wish.has_target else say.plan_nothing_fits
        terminal.result(nothing + say.plan_fewer_bits * (wish.formats is not None))
        return
    terminal.table(_table(plan, say.plan_columns.split("|")))
    chosen = plan.chosen
    told = say.plan_chosen.format(
        why=say.plan_cheapest if wish.has_target else say.plan_fastest,
        held=chosen.held.name,
        tensor=chosen.parallel.tensor_parallel_size,
        pipeline=chosen.parallel.pipeline_parallel_size,
        replicas=chosen.replicas,
        devices=chosen.num_devices,
        rate=chosen.output_tokens_per_s,
        command=plan.command,
    )
    terminal.result(f"\n{told}")


def _table(plan: DevicePlan, columns: Sequence[str]) -> Table:
    """A line a layout; of memory, GiB on the fullest device. `fit` counts requests in one replica's KV cache."""
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    for layout in plan.found:
        memory, parallel = layout.memory, layout.parallel
        table.add_row(
            layout.held.name,
            f"{parallel.tensor_parallel_size}x{parallel.pipeline_parallel_size}x{layout.replicas}",
            *(f"{num_bytes / GIB:.2f}" for num_bytes in (memory.weights, memory.activations, memory.kv_cache)),
            f"{layout.max_requests:,}",
            f"{layout.concurrency:,}",
            f"{layout.found.ttft_s * 1e3:,.0f}",
            f"{layout.found.tpot_s * 1e3:,.1f}",
            f"{layout.output_tokens_per_s:,.0f}",
            style="bold" if layout is plan.chosen else None,
        )
    return table


def _as_dict(layout: Layout) -> dict[str, Any]:
    return {
        "format": layout.held.name,
        **asdict(layout.parallel),
        "replicas": layout.replicas,
        "memory": asdict(layout.memory),
        "max_requests": layout.max_requests,
        "concurrency": layout.concurrency,
        "ttft_ms": layout.found.ttft_s * 1e3,
        "tpot_ms": layout.found.tpot_s * 1e3,
        "output_tokens_per_s": layout.output_tokens_per_s,
    }


def size_text(num_bytes: int) -> str:
    """A size that a person can read.

    >>> size_text(2560), size_text(3 << 30)
    ('2.5 KiB', '3.00 GiB')
    """
    if num_bytes < 1 << 20:
        return f"{num_bytes / 1024:,.1f} KiB"
    return f"{num_bytes / (1 << 20):,.1f} MiB" if num_bytes < GIB else f"{num_bytes / GIB:,.2f} GiB"
