"""A replay that is killed loses nothing that it acknowledged, and its alerts are those of one that was not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from pagoda.opinions.watching.shipped import shipped_items

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
opinions_killed = importlib.import_module("opinions_killed")


def test_after_three_kills_each_item_is_there_once_and_alerts_are_the_same(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    lines = shipped_items().read_text(encoding="utf-8").splitlines(keepends=True)
    items.write_text("".join(lines[100:340]), encoding="utf-8")
    found = opinions_killed.measure(tmp_path, items, kills=3, seed=7)
    assert (found.kills, found.differing_tables) == (3, [])
    assert found.once == found.acknowledged == 240
    assert opinions_killed.rows(tmp_path / "whole.db")["alerts"]
