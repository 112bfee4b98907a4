"""`pagoda train RECIPE`: runs the trainer and shows how it goes.

Beside the token's path. Ctrl-C takes effect between two steps, after a checkpoint: the same command then goes on
with the very numbers it would have had.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from pagoda.cli.console.interrupts import StopOnInterrupt
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import MissingExtraError
from pagoda.installation import program

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pagoda.train.trainer import StepReport, Trainer

_SECONDS_BETWEEN_LINES = 15.0
_INTERRUPTED = 130


def train(
    ctx: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe: model, tokenizer, sources, train.")],
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where the recipe's corpora lie; otherwise beside the recipe.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for checkpoints and curves; otherwise runs/RECIPE.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    export: Annotated[
        Path | None, typer.Option("--export", help="When done, write the model alone here, rounded to bfloat16.")
    ] = None,
) -> None:
    """Train a model from a recipe, or go on where an earlier run in the same directory stopped."""
    from pagoda.train.config import Recipe

    directory = out or Path("runs") / recipe.stem
    parsed = Recipe.from_file(recipe, data_dir)
    # torch takes seconds to import: only once the recipe is sound.
    from pagoda.train.trainer import Trainer

    terminal: Terminal = ctx.obj
    trainer = Trainer(parsed, directory, device)
    _tell_start(trainer, recipe.stem, terminal)
    stopped = _run(trainer, terminal)
    checkpoint = trainer.save() if stopped else _newest_checkpoint(directory)
    _draw_curves(directory, terminal)
    if stopped:
        terminal.note(terminal.say.train_stopped.format(step=trainer.step, checkpoint=checkpoint))
        raise typer.Exit(_INTERRUPTED)
    if export is not None:
        trainer.save_model(export, "bfloat16")
    terminal.note(terminal.say.train_done.format(program=program(), checkpoint=export or checkpoint), style="bold")


def _tell_start(trainer: Trainer, name: str, terminal: Terminal) -> None:
    started = terminal.say.train_started.format(
        name=name,
        parameters=trainer.recipe.model.num_parameters / 1e6,
        steps=trainer.config.num_steps,
        device=trainer.device,
        directory=trainer.directory,
    )
    terminal.note(started)
    if trainer.step:
        terminal.note(terminal.say.train_resumed.format(step=trainer.step))


def _run(trainer: Trainer, terminal: Terminal) -> bool:
    """Train to the end or to a Ctrl-C; whether it was the latter."""
    with (
        StopOnInterrupt(lambda: terminal.note(terminal.say.train_stopping)) as interrupt,
        _progress(trainer.step, trainer.config.num_steps, terminal) as progress,
    ):
        for report in trainer.run():
            progress.advance(report)
            if interrupt.requested:
                return report.step < report.num_steps
    return False


def _newest_checkpoint(directory: Path) -> Path:
    return max(directory.glob("step-*"))


def _draw_curves(directory: Path, terminal: Terminal) -> None:
    """Curves are a by-product: without matplotlib the model is no worse."""
    from pagoda.train.curves import write_curves

    try:
        terminal.note(terminal.say.train_curves.format(path=write_curves(directory)))
    except MissingExtraError as error:
        terminal.note(terminal.say.train_no_curves.format(reason=error))


class StepDisplay(Protocol):
    """Something that shows the steps of a training."""

    def advance(self, report: StepReport) -> None:
        """Show one step."""


@contextmanager
def _progress(step: int, num_steps: int, terminal: Terminal) -> Iterator[StepDisplay]:
    """A bar for a person, a line now and then for a log."""
    if not terminal.err.is_terminal:
        yield LineDisplay(step, terminal)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("loss {task.fields[loss]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} tokens/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal.err) as bar:
        task = bar.add_task("train", total=num_steps, completed=step, loss="-", rate="-")
        yield BarDisplay(bar, task)


class BarDisplay:
    """A moving bar."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def advance(self, report: StepReport) -> None:
        """Move the bar to the step."""
        self._bar.update(
            self._task, completed=report.step, loss=f"{report.loss:.3f}", rate=f"{report.tokens_per_s:,.0f}"
        )


class LineDisplay:
    """A line every few seconds, and one for the last step."""

    def __init__(self, step: int, terminal: Terminal) -> None:
        self._terminal = terminal
        self._first_step = step
        self._began = self._told = time.perf_counter()

    def advance(self, report: StepReport) -> None:
        """Tell the step, if the last line is old enough or the step is the last."""
        now = time.perf_counter()
        if now - self._told < _SECONDS_BETWEEN_LINES and report.step < report.num_steps:
            return
        self._told = now
        per_step = (now - self._began) / (report.step - self._first_step)
        eta = timedelta(seconds=round(per_step * (report.num_steps - report.step)))
        line = self._terminal.say.train_step.format(
            step=report.step, steps=report.num_steps, loss=report.loss, rate=report.tokens_per_s, eta=eta
        )
        self._terminal.note(line)
