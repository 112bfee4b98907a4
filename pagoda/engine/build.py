"""From settings to a running core: plan the memory, say it, load the weights, put the parts together.

Off the token's path; runs once. The start-up line is printed from `config.json` alone, before weights are read or
memory is taken, so that whoever meets an error later has the figures already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pagoda.engine.args import BUILTIN_MODEL, EngineArgs
from pagoda.engine.build_executor import build_executor, check_settings
from pagoda.engine.build_speculator import DraftModel, TargetModel, build_speculator
from pagoda.engine.core import EngineCore
from pagoda.engine.execution.executor import Executor
from pagoda.engine.execution.memory_plan import GIB, CacheWish, MemoryPlan, plan_memory
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.pacing import PrefillPacer
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.engine.speculation.speculator import Speculator
from pagoda.errors import CheckpointError, ConfigError
from pagoda.hardware import available_memory_bytes, bound_product_caches, has_bf16, resolve_device
from pagoda.kernels.interface import Kernels
from pagoda.kernels.select import described, prefers_native, select_exact_kernels
from pagoda.models.checkpoint.hub import HubOptions, resolve_config, resolve_model, resolve_tokenizer
from pagoda.models.checkpoint.loading import (
    Recode,
    has_vocabulary,
    load_card,
    load_config,
    load_generation,
    load_tokenizer,
)
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.config import ModelConfig
from pagoda.models.embedder import EmbedderConfig
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.gguf.container import Checkpoint, GGUFFile, opened
from pagoda.models.model_card import ModelCard
from pagoda.models.quantise.on_load import RoundedOnLoad
from pagoda.models.quantise.scheme import PRESETS
from pagoda.models.quantization_config import quantization_in
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.vllm_names import ENGINE_SETTINGS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineParts:
    """What `build_parts` put together."""

    args: EngineArgs
    path: Path
    config: ModelConfig
    tokenizer: Tokenizer | None
    generation_defaults: GenerationDefaults
    card: ModelCard
    embedder: EmbedderConfig
    eos_token_ids: tuple[int, ...]
    memory_plan: MemoryPlan
    dtype: str
    device: torch.device
    kernels: Kernels
    core: EngineCore


def build_parts(args: EngineArgs, announce: Callable[[str], None]) -> EngineParts:
    """Load what `args` names. Raises CheckpointError, ConfigError or InsufficientMemoryError."""
    bound_product_caches()
    model_name = args.model or BUILTIN_MODEL
    _warn(args)
    # Before the weights are downloaded: what cannot run is refused by its configuration.
    checkpoint = opened(resolve_config(model_name, **_hub_options(args)))
    config, embedder = _read_config(checkpoint, args)
    path = resolve_model(model_name, **_hub_options(args))
    if not isinstance(checkpoint, GGUFFile):
        checkpoint = path
        if not Path(model_name).expanduser().exists():  # of a checkpoint on the hub, only now all files are there
            config, embedder = _read_config(path, args)
    args = _bounded(args, config, embedder)
    device, dtype = _device_and_dtype(args, config)
    draft = DraftModel.find(args)
    kernels = select_exact_kernels(args.kernels, _product_shapes(config), getattr(torch, dtype), device)
    config, recode = _coded(config, args, kernels, _stored_as(checkpoint, config))
    memory_plan = plan_for(args, config, dtype, device, draft)
    announce(startup_line(args, config, dtype, device, kernels, memory_plan))
    generation = _generation_defaults(args, checkpoint)
    tokenizer = None if args.skip_tokenizer_init else _tokenizer(checkpoint, args)
    if draft is not None:
        draft.check(config, tokenizer)
    executor, speculator = _loaded(args, checkpoint, config, memory_plan, dtype, device, kernels, recode, draft)
    return EngineParts(
        args=args,
        path=path,
        config=config,
        tokenizer=tokenizer,
        generation_defaults=generation,
        card=load_card(checkpoint, args.public_name),
        embedder=embedder,
        eos_token_ids=_eos_token_ids(config, generation, tokenizer),
        memory_plan=memory_plan,
        dtype=dtype,
        device=device,
        kernels=kernels,
        core=_build_core(args, memory_plan, executor, config.rope.max_length, speculator),
    )


def _loaded(
    args: EngineArgs,
    checkpoint: Checkpoint,
    config: ModelConfig,
    memory_plan: MemoryPlan,
    dtype: str,
    device: torch.device,
    kernels: Kernels,
    recode: Recode | None,
    draft: DraftModel | None,
) -> tuple[Executor, Speculator | None]:
    """The model, on as many ranks as are asked for, and what proposes tokens to it."""
    executor = build_executor(args, checkpoint, config, memory_plan, dtype, device, kernels, recode)
    try:
        target = TargetModel(executor, config, memory_plan, getattr(torch, dtype), device, kernels)
        return executor, build_speculator(args, target, draft)
    except BaseException:
        # Ranks end with the start that failed, not with whoever still holds its traceback.
        if (close := getattr(executor, "close", None)) is not None:
            close("the engine could not be built")
        raise


def _read_config(checkpoint: Path | GGUFFile, args: EngineArgs) -> tuple[ModelConfig, EmbedderConfig]:
    embedder = EmbedderConfig() if isinstance(checkpoint, GGUFFile) else EmbedderConfig.from_directory(checkpoint)
    return load_config(checkpoint, args.hf_overrides), embedder


def _device_and_dtype(args: EngineArgs, config: ModelConfig) -> tuple[torch.device, str]:
    """Where the model runs, and in which dtype. Raises ConfigError where it cannot be divided over the ranks there."""
    device = resolve_device(args.device)
    check_settings(args, config, device)
    return device, resolve_dtype(args.dtype, config, device, args.kernels)


def _bounded(args: EngineArgs, config: ModelConfig, embedder: EmbedderConfig) -> EngineArgs:
    """The context of an embedder is no longer than the texts that it is said to take, unless the operator says so."""
    length = embedder.max_seq_length
    if args.max_model_len is not None or length is None:
        return args
    return replace(args, max_model_len=min(length, config.max_position_embeddings))


def resolve_dtype(dtype: str, config: ModelConfig, device: torch.device, kernels: str) -> str:
    """The checkpoint's own dtype for "auto", but float32 on a CPU where 16 bits would be emulated.

    Native kernels read bf16 on any CPU: where it has no products of them, half the bytes still are half the time.
    """
    if dtype != "auto":
        return dtype
    reads_bf16 = prefers_native(kernels, device) or has_bf16(device)
    if device.type == "cpu" and not (config.dtype == "bfloat16" and reads_bf16):
        return "float32"
    return config.dtype


def plan_for(
    args: EngineArgs, config: ModelConfig, dtype: str, device: torch.device, draft: DraftModel | None = None
) -> MemoryPlan:
    """The memory plan of these settings on this machine. Raises InsufficientMemoryError, ConfigError."""
    max_model_len = _max_model_len(args.max_model_len, config)
    num_copies = max(1, args.tensor_parallel_size // config.num_key_value_heads)
    if device.type == "cuda":
        budget = int(torch.cuda.mem_get_info(device)[0] * args.gpu_memory_utilization)
    else:
        budget = int(available_memory_bytes() * args.kv_cache_memory_fraction)
    return plan_memory(
        config,
        dtype=dtype,
        budget_bytes=budget,
        max_model_len=max_model_len,
        max_num_seqs=args.max_num_seqs,
        cache=CacheWish(
            args.block_size, args.kv_cache_memory_bytes, args.num_gpu_blocks_override, args.kv_cache_dtype, num_copies
        ),
        draft=None if draft is None else draft.config,
    )


def _max_model_len(asked: int | None, config: ModelConfig) -> int:
    """The operator's limit, which may pass the checkpoint's only where RoPE reaches further."""
    limit = config.max_position_embeddings
    if asked is None:
        return limit
    if asked > config.rope.max_length:
        scaled = config.rope_scaling is not None and config.rope.max_length > limit
        told = f"a context of {limit} tokens"
        if scaled:
            told += f", which its rope_scaling stretches to {config.rope.max_length:.0f}"
        advice = "of a larger factor" if scaled else "that reaches further, as its card tells it"
        raise ConfigError(
            f"max_model_len={asked}, but the model has {told}: lower the first, or give the model a rope_scaling "
            f"{advice} (hf_overrides)"
        )
    return asked


def _stored_as(checkpoint: Path | GGUFFile, config: ModelConfig) -> str | None:
    """How a checkpoint is quantised, as the setting names it; "gguf" is any file of that kind."""
    if isinstance(checkpoint, GGUFFile):
        return "gguf"
    found = quantization_in(config.source or {})
    return None if found is None else found.method


def _coded(
    config: ModelConfig, args: EngineArgs, kernels: Kernels, stored: str | None
) -> tuple[ModelConfig, RoundedOnLoad | None]:
    """The configuration with what of the weights will be held in codes, and what makes codes of floats on their way in.

    stored: how the checkpoint is quantised; that name asks for nothing. Raises ConfigError for another one.
    """
    recode = None
    if args.quantization in PRESETS:
        recode = RoundedOnLoad(args.quantization, config)
        config = replace(config, coded=recode.coded(config))
    elif args.quantization not in (None, stored):
        told = {None: "holds floats", "gguf": "is a GGUF file"}.get(stored, f"is quantised by {stored}")
        advice = ", or take int8 or int4" if stored is None else ""
        raise ConfigError(f"quantization={args.quantization!r}, but the checkpoint {told}: leave it out{advice}")
    return (config if kernels.keeps_codes else replace(config, coded=ALL_FLOATS)), recode


def _product_shapes(config: ModelConfig) -> list[tuple[int, int]]:
    """Of the matrix products in a layer, outputs capped: the order of summation does not depend on how many."""
    return sorted({(inputs, min(outputs, 4096)) for inputs, outputs in config.all_matrices})


def startup_line(
    args: EngineArgs, config: ModelConfig, dtype: str, device: torch.device, kernels: Kernels, plan: MemoryPlan
) -> str:
    """What runs where and how much fits, in one line."""
    name = args.served_names[0] if args.model or args.served_model_name else "built-in model"
    return (
        f"{name}: {_num_parameters(config)}, {dtype} on {device}{_ranks(args)} with {described(kernels, device)}; "
        f"{plan.num_blocks} KV blocks of {plan.block_size} tokens ({plan.kv_cache_bytes / GIB:.2f} GiB) hold "
        f"{plan.num_requests(plan.max_model_len)} requests of {plan.max_model_len} tokens"
    )


def _ranks(args: EngineArgs) -> str:
    if not args.is_parallel:
        return ""
    tensor, pipeline = args.tensor_parallel_size, args.pipeline_parallel_size
    stages = "" if pipeline == 1 else f", {pipeline} stages of {tensor}"
    return f" in {tensor * pipeline} rank{'s' if tensor * pipeline > 1 else ''}{stages}"


def _warn(args: EngineArgs) -> None:
    """Tell in one line which of the settings change nothing."""
    if args.without_effect:
        reasons = (f"{name} ({ENGINE_SETTINGS.without_effect[name]})" for name in args.without_effect)
        logger.warning("accepted, and without effect here: %s", ", ".join(reasons))


def _hub_options(args: EngineArgs) -> HubOptions:
    return {"revision": args.revision, "cache_dir": args.download_dir, "token": args.hf_token}


def _generation_defaults(args: EngineArgs, checkpoint: Path | GGUFFile) -> GenerationDefaults:
    """As `generation_config` says. Tokens that end a text are facts of the model, which "vllm" keeps."""
    if args.generation_config in ("auto", "vllm"):
        own = load_generation(checkpoint)
    else:
        folder = Path(args.generation_config).expanduser()
        if not (folder / "generation_config.json").is_file():
            raise ConfigError(
                f"generation_config={str(folder)!r}, but no generation_config.json lies there: give auto, vllm or a "
                f"folder"
            )
        own = load_generation(folder)
    if args.generation_config == "vllm":
        own = GenerationDefaults(eos_token_ids=own.eos_token_ids)
    return own.overridden(args.override_generation_config)


def _num_parameters(config: ModelConfig) -> str:
    active = config.num_active_parameters
    of_a_token = "" if config.experts is None else f" ({active / 1e6:.1f}M for a token)"
    return f"{config.num_parameters / 1e6:.1f}M parameters{of_a_token}"


def _tokenizer(checkpoint: Path | GGUFFile, args: EngineArgs) -> Tokenizer | None:
    """None where the checkpoint brings none: such an engine takes and gives token ids."""
    if args.tokenizer is not None:
        options = _hub_options(args) | {"revision": args.tokenizer_revision}
        return load_tokenizer(checkpoint, resolve_tokenizer(args.tokenizer, **options))
    try:
        return load_tokenizer(checkpoint)
    except CheckpointError:
        if has_vocabulary(checkpoint):
            raise
        logger.warning(
            "%s has no tokenizer: prompts are token ids, and so are answers; no texts, no chats (give tokenizer, the "
            "name or folder of one)",
            args.public_name,
        )
        return None


def _eos_token_ids(config: ModelConfig, generation: GenerationDefaults, tokenizer: Tokenizer | None) -> tuple[int, ...]:
    own = () if tokenizer is None or tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
    named = dict.fromkeys((*generation.eos_token_ids, *config.eos_token_ids, *own))
    # A tokenizer may know more tokens than its model, which then never writes them.
    return tuple(token_id for token_id in named if token_id < config.vocab_size)


def _build_core(
    args: EngineArgs, plan: MemoryPlan, executor: Executor, reach: float, speculator: Speculator | None
) -> EngineCore:
    scheduler_config = SchedulerConfig(
        max_model_len=plan.max_model_len,
        max_num_seqs=args.max_num_seqs,
        max_num_batched_tokens=args.resolve_max_num_batched_tokens(plan.max_model_len),
        policy=args.scheduling_policy,
        enable_chunked_prefill=args.enable_chunked_prefill,
        long_prefill_token_threshold=args.long_prefill_token_threshold,
        reach=reach,
    )
    cache_config = CacheConfig(
        num_blocks=plan.num_blocks, block_size=plan.block_size, enable_prefix_caching=args.enable_prefix_caching
    )
    pacer = None if args.max_decode_slowdown is None else PrefillPacer(args.max_decode_slowdown)
    return EngineCore(Scheduler(scheduler_config, cache_config), executor, pacer, speculator)
