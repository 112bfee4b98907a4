"""Bars for work that takes its time: one for each part, with percent and the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pagoda.cli.console.terminal import Terminal

Tell = Callable[[str, int, int], None]
"""(what is done, steps done, steps in all)"""


@contextmanager
def bars(terminal: Terminal) -> Iterator[Tell]:
    """What tells of the work; seen on a terminal alone, and gone when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    tasks: dict[tuple[str, int], TaskID] = {}
    with Progress(*columns, console=terminal.err, disable=not terminal.err.is_terminal, transient=True) as progress:

        def tell(what: str, done: int, total: int) -> None:
            part = (what, total)
            if part not in tasks:
                tasks[part] = progress.add_task(what, total=total)
            progress.update(tasks[part], completed=done)

        yield tell
