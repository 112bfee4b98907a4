"""Kills a replay at random moments and holds what is left against what was promised.

    python benchmarks/opinions_killed.py [--kills 50] [--seed 1] [--items FILE]

A process of its own plays the shipped news in small batches and says which items were acknowledged; it gets SIGKILL
after a random number of acknowledgements and a random part of the next batch's time, and begins again from the start of
the file, as `pagoda opinions replay` does. Afterwards every item that was ever acknowledged must be there exactly once,
and articles, opinions and alerts must be those of a replay that nobody disturbed, row by row. Opinions come from words
in titles, as what is measured is the stream and not the models.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pagoda.opinions.connectors.files import FileConnector
from pagoda.opinions.store.database import open_database
from pagoda.opinions.story import Company, Item, StoryOpinion
from pagoda.opinions.watching.monitor import Monitor
from pagoda.opinions.watching.shipped import shipped_items, shipped_watch

BATCH = 2
_BAD = re.compile(r"(?i)fire|plunge|lawsuit|resign|loss|strike|fine|misses|slip|suspend|不合格|召回|跌|亏损|下调")
_GOOD = re.compile(r"(?i)wins|raises|beats|upgraded|中标|增长|上调|投产")
_TABLES = {
    "articles": "SELECT item_key, source, item_id, published, fetched, title, story FROM articles ORDER BY seq",
    "opinions": "SELECT * FROM opinions ORDER BY story, company",
    "mentions": "SELECT * FROM mentions ORDER BY company, published, article",
    "alerts": "SELECT * FROM alerts ORDER BY id",
    "deliveries": "SELECT * FROM deliveries ORDER BY alert, number",
}


class TitleReader:
    """Companies by their names, opinions by words of the title."""

    def __init__(self, companies: tuple[Company, ...]) -> None:
        self._companies = companies

    def read(self, item: Item) -> list[StoryOpinion]:
        """One opinion for each company that the item names."""
        label = "negative" if _BAD.search(item.title) else "positive" if _GOOD.search(item.title) else "neutral"
        named = [company.id for company in self._companies if any(name in item.whole for name in company.names)]
        return [StoryOpinion(name, label, 0.8, (), (), "words-1") for name in named]  # type: ignore[arg-type]


@dataclass
class Outcome:
    """Of one series. once: acknowledged items that are there exactly once"""

    kills: int
    restarts: int
    acknowledged: int
    once: int
    differing_tables: list[str]
    seconds: float


def play(database: Path, items: Path, batch: int) -> None:
    """What the process does that is killed: one line of JSON for each batch that was committed."""
    settings = shipped_watch(database)
    with Monitor(settings, reader=TitleReader(settings.companies)) as monitor:
        for given in FileConnector(items).read():
            for start in range(0, len(given.items), batch):
                part = given.items[start : start + batch]
                report = monitor.ingest(part)
                print(json.dumps({"new": report.new, "ids": [[item.source, item.id] for item in part]}), flush=True)
        monitor.finish()
        print(json.dumps({"done": True}), flush=True)


def rows(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that must be the same."""
    opened = open_database(database, writes=False)
    try:
        return {name: opened.rows(text) for name, text in _TABLES.items()}
    finally:
        opened.close()


def measure(folder: Path, items: Path, kills: int, seed: int) -> Outcome:
    """Play undisturbed, play with kills, compare."""
    dice, began = random.Random(seed), time.perf_counter()
    _run(folder / "whole.db", items, None, dice, set())
    num_batches = sum(1 for line in items.read_text(encoding="utf-8").splitlines() if line) // BATCH
    acknowledged: set[tuple[str, str]] = set()
    num_kills = restarts = 0
    is_done = False
    while not is_done:
        # Of what is new, so that each life gets a little further and fifty of them fit into one replay.
        after = dice.randrange(max(1, num_batches // (kills + 1))) if num_kills < kills else None
        is_done = _run(folder / "killed.db", items, after, dice, acknowledged)
        num_kills += not is_done
        restarts += 1
    whole, killed = rows(folder / "whole.db"), rows(folder / "killed.db")
    kept = [(str(row[1]), str(row[2])) for row in killed["articles"]]
    return Outcome(
        num_kills,
        restarts - 1,
        len(acknowledged),
        sum(kept.count(each) == 1 for each in acknowledged),
        [name for name in _TABLES if whole[name] != killed[name]],
        round(time.perf_counter() - began, 1),
    )


def _run(database: Path, items: Path, after: int | None, dice: random.Random, seen: set[tuple[str, str]]) -> bool:
    """One life; whether it came to its end. after: batches with something new before it is killed"""
    command = [sys.executable, __file__, "--play", str(database), "--items", str(items)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        num_new = 0
        for line in process.stdout:
            told = json.loads(line)
            if "done" in told:
                return process.wait() == 0
            seen.update((source, number) for source, number in told["ids"])
            num_new += told["new"] > 0
            if after is not None and num_new > after:
                time.sleep(dice.random() * 0.01)
                process.send_signal(signal.SIGKILL)
                break
        # What it said before the signal came was acknowledged as well.
        for line in process.stdout:
            if "ids" in (told := json.loads(line) if line.endswith("\n") else {}):
                seen.update((source, number) for source, number in told["ids"])
        if process.wait() != -signal.SIGKILL:
            raise RuntimeError(f"the replay ended by itself with {process.returncode}")
    return False


def main() -> None:
    """Print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--items", type=Path, default=shipped_items())
    parser.add_argument("--play", type=Path, help="what the process that is killed is told")
    given = parser.parse_args()
    if given.play is not None:
        play(given.play, given.items, BATCH)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(measure(Path(folder), given.items, given.kills, given.seed))))


if __name__ == "__main__":
    main()
