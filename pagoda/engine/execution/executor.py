"""The call to the model, spread over however many ranks there are.

On the token's path: `core.step` hands the plan over here and gets logits back. One rank in this process is
`UniProcExecutor`; more ranks mean another class with this one method, to which every rank's runner is sent the
same plan.
"""

from __future__ import annotations

from typing import Protocol

from pagoda.engine.execution.model_runner import ModelOutput, ModelRunner
from pagoda.engine.scheduling.plan import SchedulerOutput


class Executor(Protocol):
    """Runs plans on all ranks."""

    def execute(self, plan: SchedulerOutput) -> ModelOutput:
        """Run one step; logits and hidden states come back on the calling rank."""
        ...


class UniProcExecutor:
    """One rank, in this process."""

    def __init__(self, runner: ModelRunner) -> None:
        self.runner = runner

    def execute(self, plan: SchedulerOutput) -> ModelOutput:
        return self.runner.execute(plan)
