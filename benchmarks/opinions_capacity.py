"""What 100,000 items take: bytes on disk, and seconds of one core from item to alert.

    python benchmarks/opinions_capacity.py TEXTS.jsonl [MORE.csv ...] [--items 100000] [--days 30] [--without-grouping]
        [--folder DIR]

Texts are the caller's: of JSON lines or JSON lists the longest text field of each record, of CSV the column `Title` or
`text`. Where there are fewer than items they come again, each time with another number before them and at least four
days later, so that no text is kept for two. Companies and labels are drawn, as the models are measured elsewhere: what
is measured is grouping, storage, windows over five rules, and alerts. CPU time, not wall time. With a folder that stays
a run that was stopped goes on where it was, by the same arguments alone; the seconds of all its parts are summed.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from resumed import claim, digest

from pagoda.language import language_of
from pagoda.opinions.alerts.rules import AlertCondition, AlertRule
from pagoda.opinions.story import Company, EventGuess, Item, OpinionWord, StoryOpinion
from pagoda.opinions.watching.config import MonitorConfig
from pagoda.opinions.watching.monitor import Monitor
from pagoda.opinions.watching.readers import new_stories

START = datetime(2026, 1, 1, tzinfo=UTC)
NUM_COMPANIES, BATCH = 500, 64
RULES = (
    AlertRule("share", 21_600, (AlertCondition("share_negative", 0.6, 0.4), AlertCondition("negative", 4, 2))),
    AlertRule("many", 21_600, (AlertCondition("stories", 10, 5), AlertCondition("deviation", 3, 1))),
    AlertRule("long", 86_400, (AlertCondition("negative", 12, 8), AlertCondition("negative_sources", 6, 4))),
    AlertRule("event", 21_600, (AlertCondition("events", 3, 1, ("default",)),)),
    AlertRule("reach", 3_600, (AlertCondition("reach", 8, 4),)),
)  # fmt: skip


class Drawn:
    """Opinions that are drawn, as heavy to keep as real ones; the same for an item however often it is read."""

    def read(self, item: Item) -> list[StoryOpinion]:
        """One to three companies; a few are in the news far more often."""
        dice = random.Random(item.id)
        found = {min(int(dice.expovariate(1 / 60)), NUM_COMPANIES - 1) for _ in range(dice.choice((1, 1, 1, 2, 3)))}
        words = tuple(OpinionWord(n, n + 4, item.title[n : n + 4], 0.5) for n in range(0, min(20, len(item.title)), 4))
        return [
            StoryOpinion(
                f"c{number}", dice.choices(("negative", "neutral", "positive"), (3, 4, 3))[0], dice.random(), words,
                (EventGuess("default", 0.7),) if dice.random() < 0.05 else (), "drawn-1",
            )
            for number in sorted(found)
        ]  # fmt: skip


@dataclass
class Capacity:
    """Seconds are CPU time. text_bytes: of titles and texts as UTF-8"""

    items: int
    stories: int
    alerts: int
    text_bytes: int
    disk_bytes: int
    cpu_s: float
    items_per_cpu_s: float


def texts_of(path: Path) -> Iterator[str]:
    """The texts of one file."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            yield from (row.get("Title") or row.get("text") or "" for row in csv.DictReader(file))
        return
    whole = path.read_text(encoding="utf-8")
    records = json.loads(whole) if whole.lstrip().startswith("[") else map(json.loads, whole.splitlines())
    for record in records:
        values = record.values() if isinstance(record, dict) else record
        yield max((value for value in values if isinstance(value, str)), key=len, default="")


def items(texts: list[str], count: int, days: float) -> Iterator[Item]:
    """In the order of their arrival. One in fifty is two hours late."""
    dice = random.Random(2)
    step = timedelta(days=days) / count
    for number in range(count):
        text = texts[number % len(texts)]
        again = number // len(texts)
        whole = f"{again} {text}" if again else text
        fetched = START + step * number
        late = timedelta(hours=2) if dice.random() < 0.02 else timedelta(seconds=dice.randrange(5, 400))
        yield Item(
            f"source-{dice.randrange(40)}", str(number), (fetched - late).replace(microsecond=0),
            fetched.replace(microsecond=0), whole[:80], whole, f"https://news.invalid/{number}", language_of(text),
        )  # fmt: skip


class Apart:
    """Each item a story of its own."""

    def restore(self, rows: Iterable[tuple[Item, str]]) -> None:
        """Nothing to remember."""

    def assign(self, item: Item) -> str:
        """Its id."""
        return item.id


def measure(folder: Path, texts: list[str], count: int, days: float, *, groups: bool) -> Capacity:
    """Take all items that the folder's database does not hold yet, close, and look at the files."""
    companies = tuple(Company(f"c{number}", (f"Company {number}",)) for number in range(NUM_COMPANIES))
    place, spent = folder / "watch", Spent(folder / "spent.json")
    claim(folder, texts=digest(texts), items=count, days=days, groups=groups)
    place.mkdir(exist_ok=True)
    settings = MonitorConfig(companies, str(place / "watch.db"), RULES)
    text_bytes, batch = 0, list[Item]()
    with Monitor(settings, reader=Drawn(), stories=new_stories if groups else Apart, tells=False) as monitor:
        taken = monitor.writer.database.rows("SELECT COUNT(*) FROM articles")[0][0]
        for number, item in enumerate(items(texts, count, days)):
            text_bytes += len((item.title + item.text).encode())
            if number >= taken:
                batch.append(item)
            if len(batch) == BATCH:
                spent.on(partial(monitor.ingest, batch))
                batch = []
        spent.on(partial(monitor.ingest, batch))
        spent.on(monitor.finish)
        stories = monitor.writer.database.rows("SELECT COUNT(*) FROM stories")[0][0]
        alerts = monitor.writer.database.rows("SELECT COUNT(*) FROM alerts")[0][0]
    disk = sum(file.stat().st_size for file in place.iterdir())
    return Capacity(count, stories, alerts, text_bytes, disk, round(spent.total, 1), round(count / spent.total, 1))


class Spent:
    """CPU seconds over all parts of a run, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.total: float = json.loads(path.read_text("utf-8")) if path.is_file() else 0.0

    def on(self, work: Callable[[], object]) -> None:
        """Do it, and note what it took."""
        began = time.process_time()
        work()
        self.total += time.process_time() - began
        self._path.write_text(json.dumps(self.total), "utf-8")


def main() -> None:
    """Print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--without-grouping", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the database stays, so that a stopped run can go on")
    given = parser.parse_args()
    texts = [text.strip() for path in given.texts for text in texts_of(path) if text.strip()]
    with tempfile.TemporaryDirectory() as passing:
        folder = given.folder or Path(passing)
        found = measure(folder, texts, given.items, given.days, groups=not given.without_grouping)
    print(json.dumps({"texts": len(texts), **asdict(found)}))


if __name__ == "__main__":
    main()
