"""Which part of a model a worker has: its rank among those that share layers, its stage, and the stages beside it.

Off the token's path but for the two ways that hidden states take between stages (`kernels/native/shared_memory`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch

from pagoda.distributed import ParallelGroup, PipelineStage, SingleRank


class HiddenStatesChannel(Protocol):
    """From one stage to the next, in order; whoever receives knows how many are sent."""

    def send(self, rows: torch.Tensor) -> None:
        """Hand on rows `[T, hidden_size]`."""
        ...

    def receive(self, rows: torch.Tensor) -> torch.Tensor:
        """Fill `rows` and give them back."""
        ...


@dataclass(frozen=True)
class RankPlace:
    """The whole model, where nothing else is said.

    num_blocks: into which the sums of row-parallel layers are cut, see `LayerKit`; 0: as there are ranks
    before, after: how hidden states come from the stage before and go to the next
    """

    group: ParallelGroup = field(default_factory=SingleRank)
    stage: PipelineStage = field(default_factory=PipelineStage)
    num_blocks: int = 0
    before: HiddenStatesChannel | None = None
    after: HiddenStatesChannel | None = None

    @property
    def tells(self) -> bool:
        """Whether this rank samples and tells what a step brought; the other ranks compute along."""
        return self.stage.is_last and self.group.rank == 0
