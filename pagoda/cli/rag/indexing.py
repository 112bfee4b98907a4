"""`pagoda rag index`: its options, how far it is, and what it did.

Beside `commands`; the work is `rag.index.indexer`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.cli.console.options import Settings, option
from pagoda.cli.console.terminal import Terminal, printable
from pagoda.cli.rag.words import RagWords

if TYPE_CHECKING:
    from pagoda.rag.index.indexer import IndexReport
    from pagoda.rag.pipeline import RAG, RagSettings

FILE_OPTIONS = (
    option("include", list[str], "Only files like this, *.md or guide/*; may be repeated."),
    option("exclude", list[str], "No files or folders like this; may be repeated."),
    option("encoding", str, "Encoding of the text files; otherwise it is detected."),
    option("max_bytes", int, "Largest file that is read.", default="64 MiB"),
    option("chunk_tokens", int, "Most tokens of a chunk.", default=200),
    option("overlap", int, "Sentences that a chunk takes over from the one before.", default=1),
)
"""Which files become documents, and how: what `files` is in the command. The index keeps them for the next run."""
_NOTHING: tuple[Any, ...] = ("", (), [])  # options that were taken back; 0 is something
_OPTIONS = {"chunk_tokens": "max_chunk_tokens", "overlap": "overlap_sentences"}


def index_settings(files: Settings) -> RagSettings:
    """What the options say; what they do not say is as it was. Raises ConfigError."""
    from pagoda.rag.index.options import IndexOptions
    from pagoda.rag.pipeline import RagSettings

    said: dict[str, Any] = {
        _OPTIONS.get(name, name): tuple(filter(None, value)) if isinstance(value, list) else value
        for name, value in files.items()
    }
    return RagSettings(indexing=IndexOptions(**said))


def _flag(name: str) -> str:
    """How an option is called on the command line."""
    flags = {field: flag for flag, field in _OPTIONS.items()}
    return f"--{flags.get(name, name).replace('_', '-')}"


def _tell_options(terminal: Terminal, words: RagWords, report: IndexReport, given: Settings) -> None:
    """Options that were kept from before, and those that are not as they were."""
    changed = {_flag(name): values for name, values in report.changed.items()}
    named = {f"--{name.replace('_', '-')}" for name in given}
    said = {_flag(name): value for name, value in report.options.items() if value not in _NOTHING}
    kept = {flag: value for flag, value in said.items() if flag not in named}
    if kept:
        told = ", ".join(f"{flag} {_shown(value)}" for flag, value in kept.items())
        terminal.note(printable(words.options_kept.format(options=told)))
    for flag, (before, now) in changed.items():
        told = words.option_changed.format(option=flag, before=_shown(before), now=_shown(now))
        terminal.note(printable(told), style="yellow")


def _shown(value: Any) -> str:
    if value in _NOTHING:
        return '""'
    return " ".join(value) if isinstance(value, list | tuple) else str(value)


def watch_files(
    terminal: Terminal,
    words: RagWords,
    documents: RAG,
    paths: list[Path],
    store: Path,
    given: Settings,
    *,
    as_json: bool,
) -> None:
    """Index now and after each change, until Ctrl-C; runs that changed nothing are not told, but for the first."""
    for number, report in enumerate(documents.watch(paths)):
        if number == 0 or report.added or report.updated or report.deleted or report.skipped:
            tell_report(terminal, words, report, store, given, as_json=as_json)
        if number == 0:
            terminal.note(words.watching)


@contextmanager
def progress(terminal: Terminal, words: RagWords) -> Iterator[Any]:
    """A bar on a terminal: first over files, then over sentences."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err, disable=not terminal.err.is_terminal, transient=True) as bar:
        files, sentences = bar.add_task(words.looking, total=None), bar.add_task(words.embedding, total=None)

        def on_event(event: Any) -> None:
            bar.update(files, total=event.num_files, completed=event.num_files_done)
            bar.update(sentences, total=event.num_sentences or None, completed=event.num_sentences_done)

        yield on_event


@contextmanager
def counting(terminal: Terminal, what: str) -> Iterator[Any]:
    """A bar on a terminal: takes how many are done and of how many, or how many more."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=terminal.err, disable=not terminal.err.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def on_progress(count: int, total: int | None = None) -> None:
            if total is None:
                bar.advance(task, count)
            else:
                bar.update(task, completed=count, total=total)

        yield on_progress


def tell_report(
    terminal: Terminal, words: RagWords, report: IndexReport, store: Path, given: Settings, *, as_json: bool
) -> None:
    """What a run did, and what it left out. given: the options that were named."""
    _tell_options(terminal, words, report, given)
    for source, reason in report.skipped:
        terminal.note(printable(words.skipped.format(source=source, reason=reason)), style="yellow")
    for source, warning in report.warned:
        terminal.note(printable(words.warned.format(source=source, warning=warning)), style="yellow")
    if as_json:
        terminal.result(json.dumps(asdict(report), ensure_ascii=False, indent=2))
        return
    counts = {name: len(getattr(report, name)) for name in ("added", "updated", "deleted", "unchanged", "skipped")}
    terminal.result(words.report.format(**counts, num_chunks=report.num_chunks, store=store, seconds=report.seconds))
