"""`pagoda plan MODEL`: what a model needs and how much fits, from `config.json` alone.

Off the token's path: no weights are read, none are downloaded, and torch is not imported.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pagoda.cli.console.messages import Messages
from pagoda.cli.console.options import AsJson, Settings, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.plan_devices import DEVICE_OPTIONS, device_wish, plan_devices, show, size_text
from pagoda.engine.args import BUILTIN_MODEL, BUILTIN_NAMES, EngineArgs
from pagoda.engine.execution.memory_plan import DTYPE_BYTES, GIB, CacheWish, plan_memory
from pagoda.errors import CheckpointError, ConfigError, InsufficientMemoryError
from pagoda.hardware import available_memory_bytes
from pagoda.models.checkpoint.hub import resolve_config
from pagoda.models.checkpoint.layouts import check_weights, describe_directory
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.config import ModelConfig
from pagoda.models.embedder import EmbedderConfig
from pagoda.models.gguf.container import GGUFFile, opened
from pagoda.models.gguf.model_config import load_gguf_config

_LENGTHS = (256, 1024, 4096, 16384, 65536)
_BLOCK_SIZE = EngineArgs.block_size
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class DtypePlan:
    """Needs of a model in one dtype; `num_requests` maps tokens of a request to how many fit, 0 for none."""

    dtype: str
    weight_bytes: int
    kv_bytes_per_token: int
    num_requests: dict[int, int]


@dataclass(frozen=True)
class ModelPlan:
    """Needs of a model. `memory_bytes` is what weights and KV cache may take together.

    num_active_parameters: those that one token goes through; fewer than all in a mixture of experts.
    stored: how a GGUF file stores its weights, block type -> bytes; empty for whatever else.
    """

    model: str
    architecture: str
    num_parameters: int
    num_active_parameters: int
    max_position_embeddings: int
    memory_bytes: int
    dtypes: list[DtypePlan]
    stored: dict[str, int]


@with_options(devices=DEVICE_OPTIONS)
def plan(
    ctx: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="As for --model elsewhere; of a hub id only configuration is downloaded.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="auto, float32, bfloat16, float16; otherwise the first two.")
    ] = None,
    max_model_len: Annotated[int | None, typer.Option(help="Tokens of the longest request to plan for.")] = None,
    memory: Annotated[
        float | None, typer.Option(metavar="GIB", help="Memory for weights and KV cache; otherwise what is free.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    as_json: AsJson = False,
    *,
    devices: Settings,
) -> None:
    """What a model needs, how many requests of which lengths fit, and how to lay it over devices: from config.json."""
    wish = device_wish(devices)
    budget_bytes = _budget_bytes(memory)
    given_dtype = None if dtype is None else EngineArgs(dtype=dtype).dtype
    checkpoint = opened(resolve_config(EngineArgs(model=model).model or BUILTIN_MODEL, revision=revision))
    config = load_config(checkpoint)
    terminal: Terminal = ctx.obj
    if isinstance(checkpoint, Path) and model is not None and Path(model).expanduser().is_dir():
        _check_files(checkpoint, config, terminal)
    dtypes = (
        ["float32", "bfloat16"] if given_dtype is None else [config.dtype if given_dtype == "auto" else given_dtype]
    )
    result = ModelPlan(
        model=model or "built-in model",
        architecture=config.architecture,
        num_parameters=config.num_parameters,
        num_active_parameters=config.num_active_parameters,
        max_position_embeddings=config.max_position_embeddings,
        memory_bytes=budget_bytes,
        dtypes=[_plan_dtype(config, name, budget_bytes, _lengths(config, max_model_len)) for name in dtypes],
        stored=_stored(checkpoint),
    )
    laid = None if wish is None else plan_devices(model or BUILTIN_NAMES[0], config, wish, terminal)
    if as_json:
        told = asdict(result) if laid is None else {**asdict(result), "devices": laid.as_dict()}
        terminal.result(json.dumps(told, indent=2))
    else:
        if laid is not None:  # what was asked for stands before what this machine has
            show(laid, terminal)
            terminal.result("")
        terminal.result(_head(result, terminal.say, is_given=memory is not None))
        terminal.table(_table(result, terminal.say))
    if laid is not None and laid.chosen is None:
        raise typer.Exit(1)


def _check_files(directory: Path, config: ModelConfig, terminal: Terminal) -> None:
    """What lies beside a config.json must be weights of it. Raises CheckpointError for what could not be loaded."""
    if config.coded == ALL_FLOATS and check_weights(directory, config.named_matrices):
        return
    if not any(directory.glob("*.safetensors")):
        if told := describe_directory(directory):
            raise CheckpointError(told)
        terminal.note(terminal.say.plan_without_weights.format(directory=directory))


def _stored(checkpoint: Path | GGUFFile) -> dict[str, int]:
    sizes: dict[str, int] = {}
    if isinstance(checkpoint, GGUFFile):
        for tensor in checkpoint.tensors.values():
            sizes[tensor.type.name] = sizes.get(tensor.type.name, 0) + tensor.num_bytes
    return dict(sorted(sizes.items(), key=lambda entry: -entry[1]))


def _head(result: ModelPlan, say: Messages, *, is_given: bool) -> str:
    """The model; what lies in a file, and what of that is another size in memory; the memory."""
    wording = say.plan_parameters
    if result.num_active_parameters != result.num_parameters:
        wording = say.plan_active_parameters
    parameters = wording.format(count=result.num_parameters, active=result.num_active_parameters)
    lines = [
        say.plan_model.format(
            model=result.model,
            architecture=result.architecture,
            parameters=parameters,
            context=result.max_position_embeddings,
        )
    ]
    if result.stored:
        types = ", ".join(f"{name} {size_text(num_bytes)}" for name, num_bytes in result.stored.items())
        lines.append(say.plan_stored.format(size=size_text(sum(result.stored.values())), types=types))
    budget = say.plan_budget_given if is_given else say.plan_budget_free
    return "\n".join([*lines, budget.format(size=size_text(result.memory_bytes)), ""])


def _budget_bytes(memory_gib: float | None) -> int:
    if memory_gib is None:
        return available_memory_bytes()
    if not 0 < memory_gib < float("inf"):
        raise ConfigError(f"memory is {memory_gib} GiB, but a number above 0 is expected")
    return int(memory_gib * GIB)


def load_config(checkpoint: Path | GGUFFile) -> ModelConfig:
    """Of what `resolve_config` found. Raises CheckpointError for what is not read."""
    if isinstance(checkpoint, GGUFFile):
        return load_gguf_config(checkpoint)
    if checkpoint.is_dir():
        EmbedderConfig.from_directory(checkpoint)  # refused by name, where that is how it ends
        return ModelConfig.from_directory(checkpoint)
    # Only this format's reader needs torch.
    from pagoda.models.checkpoint import loading

    return loading.load_config(checkpoint)


def _lengths(config: ModelConfig, max_model_len: int | None) -> list[int]:
    """Lengths to plan for, up to the limit."""
    limit = config.max_position_embeddings if max_model_len is None else max_model_len
    if not 1 <= limit <= config.rope.max_length:
        raise ConfigError(
            f"max_model_len is {limit}, but the model's context holds 1 to {config.rope.max_length:.0f} tokens"
        )
    return [length for length in _LENGTHS if length < limit] + [limit]


def _plan_dtype(config: ModelConfig, dtype: str, budget_bytes: int, lengths: list[int]) -> DtypePlan:
    try:
        # One token is the least that may fit, and nothing but memory is to limit how much does.
        fitting = plan_memory(
            config,
            dtype=dtype,
            budget_bytes=budget_bytes,
            max_model_len=1,
            max_num_seqs=_UNLIMITED,
            cache=CacheWish(_BLOCK_SIZE),
        )
        num_requests = {length: fitting.num_requests(length) for length in lengths}
    except InsufficientMemoryError:
        num_requests = dict.fromkeys(lengths, 0)
    dtype_bytes = DTYPE_BYTES[dtype]
    return DtypePlan(dtype, config.weight_bytes(dtype_bytes), config.kv_bytes_per_token(dtype_bytes), num_requests)


def _table(result: ModelPlan, say: Messages) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for entry in result.dtypes:
        table.add_column(entry.dtype, justify="right")
    table.add_row(say.plan_weights, *(size_text(entry.weight_bytes) for entry in result.dtypes))
    table.add_row(say.plan_kv_of_token, *(size_text(entry.kv_bytes_per_token) for entry in result.dtypes))
    for length in result.dtypes[0].num_requests:
        counts = (entry.num_requests[length] for entry in result.dtypes)
        cells = (f"{count:,}" if count else say.plan_no_request for count in counts)
        table.add_row(say.plan_requests.format(length=length), *cells)
    return table
