"""Progress of long work on the terminal: finished requests and tokens a second.

Foundation room. Shown on stderr, and only where a person can see it, so that stdout stays the text alone.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self


class GenerationProgress:
    """A bar over `total` requests, with the rate of generated tokens; where it is not enabled, nothing is loaded."""

    def __init__(self, total: int, *, enabled: bool = True) -> None:
        self._progress: Any = _bar() if enabled else None
        self._task = None if self._progress is None else self._progress.add_task("requests", total=total, rate="")
        self._began = time.perf_counter()
        self._num_tokens = 0

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, output: Any) -> None:
        """Count one finished request; `output` is a RequestOutput or an EmbeddingRequestOutput."""
        if self._progress is None:
            return
        completions = output.outputs if isinstance(output.outputs, tuple) else ()
        self._num_tokens += sum(len(completion.token_ids) for completion in completions)
        rate = self._num_tokens / max(1e-9, time.perf_counter() - self._began)
        self._progress.update(self._task, advance=1, rate=f"{rate:,.0f} tokens/s" if completions else "")


def _bar() -> Any:
    """rich's, on stderr; it shows nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
