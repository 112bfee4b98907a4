"""A rank's worker: the part of a model that its place has, and the place itself where all ranks share memory.

Off the token's path; called once in each rank's process.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from pagoda.distributed import PipelineStage
from pagoda.engine.execution.place import RankPlace
from pagoda.engine.execution.rank_messages import LoadPart
from pagoda.engine.execution.worker import Worker
from pagoda.hardware import bound_product_caches
from pagoda.kernels.native.shared_memory import SharedMemory
from pagoda.kernels.select import select_kernels
from pagoda.models.gguf.container import opened
from pagoda.startup import collector_paused


def load_worker(load: LoadPart, place: RankPlace) -> Worker:
    """Load the part of a place. Raises CheckpointError."""
    model = load.model
    torch.set_num_threads(model.num_threads)
    bound_product_caches()
    with collector_paused():
        return Worker.load(
            opened(Path(model.checkpoint)),
            model.config,
            model.plan,
            getattr(torch, model.dtype),
            torch.device("cpu"),
            select_kernels(model.kernels),
            model.recode,
            place,
        )


def place_on_this_host(load: LoadPart, memory_descriptor: int) -> RankPlace:
    """Of a rank whose others are all here: it maps the memory that they share."""
    memory = SharedMemory(memory_descriptor, load.model.layout)
    os.close(memory_descriptor)
    return place_of(memory, load.stage, load.rank, load.model.num_blocks)


def place_of(memory: SharedMemory, stage: int, rank: int, num_blocks: int) -> RankPlace:
    """Of a rank, with its ways to the stages beside it."""
    num_stages = memory.layout.num_stages
    return RankPlace(
        memory.group(stage, rank),
        PipelineStage(stage, num_stages),
        num_blocks,
        before=memory.channel(stage - 1, rank) if stage > 0 else None,
        after=memory.channel(stage, rank) if stage < num_stages - 1 else None,
    )
