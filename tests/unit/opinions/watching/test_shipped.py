"""The news that ship are what their script writes, and move in time as wholes."""

from __future__ import annotations

import json
import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pagoda.opinions.connectors.files import FileConnector
from pagoda.opinions.watching.shipped import shipped_items, shipped_watch, write_shipped

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "opinions_shipped.py"


def test_the_script_writes_what_is_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["opinions_shipped.py", "--out", str(tmp_path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    for name in ("items.jsonl", "companies.csv"):
        assert (tmp_path / name).read_bytes() == (shipped_items().parent / name).read_bytes()


def test_they_are_400_items_in_two_languages_with_reprints_and_late_ones(tmp_path: Path) -> None:
    items = [item for batch in FileConnector(shipped_items()).read() for item in batch.items]
    assert (len(items), {item.language for item in items}) == (400, {"en", "zh"})
    late = [item for item in items if item.fetched - item.published >= timedelta(hours=2)]
    assert 10 <= len(late) <= 40
    assert len({item.title for item in items}) < 330
    config = shipped_watch(tmp_path / "x.db")
    assert (len(config.companies), len(config.rules), config.database) == (20, 3, str(tmp_path / "x.db"))


def test_a_copy_for_a_page_ends_in_this_hour_and_keeps_all_distances(tmp_path: Path) -> None:
    now = datetime(2030, 5, 6, 7, 8, tzinfo=UTC)
    file = write_shipped(tmp_path, now)

    def times(path: Path) -> list[datetime]:
        return [datetime.fromisoformat(json.loads(line)["fetched"]) for line in path.read_text().splitlines()]

    moved, shipped = times(file.parent / "items.jsonl"), times(shipped_items())
    assert timedelta(0) <= now - max(moved) < timedelta(hours=1)
    assert len({after - before for after, before in zip(moved, shipped, strict=True)}) == 1
