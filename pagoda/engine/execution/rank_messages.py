"""What the engine and its ranks say to one another; `frames` says how it goes over.

On the token's path, where ranks are processes: every rank gets a `RankStep`, the one that tells answers with what it
brought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pagoda.engine.execution.memory_plan import MemoryPlan
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.kernels.native.shared_memory import SharedLayout
from pagoda.models.checkpoint.loading import Recode
from pagoda.models.config import ModelConfig


@dataclass(frozen=True)
class ModelToLoad:
    """The same for all ranks.

    checkpoint: a directory or file; dtype, kernels: by their names; recode: see `load_weights`; num_threads: of each
    rank; num_blocks: see `LayerKit`
    """

    checkpoint: str
    config: ModelConfig
    plan: MemoryPlan
    dtype: str
    kernels: str
    recode: Recode | None
    num_threads: int
    layout: SharedLayout
    num_blocks: int


class LoadPart(NamedTuple):
    """The first message to a rank: what to load, and which part of it."""

    model: ModelToLoad
    stage: int
    rank: int


class RankStep(NamedTuple):
    """Run a step. rows are for the rank that tells alone; best_only: what they say of the logits, for all."""

    number: int
    plan: SchedulerOutput
    rows: StepRows | None
    best_only: bool


class Ready(NamedTuple):
    """A rank has loaded its part."""


class Brought(NamedTuple):
    """What step `number` brought."""

    number: int
    output: StepOutput


class RankFailed(NamedTuple):
    """A rank met an exception and ends. told: the traceback, for the log."""

    kind: str
    message: str
    told: str
