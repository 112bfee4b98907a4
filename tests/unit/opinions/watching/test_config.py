"""Watch files: what is meant, what is refused by file, line and key, and that secrets stand in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.opinions.reading.model_files import SHIPPED
from pagoda.opinions.watching.config import MonitorConfig, WatchedSource


def read(folder: Path, text: str, **environ: str) -> MonitorConfig:
    (folder / "companies.csv").write_text("id,name\nacme,Acme\n")
    (folder / "watch.yaml").write_text(text, encoding="utf-8")
    return MonitorConfig.read(folder / "watch.yaml", environ)


def test_a_whole_watch_is_read(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("# keys\none\n\ntwo\n")
    found = read(
        tmp_path,
        """\
companies: companies.csv
language: zh
every: 30m
sources:
  - {feed: "https://example.org/a.xml", name: wire, every: 10m}
  - feed: feeds/b.xml
  - file: items.jsonl
  - kafka: {servers: ["k:9092"], topic: news}
webhook: {keys: ["file:keys.txt", "env:MORE"]}
notify: ["env:TO"]
allow_private_addresses: true
""",
        MORE="three, one",
        TO="mailto://me@example.org",
    )
    assert found.sources == (
        WatchedSource("feed", "https://example.org/a.xml", "wire", 600),
        WatchedSource("feed", str(tmp_path / "feeds/b.xml"), "b"),
        WatchedSource("file", str(tmp_path / "items.jsonl"), "items"),
        WatchedSource("kafka", "news", "news", 300, ("k:9092",), "pagoda"),
    )
    assert (found.database, found.every, found.language) == (str(tmp_path / "watch.db"), 1800, "zh")
    assert (found.webhook_keys, found.notify) == (("one", "two", "three"), ("mailto://me@example.org",))
    assert "mailto" not in repr(found)
    assert "three" not in repr(found)


def test_the_shipped_model_reads_english_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    for said, model in (
        ("", SHIPPED),
        ("model: english\n", SHIPPED),
        ("model: lists\n", None),
        ("model: own\n", "own"),
    ):
        found = read(tmp_path, f"companies: companies.csv\n{said}").model
        assert found == (tmp_path / model if model == "own" else model)


def test_an_address_that_nobody_can_be_told_at_is_found_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for address in ("mailto//me:secret@x", "maito://me:secret@x.org", "slack://secret"):
        with pytest.raises(ConfigError, match=r"watch.yaml:2: notify leads to 2 addresses, number 2") as refused:
            read(tmp_path, "companies: companies.csv\nnotify: ['env:TO']\n", TO=f"json://example.org, {address}")
        assert "secret" not in str(refused.value)
    assert "secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("source: []\ncompanies: companies.csv\n", 1, 'did you mean "sources"'),
        ("database: x.db\n", 1, "companies is missing"),
        ("companies: companies.csv\nsources:\n  - {name: x}\n", 3, "exactly one of feed, file, kafka"),
        ("companies: companies.csv\nsources:\n  - {feed: a.xml, file: b.csv}\n", 3, "exactly one"),
        ("companies: companies.csv\nsources:\n  - {kafka: {topic: t}}\n", 3, "servers is missing"),
        ("companies: companies.csv\nnotify: ['mailto://me:secret@x']\n", 2, "env:NAME or file:PATH"),
        ("companies: companies.csv\nnotify: ['env:NOBODY']\n", 2, "env:NOBODY is empty"),
        ("companies: companies.csv\nwebhook: {keys: ['file:none.txt']}\n", 2, "cannot be read"),
        ("companies: companies.csv\nlanguage: fr\n", 2, "language"),
        (
            "companies: companies.csv\nevery: 3h\nrules:\n  - {name: x, window: 2h, when: {stories: {at_least: 1}}}\n",
            2,
            "every is longer than the window of rule 'x'",
        ),
        ("- a\n", 1, "a watch file is a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_line_and_key(tmp_path: Path, text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"watch.yaml:{line}: ")
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
