"""From settings to what runs steps: a worker in this process, or ranks in processes of their own, here or on a cluster.

Off the token's path; runs once, when `build` has planned the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pagoda.engine.args import EngineArgs
from pagoda.engine.execution.executor import Executor
from pagoda.engine.execution.memory_plan import MemoryPlan
from pagoda.engine.execution.place import RankPlace
from pagoda.engine.execution.worker import Worker
from pagoda.errors import ConfigError, MissingExtraError
from pagoda.kernels.interface import Kernels
from pagoda.kernels.select import native_is_built
from pagoda.models.checkpoint.loading import Recode
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import Checkpoint, GGUFFile
from pagoda.models.parallel import check_ranks, num_fixed_blocks

if TYPE_CHECKING:
    from pagoda.engine.execution.multiprocess import RanksExecutor
    from pagoda.engine.execution.rank_messages import ModelToLoad


def check_settings(args: EngineArgs, config: ModelConfig, device: torch.device) -> None:
    """Raises ConfigError, before anything is loaded, where the model or this machine has no such ranks."""
    tensor, pipeline = args.tensor_parallel_size, args.pipeline_parallel_size
    check_ranks(config, tensor=tensor, pipeline=pipeline, fixed_blocks=_fixed_blocks(args, config))
    if not args.is_parallel:
        return
    asked = f"tensor_parallel_size={tensor} and pipeline_parallel_size={pipeline}"
    if device.type != "cpu":
        raise ConfigError(f"{asked} on {device.type}, but ranks run on CPUs: leave them at 1, or device='cpu'")
    if not native_is_built():
        raise ConfigError(
            f"{asked}, but ranks meet in the native kernels, which were not built when pagoda was installed: install a "
            f"C++20 compiler and pagoda once more, or leave them at 1"
        )


def build_executor(
    args: EngineArgs,
    checkpoint: Checkpoint,
    config: ModelConfig,
    plan: MemoryPlan,
    dtype: str,
    device: torch.device,
    kernels: Kernels,
    recode: Recode | None,
) -> Executor:
    """Load the weights into as many ranks as are asked for. Raises CheckpointError, EngineDeadError."""
    if args.is_parallel:
        return _ranks(args, checkpoint, config, plan, dtype, kernels, recode)
    place = RankPlace(num_blocks=_fixed_blocks(args, config))
    return Worker.load(checkpoint, config, plan, getattr(torch, dtype), device, kernels, recode, place)


def _ranks(
    args: EngineArgs,
    checkpoint: Checkpoint,
    config: ModelConfig,
    plan: MemoryPlan,
    dtype: str,
    kernels: Kernels,
    recode: Recode | None,
) -> RanksExecutor:
    # Here, as these load the native library.
    from pagoda.engine.execution.multiprocess import STEP_TIMEOUT_S
    from pagoda.engine.execution.rank_messages import ModelToLoad
    from pagoda.kernels.native.shared_memory import SharedLayout

    tensor, pipeline = args.tensor_parallel_size, args.pipeline_parallel_size
    model = ModelToLoad(
        # Links are not followed: parts of a GGUF file are known by their names, which the hub's cache links to others.
        checkpoint=str(Path(checkpoint.path if isinstance(checkpoint, GGUFFile) else checkpoint).absolute()),
        config=config,
        plan=plan,
        dtype=dtype,
        kernels=kernels.name,
        recode=recode,
        num_threads=max(1, torch.get_num_threads() // (tensor * pipeline)),
        layout=SharedLayout(tensor, pipeline),
        num_blocks=_fixed_blocks(args, config),
    )
    timeout_s = args.distributed_timeout_seconds
    start = _executor_of(args.distributed_executor_backend)
    return start(model, STEP_TIMEOUT_S if timeout_s is None else timeout_s)


def _executor_of(backend: str | None) -> Callable[[ModelToLoad, float], RanksExecutor]:
    """What starts ranks. Raises MissingExtraError."""
    from pagoda.engine.execution import multiprocess

    if backend != "ray":
        return multiprocess.MultiprocessExecutor
    try:
        from pagoda.engine.cluster.executor import RayExecutor
    except ModuleNotFoundError as error:
        raise MissingExtraError("distributed_executor_backend='ray'", "ray") from error
    return RayExecutor


def _fixed_blocks(args: EngineArgs, config: ModelConfig) -> int:
    return num_fixed_blocks(config) if args.fixed_reduction_tree else 0
