"""Which formats and layouts of a model fit onto some devices, what each gives, and the cheapest that meets a target.

Beside the token's path: `pagoda plan` prints what comes out. A layout is a format of the weights, ranks that share each
layer (tensor parallelism: Shoeybi et al. 2019, arXiv 1909.08053), stages that share the layers (pipeline parallelism),
and as many replicas of that as the devices hold. Cheapest is what takes fewest devices; among those the most exact
format, then the highest throughput. Imports no torch.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pagoda.engine.args import EngineArgs
from pagoda.engine.scheduling.config import SchedulerConfig
from pagoda.errors import ConfigError, nearest
from pagoda.models.config import ModelConfig
from pagoda.models.parallel import tensor_parallel_sizes
from pagoda.planning.costs import Parallel, StepCost
from pagoda.planning.devices import Device, Overheads
from pagoda.planning.formats import FORMATS, WeightFormat
from pagoda.planning.shapes import ModelShape, shape_of
from pagoda.planning.steady import Expected, RequestMix, expected

MAX_RANKS = 16


@dataclass(frozen=True, kw_only=True)
class LatencyTarget:
    """What users are promised; None promises nothing. Milliseconds, and output tokens a second of all replicas."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    output_tokens_per_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"the target {name} is {value}, but a number above 0 is expected")

    def is_met_by(self, found: Expected) -> bool:
        """By one replica, as far as its users see."""
        return (self.ttft_ms is None or found.ttft_s * 1e3 <= self.ttft_ms) and (
            self.tpot_ms is None or found.tpot_s * 1e3 <= self.tpot_ms
        )


@dataclass(frozen=True)
class Fleet:
    """What is there: `count` devices of one kind, and the program's overheads on them."""

    device: Device
    count: int
    overheads: Overheads


@dataclass(frozen=True)
class StepLimits:
    """Of the engine, by its names: they bound what a step's own tensors take."""

    max_num_seqs: int = EngineArgs.max_num_seqs
    max_num_batched_tokens: int = SchedulerConfig.max_num_batched_tokens
    block_size: int = EngineArgs.block_size


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes on the fullest device of a layout. kv_tokens: of one replica, in what is left."""

    weights: int
    activations: int
    kv_cache: int
    kv_bytes_per_token: float
    kv_tokens: int


@dataclass(frozen=True)
class Layout:
    """One way to serve a model, and what it gives at `concurrency` requests a replica."""

    held: WeightFormat
    parallel: Parallel
    replicas: int
    memory: DeviceMemory
    max_requests: int
    concurrency: int
    found: Expected

    @property
    def num_devices(self) -> int:
        return self.replicas * self.parallel.num_devices

    @property
    def output_tokens_per_s(self) -> float:
        return self.replicas * self.found.output_tokens_per_s


@dataclass(frozen=True)
class Preset:
    """A ready-made size of installation."""

    count: int
    held: str | None
    parallel: Parallel


PRESETS = {
    "small": Preset(1, "int8", Parallel()),
    "medium": Preset(2, None, Parallel(2)),
    "large": Preset(8, None, Parallel(4, 2)),
}


def preset_named(name: str) -> Preset:
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is not known: {nearest(name, PRESETS)}")
    return PRESETS[name]


def parallels(config: ModelConfig, count: int) -> list[Parallel]:
    """Layouts that the heads can be divided over, and the layers evenly, on at most `count` devices."""
    ranks = [tp for tp in tensor_parallel_sizes(config) if tp <= min(count, MAX_RANKS)]
    return [
        Parallel(tp, pp)
        for tp in ranks
        for pp in range(1, min(count // tp, config.num_hidden_layers, MAX_RANKS) + 1)
        if config.num_hidden_layers % pp == 0
    ]


def device_memory(shape: ModelShape, parallel: Parallel, device: Device, limits: StepLimits) -> DeviceMemory | None:
    """What lies on the fullest device; None where the weights leave no room for one block."""
    tp, pp = parallel.tensor_parallel_size, parallel.pipeline_parallel_size
    ends = shape.head_bytes + shape.unread_bytes if pp == 1 else max(shape.head_bytes, shape.unread_bytes)
    share = parallel.stage_share(shape.num_layers)
    weights = ((shape.layer_bytes + shape.expert_bytes) * share + ends) / tp
    kv_bytes = shape.kv_bytes_per_token / min(tp, shape.num_kv_heads) * share
    activations = step_bytes(shape, parallel, limits)
    left = device.memory_bytes * device.usable - weights - activations
    blocks = int(left // (kv_bytes * limits.block_size))
    if blocks < 1:
        return None
    tokens = blocks * limits.block_size
    return DeviceMemory(math.ceil(weights), activations, int(tokens * kv_bytes), kv_bytes, tokens)


def step_bytes(shape: ModelShape, parallel: Parallel, limits: StepLimits) -> int:
    """A step's own tensors: the stream before and behind a block, the inner rows of an MLP, and logits in float32."""
    tp, tokens = parallel.tensor_parallel_size, limits.max_num_batched_tokens
    rows = tokens * (4 * shape.hidden_size + 3 * shape.inner_size / tp)
    logits = min(limits.max_num_seqs, tokens) * shape.vocab_size
    return math.ceil(2 * rows + 4 * logits)


