"""The seam between the core and however many ranks run the model.

On the token's path: `core.step` hands a plan and its rows over here and gets plain tokens back. One rank in this
process is a `Worker` itself; more ranks are a `MultiprocessExecutor`, which sends each of them the plan.
Imports no torch.
"""

from __future__ import annotations

from typing import Protocol

from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput


class Executor(Protocol):
    """Runs steps."""

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        """Run one step. An exception means that nothing of it is to be relied on: the scheduler takes it back."""
        ...
