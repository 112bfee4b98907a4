"""Every arm with every seed, one run after the other; what was done is never done again.

Second station of an experiment. A run is the trainer's, in a folder of its own; when it has ended, its `result.json`
takes the place of its checkpoints. So a kill costs the steps since the last checkpoint, and a run that has ended
stays. Seeds turn slowest: after the first of them every arm has been seen once, and results can be looked at. Several
processes may work in one folder: each takes a run that nobody else has.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pagoda.errors import CheckpointError, ConfigError, DivergedError
from pagoda.files.whole import write_text_whole
from pagoda.lab.probes import accuracy_by_length, activation_rms, test_lengths
from pagoda.lab.recipe import Arm, LabRecipe, TaskConfig, arm_name
from pagoda.lab.tasks import TaskCurriculum
from pagoda.train.config import Recipe
from pagoda.train.curriculum import Curriculum, TextCurriculum
from pagoda.train.curves import read_metrics
from pagoda.train.trainer import StepReport, Trainer

_WITHIN = (0.25, 0.5, 0.75, 1.0)
"""Parts of the longest length of training at which accuracy within it is measured."""


@dataclass(frozen=True)
class LabProgress:
    """Where an experiment stands: in run `run` of `num_runs`, counted from 1. `ended` has a run's result."""

    run: int
    num_runs: int
    arm: Arm
    seed: int
    step: StepReport | None = None
    ended: dict[str, Any] | None = None


