"""The seam between the core and however many ranks run the model.

On the token's path: `core.step` hands a plan and its rows over here and gets plain tokens back. One rank in this
process is a `Worker` itself; more ranks are a `MultiprocessExecutor`, which sends each of them the plan.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput


class Executor(Protocol):
    """Runs steps."""

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        """Run one step. An exception means that nothing of it is to be relied on: the scheduler takes it back."""
        ...


@runtime_checkable
class DistributedExecutor(Executor, Protocol):
    """Runs steps on processes, which may end by themselves: `execute` raises EngineDeadError then, and none is left."""

    @property
    def has_ended(self) -> bool:
        """Whether there are no ranks left."""
        ...

    def restart(self) -> None:
        """Load the model into new ranks, with empty caches, where the old ones have ended.

        Raises EngineDeadError after `close`, and what keeps the model from loading.
        """
        ...

    def watch(self, told: Callable[[Exception], None]) -> None:
        """`told` gets an EngineDeadError when ranks end by themselves, also between steps; in any thread."""
        ...

    def close(self, reason: str = "the engine was closed") -> None:
        """End the ranks for good."""
        ...
