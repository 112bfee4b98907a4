"""A pull as a person follows it: a bar on a terminal, a line every few seconds where there is none."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from pagoda.cli.console.shelf_words import shelf_words
from pagoda.cli.console.terminal import Terminal
from pagoda.models.shelf.pulling import PullWatcher

_LINE_EVERY_S = 3.0


class DownloadProgress(PullWatcher):
    """Speaks on stderr."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal, self._name = terminal, name
        self._words = shelf_words(terminal.say)
        words = TextColumn("{task.description}")
        columns = (words, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._is_seen = terminal.err.is_terminal
        self._bar = Progress(*columns, console=terminal.err, transient=True, disable=not self._is_seen)
        self._task = self._bar.add_task(name, total=None, visible=False)
        self._file, self._size = name, 0
        self._have = self._begun_with = 0
        self._begun_at = self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @property
    def num_received(self) -> int:
        """Bytes of the file that is coming which are there."""
        return self._have

    def asking(self, label: str) -> None:
        self._say(self._words.asking.format(label=label))

    def refused(self, label: str, reason: str) -> None:
        self._say(self._words.refused.format(label=label, reason=reason))

    def locked(self) -> None:
        self._say(self._words.locked.format(name=self._name))

    def unpacking(self, name: str) -> None:
        self._say(self._words.unpacking.format(file=name))

    def waiting(self, reason: str, seconds: float) -> None:
        self._say(self._words.waiting.format(reason=reason, seconds=seconds))

    def begun(self, name: str, size: int | None, have: int) -> None:
        self._file, self._size, self._have, self._begun_with = name, size or 0, have, have
        self._begun_at = self._told_at = time.monotonic()
        self._bar.reset(self._task, description=name, total=size, completed=have, visible=True)
        words = self._words.resumed if have else self._words.begun
        self._say(words.format(file=name, have=decimal(have), total=decimal(size) if size else "?"))

    def received(self, num_bytes: int) -> None:
        self._have += num_bytes
        self._bar.advance(self._task, num_bytes)
        if not self._is_seen and time.monotonic() - self._told_at >= _LINE_EVERY_S:
            self._told_at = time.monotonic()
            self._say(self._line())

    def _line(self) -> str:
        rate = (self._have - self._begun_with) / max(1e-9, self._told_at - self._begun_at)
        return self._words.line.format(
            file=self._file,
            have=decimal(self._have),
            total=decimal(self._size) if self._size else "?",
            percent=100 * self._have / max(1, self._size),
            rate=decimal(int(rate)),
            left=f"{max(0, self._size - self._have) / max(1.0, rate):.0f}" if self._size else "?",
        )

    def _say(self, text: str) -> None:
        self._terminal.note(text)