@dataclass(frozen=True)
class LabRun:
    """One arm with one seed, in `folder`."""

    arm: Arm
    seed: int
    folder: Path

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it; None while it has not ended."""
        path = self.folder / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


class Laboratory:
    """Runs a recipe in `directory`, or goes on there. Raises CheckpointError where another was run in it."""

    def __init__(self, recipe: LabRecipe, directory: Path, device: str = "auto") -> None:
        self.recipe, self.directory, self.device = recipe, directory, device
        self._claim()
        names = [arm_name(arm) for arm in recipe.arms()]
        self.runs = [
            LabRun(arm, seed, directory / "runs" / f"{index:03d}-seed-{seed}")
            for seed in recipe.lab.seeds
            for index, arm in enumerate(recipe.arms())
        ]
        assert len(set(names)) == len(names), "choices of two axes have the same names"

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[LabProgress]:
        """Do what is left to do, a report a step; where `should_stop` says so, save and end after this step."""
        for number, run in enumerate(self.runs, start=1):
            if run.result is None:
                with _taken(run.folder) as is_ours:
                    if is_ours and run.result is None:
                        yield from self._run_one(number, run, should_stop)
            if should_stop():
                return

    def _run_one(self, number: int, run: LabRun, should_stop: Callable[[], bool]) -> Iterator[LabProgress]:
        trainer, task = self._trainer(run)
        for step in self._steps(trainer, run):
            yield LabProgress(number, len(self.runs), run.arm, run.seed, step)
            if should_stop() and step.step < step.num_steps:
                trainer.save()
                return
        result = self._finish(run, trainer, task)
        yield LabProgress(number, len(self.runs), run.arm, run.seed, ended=result)

    def results(self) -> dict[str, Any]:
        """Of the runs that have ended, in the order of `runs`."""
        runs = [result for run in self.runs if (result := run.result) is not None]
        return {"recipe": self.recipe.name, "num_runs": len(self.runs), "raw": self.recipe.raw, "runs": runs}

    def _claim(self) -> None:
        path = self.directory / "recipe.json"
        told = {"fingerprint": self.recipe.fingerprint(), "recipe": self.recipe.raw}
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before["fingerprint"] != told["fingerprint"]:
                raise CheckpointError(
                    f"{self.directory} holds an experiment with another recipe, other texts or other draws: go on "
                    f"with the old ones, or name another --out"
                )
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(path, told)

    def _trainer(self, run: LabRun) -> tuple[Trainer, TaskConfig | None]:
        recipe, task = self.recipe.training(run.arm, run.seed)
        curriculum = self._curriculum(recipe, task)
        if not curriculum.held_back():
            raise ConfigError(
                f"the recipe {self.recipe.name} holds back less than one sequence of {recipe.train.max_length} tokens, "
                "so nothing could be measured: lower train.held_back (one document in so many), or give a longer text"
            )
        return Trainer(recipe, run.folder, self.device, curriculum), task

    def _curriculum(self, recipe: Recipe, task: TaskConfig | None) -> Curriculum:
        if task is None:
            with FileLock(self.directory / ".data.lock"):  # processes that share the folder tokenise once
                return TextCurriculum(recipe, self.directory / "data")
        return TaskCurriculum(task.name, task.sequences, task.longest, recipe.train.seed)

    def _steps(self, trainer: Trainer, run: LabRun) -> Iterator[StepReport]:
        """To the end of the budget; a run that diverges has ended, too."""
        seconds = self.recipe.lab.seconds
        spent = _seconds(run.folder, trainer) if trainer.step else 0.0
        try:
            for step in trainer.run():
                spent += trainer.config.tokens_per_step / step.tokens_per_s
                yield step
                if seconds and spent >= seconds:
                    return
        except DivergedError:
            return

    def _finish(self, run: LabRun, trainer: Trainer, task: TaskConfig | None) -> dict[str, Any]:
        steps = read_metrics(run.folder) if (run.folder / "metrics.jsonl").is_file() else []
        losses = [step["loss"] for step in steps]
        has_diverged = self._has_diverged(run, trainer, losses)
        result: dict[str, Any] = {
            "arm": run.arm,
            "seed": run.seed,
            "parameters": trainer.recipe.model.num_parameters,
            "steps": len(losses),
            "seconds": _seconds(run.folder, trainer) if steps else 0.0,
            "has_diverged": has_diverged,
            "losses": losses,
            "gradient_norms": [step["gradient_norm"] for step in steps],
            "metrics": {},
        }
        if not has_diverged:
            result |= _measured(trainer, task)
            if not all(math.isfinite(value) for value in result["metrics"].values()):
                result |= {"has_diverged": True, "metrics": {}}  # what is no number must not win a comparison
        write_json(run.folder / "result.json", result)
        for checkpoint in run.folder.glob("*step-*"):
            shutil.rmtree(checkpoint)
        return result

    def _has_diverged(self, run: LabRun, trainer: Trainer, losses: list[float]) -> bool:
        """Whether the loss is no number, or no lower in the end than in the beginning."""
        if not losses:
            return True
        seconds = self.recipe.lab.seconds
        has_spent_all = bool(seconds) and _seconds(run.folder, trainer) >= seconds
        if len(losses) < trainer.config.num_steps and not has_spent_all:
            return True
        tail = losses[-max(1, len(losses) // 10) :]
        return not sum(tail) / len(tail) < losses[0]


@contextmanager
def _taken(folder: Path) -> Iterator[bool]:
    """Whether the run is this process's; the system lets go of a lock whose process was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    write_text_whole(path, json.dumps(value))


def _seconds(folder: Path, trainer: Trainer) -> float:
    """Spent in the steps of a run, over all times that it was resumed."""
    return sum(trainer.config.tokens_per_step / step["tokens_per_s"] for step in read_metrics(folder))


def _measured(trainer: Trainer, task: TaskConfig | None) -> dict[str, Any]:
    losses = trainer.evaluate()
    metrics = {"loss": sum(losses.values()) / len(losses)}
    found: dict[str, Any] = {"metrics": metrics, "activation_rms": activation_rms(trainer)}
    if task is not None:
        within = [max(1, round(part * task.longest)) for part in _WITHIN]
        beyond = test_lengths(task)
        accuracies = accuracy_by_length(trainer, [*within, *beyond], task.strings)
        metrics["accuracy_within"] = sum(accuracies[length] for length in within) / len(within)
        metrics["accuracy"] = sum(accuracies[length] for length in beyond) / len(beyond)
        found["accuracy_by_length"] = {str(length): accuracy for length, accuracy in accuracies.items()}
    return found
