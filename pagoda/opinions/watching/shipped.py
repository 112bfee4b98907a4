"""The watch that ships: invented companies and three days of invented news, for a first look without a network.

Beside `watching.config`. In a replay the news have the dates that they were written with; for a page that runs, a copy
is made whose last item is from this hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from pagoda.opinions.watching.config import MonitorConfig

_FOLDER = files("pagoda.opinions") / "demo"
ITEMS = "items.jsonl"
_HOUR_S = 3600


def shipped_watch(database: Path) -> MonitorConfig:
    """Its settings, over a database of the caller's."""
    with as_file(_FOLDER / "watch.yaml") as file:
        return replace(MonitorConfig.read(file), database=str(database))


def shipped_items() -> Path:
    """The file of its news."""
    with as_file(_FOLDER / ITEMS) as file:
        return file


def write_shipped(folder: Path, now: datetime) -> Path:
    """A copy of all its files, moved in time by whole hours so that the last item came within the last one; its watch
    file."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in (_FOLDER / ITEMS).read_text(encoding="utf-8").splitlines()]
    last = max(datetime.fromisoformat(record["fetched"]) for record in records)
    shift = timedelta(hours=int((now - last).total_seconds()) // _HOUR_S)
    (folder / ITEMS).write_text("".join(_moved(records, shift)), encoding="utf-8")
    for name in ("companies.csv", "watch.yaml"):
        (folder / name).write_text((_FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
    return folder / "watch.yaml"


def _moved(records: list[dict[str, Any]], shift: timedelta) -> Iterator[str]:
    for record in records:
        times = {name: (datetime.fromisoformat(record[name]) + shift).isoformat() for name in ("published", "fetched")}
        yield json.dumps({**record, **times}, ensure_ascii=False) + "\n"