def layouts(
    config: ModelConfig,
    fleet: Fleet,
    usage: RequestMix,
    target: LatencyTarget,
    *,
    formats: Sequence[WeightFormat],
    choices: Sequence[Parallel],
    limits: StepLimits,
) -> Iterator[Layout]:
    """Every one that fits and meets the target, at the most requests for which it does.

    usage: sizes of the requests; its concurrency is how many there are for each replica at most
    """
    for held in formats:
        shape = shape_of(config, held)
        for parallel in choices:
            memory = device_memory(shape, parallel, fleet.device, limits)
            length = usage.input_len + usage.output_len
            if memory is None or (most := memory.kv_tokens // (_rounded(length, limits.block_size))) < 1:
                continue
            cost = StepCost(fleet.device, shape, parallel, fleet.overheads)
            concurrency = _most_within(cost, fleet.overheads, usage, target, memory, limits, most)
            if concurrency == 0:
                continue
            at_most = replace(usage, concurrency=concurrency)
            found = expected(cost, fleet.overheads, at_most, memory.kv_tokens, limits.max_num_batched_tokens)
            wanted = target.output_tokens_per_s
            available = fleet.count // parallel.num_devices
            replicas = available if wanted is None else math.ceil(wanted / found.output_tokens_per_s)
            if 1 <= replicas <= available:
                yield Layout(held, parallel, replicas, memory, most, concurrency, found)


def cheapest(found: Sequence[Layout]) -> Layout | None:
    """Fewest devices, then the most exact format, then most tokens a second."""
    order = list(FORMATS)

    def rank(layout: Layout) -> tuple[int, int, float]:
        return layout.num_devices, order.index(layout.held.name), -layout.output_tokens_per_s

    return min(found, key=rank, default=None)


def fastest(found: Sequence[Layout]) -> Layout | None:
    """Most tokens a second of all devices together: the choice where no target is given."""
    return max(found, key=lambda layout: layout.output_tokens_per_s, default=None)


def serve_command(model: str, layout: Layout, max_model_len: int) -> str:
    """What to type for one replica, in vLLM's names."""
    words = ["pagoda", "serve", model, *layout.held.flags]
    parallel = layout.parallel
    if parallel.tensor_parallel_size > 1:
        words += ["--tensor-parallel-size", str(parallel.tensor_parallel_size)]
    if parallel.pipeline_parallel_size > 1:
        words += ["--pipeline-parallel-size", str(parallel.pipeline_parallel_size)]
    words += ["--max-model-len", str(max_model_len), "--max-num-seqs", str(layout.concurrency)]
    return shlex.join(words)


def _rounded(num_tokens: int, block_size: int) -> int:
    return -(-num_tokens // block_size) * block_size


def _most_within(
    cost: StepCost,
    overheads: Overheads,
    usage: RequestMix,
    target: LatencyTarget,
    memory: DeviceMemory,
    limits: StepLimits,
    most: int,
) -> int:
    """Most requests at once that fit and for whom the target holds; times only grow with their number."""

    def meets(concurrency: int) -> bool:
        at_once = replace(usage, concurrency=concurrency)
        found = expected(cost, overheads, at_once, memory.kv_tokens, limits.max_num_batched_tokens)
        return target.is_met_by(found)

    low, high = 0, min(most, limits.max_num_seqs, int(usage.concurrency))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if meets(middle) else (low, middle - 1)
    return low
