"""`pagoda opinions` in this process: what it prints in which language, what it refuses, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opinion_items import ToldReader
from pagoda.cli.app import app
from pagoda.opinions.store.writing import OpinionWriter
from pagoda.opinions.watching import monitor as monitor_module
from pagoda.server import serve as server_serve

WATCH = """\
companies: companies.csv
rules:
  - {name: wave, window: 2h, when: {negative: {at_least: 3}}}
"""


@pytest.fixture(autouse=True)
def told_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles say what is to be read of them."""
    monkeypatch.setattr(monitor_module, "default_reader", lambda config: ToldReader())


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    """A watch file, and items beside it."""
    (tmp_path / "companies.csv").write_text("id,name\nacme,Acme\n")
    (tmp_path / "watch.yaml").write_text(WATCH)
    heads = ("The plant burned down", "A recall was announced today", "Workers walked out at noon", "A fine was paid")
    lines = [
        {"id": str(n), "title": f"{head} negative/Acme", "published": f"2026-03-02T01:0{n}:00Z",
         "fetched": f"2026-03-02T01:0{n}:30Z"}
        for n, head in enumerate(heads)
    ]  # fmt: skip
    (tmp_path / "items.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "broken\n")
    return tmp_path / "watch.yaml"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_replay_prints_alerts_with_their_stories_and_goes_on_where_it_was(watch: Path) -> None:
    items = watch.with_name("items.jsonl")
    first = run("--lang", "en", "opinions", "replay", items, "--watch", watch)
    assert first.exit_code == 0, first.output
    assert "2026-03-02 01:15  warning   Acme: wave (negative 4)" in first.stdout
    assert "    The plant burned down negative/Acme" in first.stdout
    assert "passed over: items.jsonl, line 5: not JSON" in first.stderr
    assert "4 items taken, 0 known already: 4 stories of 1 companies" in first.stderr
    again = run("--lang", "zh", "opinions", "replay", items, "--watch", watch)
    assert "新收 0 条，已有 4 条" in again.stderr
    told = json.loads(run("opinions", "replay", items, "--watch", watch, "--json").stdout)
    assert [(alert["rule"], len(alert["stories"])) for alert in told] == [("wave", 4)]


def test_opinions_are_written_as_parquet(watch: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    run("opinions", "replay", watch.with_name("items.jsonl"), "--watch", watch)
    written = run("--lang", "en", "opinions", "export", tmp_path / "rows.parquet", "--watch", watch)
    assert (written.exit_code, "4 rows in" in written.stderr) == (0, True)


def test_a_replay_without_a_file_plays_the_news_that_ship() -> None:
    played = run("--lang", "en", "opinions", "replay")
    assert played.exit_code == 0, played.output
    assert "400 items taken" in played.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["opinions", "replay", "none.jsonl"], 1, "none.jsonl does not exist"),
        (["opinions", "replay", "none.txt"], 1, "no file of items"),
        (["opinions", "replay", "--watch", "none.yaml"], 2, "none.yaml cannot be read"),
        (["opinions", "watch"], 2, "--demo"),
        (["opinions", "watch", "x.yaml", "--demo"], 2, "--demo"),
        (["opinions", "export", "x.parquet"], 2, "--watch"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(arguments: Sequence[str], code: int, told: str) -> None:
    refused = run(*arguments)
    assert (refused.exit_code, told in refused.stderr) == (code, True), refused.stderr


def test_a_database_that_another_watch_holds_is_refused(watch: Path) -> None:
    holder = OpinionWriter(watch.with_name("watch.db"))
    try:
        refused = run("opinions", "replay", watch.with_name("items.jsonl"), "--watch", watch)
    finally:
        holder.close()
    assert (refused.exit_code, "another watch writes" in refused.stderr) == (2, True)


def test_a_demo_is_served_over_a_copy_of_the_news(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def serve(arguments: Any, config: Any, announce: Any) -> None:
        seen.update(model=arguments.model, files=sorted(path.name for path in config.opinions.parent.iterdir()))
        announce("listening", {"url": "http://x"})
        announce("ready", {"url": "http://x", "seconds": 1.0, "phases": {}})

    monkeypatch.setattr(server_serve, "serve", serve)
    served = run("--lang", "zh", "opinions", "watch", "--demo", "--port", "0")
    assert served.exit_code == 0, served.output
    assert "监测页面：http://x/opinions" in served.stderr
    assert seen == {"model": None, "files": ["companies.csv", "items.jsonl", "watch.yaml"]}
