"""`pagoda opinions watch | replay | export`: a watch that runs with its page, and files that are played through one.

The ends of the path *feed -> item -> story -> opinion -> window -> alert*. Alerts go to stdout, everything else to
stderr. Ctrl-C takes effect between two batches; the same command goes on from there.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pagoda.cli.console.bars import bars
from pagoda.cli.console.environment import api_keys
from pagoda.cli.console.interrupts import StopOnInterrupt
from pagoda.cli.console.options import ADDRESS_OPTIONS, AsJson, Settings, server_settings, with_options
from pagoda.cli.console.terminal import Terminal, printable
from pagoda.cli.opinions.words import OpinionsWords, opinions_words
from pagoda.errors import ConfigError

if TYPE_CHECKING:
    from pagoda.opinions.watching.monitor import IngestReport, Monitor

_INTERRUPTED = 130
_NAMED = 3
"""Stories that an alert shows."""
_KV_BYTES = 64 * 1024 * 1024
"""For the built-in model behind the page, which nobody needs much of."""
Watch = Annotated[Path | None, typer.Option("--watch", metavar="FILE", help="Watch file: companies and rules.")]
Demo = Annotated[bool, typer.Option("--demo", help="The invented companies and news that ship with pagoda.")]


@with_options(address=ADDRESS_OPTIONS)
def watch(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Argument(help="Watch file: companies, sources and rules, in YAML.")] = None,
    demo: Demo = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model that gives reasons where asked; otherwise none does.")
    ] = None,
    *,
    address: Settings,
) -> None:
    """Follow the sources of a watch file, tell alerts, and serve the page at /opinions.

    `pagoda serve --opinions FILE` does the same with all of the server's options.
    """
    from pagoda.engine.args import EngineArgs
    from pagoda.server.config import ServerConfig
    from pagoda.server.serve import serve

    terminal: Terminal = ctx.obj
    words = opinions_words(terminal.say)
    with ExitStack() as held:
        file = _watch_file(config, demo, held)
        keys = api_keys(os.environ)
        settings = ServerConfig(**server_settings(address), opinions=file, api_keys=keys, access_log=False)

        def announce(event: str, facts: dict[str, Any]) -> None:
            # The page is there before the model is, which it does not wait for.
            if event == "listening":
                terminal.note(words.page.format(url=facts["url"]), style="bold")

        serve(EngineArgs(model=model, kv_cache_memory_bytes=None if model else _KV_BYTES), settings, announce)


def replay(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="Items, .jsonl or .csv; otherwise the invented news that ship.")
    ] = None,
    watch_file: Watch = None,
    tell: Annotated[bool, typer.Option("--tell", help="Tell alerts to the watch file's addresses.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play a file of items through a watch by the times that stand in it, and print the alerts.

    Without --watch, the companies and rules that ship, over a database that is gone afterwards.
    """
    from pagoda.opinions.watching.config import MonitorConfig
    from pagoda.opinions.watching.monitor import Monitor
    from pagoda.opinions.watching.shipped import shipped_items, shipped_watch

    terminal: Terminal = ctx.obj
    with ExitStack() as held:
        if watch_file is None:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="pagoda-opinions-")))
            settings = shipped_watch(folder / "replay.db")
        else:
            settings = MonitorConfig.read(watch_file)
        monitor = held.enter_context(Monitor(settings, tells=tell))
        is_stopped = _play(terminal, monitor, file or shipped_items())
        if tell:
            terminal.note(opinions_words(terminal.say).told.format(count=monitor.deliver()))
        _show(terminal, monitor.alerts(limit=500)[::-1], as_json)
    if is_stopped:
        raise typer.Exit(_INTERRUPTED)


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    watch_file: Annotated[Path, typer.Option("--watch", metavar="FILE", help="Watch file whose database is read.")],
) -> None:
    """Write a row for each article and company, with what was said of it."""
    from pagoda.opinions.store.database import open_database
    from pagoda.opinions.store.export import export_parquet
    from pagoda.opinions.watching.config import MonitorConfig

    terminal: Terminal = ctx.obj
    database = open_database(MonitorConfig.read(watch_file).database, writes=False)
    try:
        count = export_parquet(database, out)
    finally:
        database.close()
    terminal.note(opinions_words(terminal.say).exported.format(count=count, path=out), style="bold")


def _watch_file(config: Path | None, demo: bool, held: ExitStack) -> Path:
    """Raises ConfigError where it is not clear which."""
    from pagoda.opinions.watching.shipped import write_shipped

    if (config is None) != demo:
        raise ConfigError("give a watch file, or --demo for the news that ship with pagoda")
    if config is not None:
        return config
    folder = held.enter_context(tempfile.TemporaryDirectory(prefix="pagoda-opinions-"))
    return write_shipped(Path(folder), datetime.now(UTC))


def _play(terminal: Terminal, monitor: Monitor, file: Path) -> bool:
    """Whether Ctrl-C ended it."""
    from pagoda.opinions.connectors.files import FileConnector
    from pagoda.opinions.store.reading import overview

    words, began = opinions_words(terminal.say), time.monotonic()
    total = FileConnector(file).num_lines()
    with StopOnInterrupt() as interrupt, bars(terminal) as tell:

        def told(report: IngestReport, faults: Sequence[str]) -> None:
            for fault in faults:
                terminal.note(words.fault.format(fault=fault), style="yellow")
            tell(words.playing, min(report.new + report.known, total), total)

        report = monitor.replay(file, on_progress=told, stop=lambda: interrupt.requested)
    facts = monitor.look(overview)
    terminal.note(
        words.played.format(
            new=report.new, known=report.known, stories=facts["num_stories"], companies=facts["num_companies"],
            seconds=time.monotonic() - began,
        )
    )  # fmt: skip
    if interrupt.requested:
        terminal.note(words.stopped)
    return interrupt.requested


def _show(terminal: Terminal, alerts: Sequence[dict[str, Any]], as_json: bool) -> None:
    words = opinions_words(terminal.say)
    if as_json:
        terminal.result(json.dumps(alerts, ensure_ascii=False, indent=1))
        return
    if not alerts:
        terminal.note(words.no_alerts)
    for alert in alerts:
        for line in _lines(words, alert):
            terminal.result(printable(line))


def _lines(words: OpinionsWords, alert: dict[str, Any]) -> list[str]:
    facts = ", ".join(f"{name} {value:.3g}" for name, value in alert["facts"].items() if value is not None)
    opened = datetime.fromtimestamp(alert["opened"], UTC).strftime("%Y-%m-%d %H:%M")
    head = words.alert.format(
        time=opened, severity=alert["severity"], name=alert["name"], rule=alert["rule"], facts=facts
    )
    lines = [head, *(f"    {story['title']}" for story in alert["stories"][:_NAMED])]
    if alert["withdrawn"]:
        lines.append(words.alert_withdrawn)
    elif alert["closed"] is None:
        lines.append(words.alert_open)
    return lines
