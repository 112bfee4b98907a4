"""Recommendation on public logs: every figure beside popularity, neighbours and EASE, from one command.

    python benchmarks/recommend.py --movielens ml-latest-small/ratings.csv --beauty Beauty.txt --ml1m datasets/ml1m

Each data set is the reader's own copy, and each is left out where it is not named. `--movielens` takes GroupLens'
`ratings.csv` (userId, movieId, rating, timestamp), or JSON lines of users with [item, rating, timestamp]; `--beauty` a
file of "user item item ..." lines (S3-Rec's). `--ml1m` takes GroupLens' own ratings.dat (user::item::rating::time) or
the folder of gSASRec's split, whose test/input.txt may be absent: the last thing but one of most users is then lost to
every model, and docs/recommend.md's figures, whose input had it put back, do not come out. `--train` trains the
sequence model for those two, in `--work`, from where a broken run goes on; with `--validate` ML-1M asks the last thing
but one of 512 people and no test, by which to choose. `--network` makes it one of MovieLens' models, on the first
split alone. `--serving` times a known user at 10,000 items by a model that is kept in `--work`, `--answers` counts
what must never be shown. Figures go to `--out`.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from resumed import claim

from pagoda.recommend.comparison import SPLITS, compared
from pagoda.recommend.data.interactions import InteractionLog, read_interactions
from pagoda.recommend.data.metrics import RankingReport, evaluate
from pagoda.recommend.data.splits import HeldBack
from pagoda.recommend.folder import CURRENT, current_model, load_model, save_model
from pagoda.recommend.people import Audience
from pagoda.recommend.recommender import Recommender, RecommenderSettings
from pagoda.recommend.sequence.network import (
    SequenceModel,
    SequenceSettings,
    histories_of,
    settings_for,
    train_sequence_model,
)

BEAUTY = SequenceSettings(
    width=64, layers=1, heads=2, length=50, epochs=40, tokens=2048, dropout=0.5, learning_rate=2e-3, rivals=512
)
"""Chosen on the last thing but one of 5,000 people, by a model that was not taught it."""
ML1M = SequenceSettings(
    width=128, layers=2, heads=2, length=200, epochs=6, tokens=6400, pass_tokens=1600, widths=20, dropout=0.2,
    learning_rate=2e-3, warmup_steps=200, save_every=50,
)  # fmt: skip
"""The softmax is over all 3,416 items: they are few enough."""
_FEWEST = 3
"""Events that an asked item of MovieLens must have, as in the figures that these are held against."""
_FEWEST_ML1M, _VALIDATED = 5, 512
"""Ratings of a thing of ML-1M, which leaves the 3,416 of the literature; people who are asked to choose a recipe."""


def movielens(path: Path) -> InteractionLog:
    """Ratings of any value as events."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return InteractionLog.of((r["userId"], r["movieId"], r["timestamp"]) for r in csv.DictReader(file))
    users = map(json.loads, path.read_text().splitlines())
    return InteractionLog.of((user["user"], item, when) for user in users for item, _, when in user["ratings"])


def sequences(rows: Sequence[Sequence[str]]) -> InteractionLog:
    """Rows of item ids in the order of time, without times: the place is the time."""
    return InteractionLog.of(
        (str(user), item, place) for user, row in enumerate(rows) for place, item in enumerate(row)
    )


def last_two(rows: Sequence[Sequence[str]]) -> tuple[InteractionLog, HeldBack]:
    """Everything but the last two things of each user, and the split that asks the last alone."""
    asked: dict[str, tuple[str, ...]] = {str(user): (row[-1],) for user, row in enumerate(rows)}
    return sequences([row[:-2] for row in rows]), HeldBack(sequences([row[:-1] for row in rows]), asked)


def beauty(path: Path) -> tuple[InteractionLog, HeldBack]:
    """As `last_two`."""
    return last_two([line.split()[1:] for line in path.read_text().splitlines() if line.strip()])


def ml1m(path: Path, *, validates: bool = False) -> tuple[InteractionLog, HeldBack]:
    """What models learn from, and what they are asked; validates: the last thing but one of 512 people."""
    return ml1m_split(path, validates=validates) if path.is_dir() else ml1m_ratings(path, validates=validates)


def ml1m_ratings(path: Path, *, validates: bool) -> tuple[InteractionLog, HeldBack]:
    """Of GroupLens' file: things that five ratings name, in the order of time, and of the file at one time."""
    log = read_interactions(path)
    counts = np.bincount(np.concatenate(log.histories), minlength=len(log.items))
    rows = [[log.items[item] for item in history if counts[item] >= _FEWEST_ML1M] for history in log.histories]
    rows = [row for row in rows if len(row) > 2]
    taught, held = last_two(rows)
    if not validates:
        return taught, held
    drawn = np.random.default_rng(0).permutation(len(rows))[:_VALIDATED]
    return taught, last_two([rows[user][:-1] for user in sorted(drawn)])[1]


def ml1m_split(folder: Path, *, validates: bool) -> tuple[InteractionLog, HeldBack]:
    """Of gSASRec's: 512 users have their last thing but one, the others only if test/input.txt is there."""

    def rows(name: str) -> list[list[str]]:
        return [line.split() for line in (folder / name).read_text().splitlines()]

    def held(known: list[list[str]], asked: list[list[str]]) -> HeldBack:
        return HeldBack(sequences(known), {str(user): (row[0],) for user, row in enumerate(asked)})

    taught, before, then = rows("train/input.txt"), rows("val/input.txt"), rows("val/output.txt")
    if validates:
        return sequences(taught), held(before, then)
    whole = folder / "test/input.txt"
    if whole.is_file() and whole.stat().st_size:
        known = rows("test/input.txt")
    else:
        longer = {tuple(row[:-1]): [*row, *last] for row, last in zip(before, then, strict=True)}
        known = [longer.get(tuple(row), row) for row in taught]
    return sequences(taught), held(known, rows("test/output.txt"))


def of_network(model: SequenceModel, held: HeldBack) -> RankingReport:
    """The network's lists, all items ranked, nothing seen among them."""
    log = held.train.over(model.catalogue)
    histories = histories_of(log, model.settings)
    order = sorted(range(len(histories)), key=lambda place: len(histories[place].items))
    lists: dict[str, list[str]] = {}
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        for place, scores in zip(part, model.scores([histories[one] for one in part]), strict=True):
            scores[histories[place].items] = -np.inf
            best = np.argpartition(-scores, 10)[:10]
            best = best[np.argsort(-scores[best], kind="stable")]
            lists[log.users[place]] = [model.catalogue[int(item)] for item in best]
    return evaluate(lists, held.asked, len(model.catalogue))


def trained(log: InteractionLog, held: HeldBack, settings: SequenceSettings, folder: Path) -> dict[str, Any]:
    """Train, or go on, and measure at the end. Seconds are the processor's, of all threads, of this process alone."""

    def tell(report: Any) -> None:
        if report.step % 50 == 0:
            print(f"  step {report.step}/{report.num_steps}  loss {report.loss:.4f}  {_cpu_s():.0f} s", flush=True)

    model = train_sequence_model(log, settings, folder, tell)
    return {**asdict(of_network(model, held)), "cpu_s": round(_cpu_s()), "settings": asdict(settings)}


def shop(num_items: int, num_users: int) -> InteractionLog:
    """A made-up log in which all of so many items are taken."""
    rng = np.random.default_rng(0)
    groups = rng.integers(50, size=num_users)
    events = [
        (f"u{user}", f"i{(group * (num_items // 50) + item) % num_items}", float(place))
        for user, group in enumerate(groups)
        for place, item in enumerate(rng.integers(num_items // 25, size=60))
    ]
    return InteractionLog.of(events + [("everything", f"i{item}", 0.0) for item in range(num_items)] * 3)


def serving(folder: Path, num_items: int = 10_000, num_users: int = 2000, num_questions: int = 2000) -> dict[str, Any]:
    """Milliseconds of wall time of a known user's list, one after the other, by the model that `folder` keeps.

    The first run trains it, which takes minutes on which nothing depends: time the questions by the second.
    """
    claim(folder, items=num_items, users=num_users, settings=repr(RecommenderSettings()))
    log = shop(num_items, num_users)
    if not (folder / CURRENT).is_file():
        save_model(Recommender.train(log), folder)
    recommender = load_model(folder / current_model(folder), Audience.of(log))
    rng = np.random.default_rng(1)
    times = []
    for _ in range(num_questions):
        user = f"u{rng.integers(num_users)}"
        began = time.perf_counter()
        recommender.recommend(user, 10)
        times.append(1000 * (time.perf_counter() - began))
    found = {f"p{part}_ms": round(float(np.percentile(times, part)), 2) for part in (50, 95, 99)}
    return {"items": len(recommender.catalogue), "questions": num_questions, **found}


def answers(log: InteractionLog, count: int = 100_000) -> dict[str, int]:
    """Items shown that were taken or blocked, of so many in lists of ten; every user blocks what heads the list."""
    recommender = Recommender.train(log)
    shown = wrong = 0
    while shown < count:
        for user in log.users:
            person = recommender.people.get(user)
            closed = {*person.items, *person.blocked}
            found = [one.item for one in recommender.recommend(user, 10)]
            shown, wrong = shown + len(found), wrong + len(closed & set(found))
            recommender.people.block(user, item=found[0])
            if shown >= count:
                break
    return {"shown": shown, "taken_or_blocked": wrong}


def table(held: HeldBack, *, network: bool = False) -> dict[str, Any]:
    """Every model on one split, printed as it comes; network: ours with one, too."""
    found = {}
    settings = RecommenderSettings(network=settings_for(held.train) if network else None)
    for name, report in compared(held, settings=settings):
        print(f"  {name:22} {report}", flush=True)
        found[name] = asdict(report)
    return found


def on_movielens(path: Path, splits: Sequence[str], *, network: bool = False) -> dict[str, Any]:
    """Of these splits; asked are items of at least three events, as in the figures above."""
    log = movielens(path)
    counts = Counter(event.item for event in log.events())
    found: dict[str, Any] = {}
    for name in splits:
        held = SPLITS[name](log)
        kept = {user: tuple(item for item in items if counts[item] >= _FEWEST) for user, items in held.asked.items()}
        print(f"MovieLens, {name}: {sum(map(len, held.asked.values()))} events asked", flush=True)
        asked = {user: items for user, items in kept.items() if items}
        found[name] = table(HeldBack(held.train, asked), network=network)
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def sections(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name of each part that was asked for, and what measures it."""
    if given.movielens:
        if given.network:
            yield "movielens, network", lambda: on_movielens(given.movielens, ["last-share"], network=True)
        else:
            yield "movielens", lambda: on_movielens(given.movielens, list(SPLITS))
        if given.answers:
            yield "answers", lambda: answers(movielens(given.movielens))
    if given.beauty:
        shorter, held = beauty(given.beauty)
        if given.train:
            yield "beauty, network", lambda: trained(held.train, held, BEAUTY, given.work / "beauty")
            yield "beauty, network, last two", lambda: trained(shorter, held, BEAUTY, given.work / "beauty-last-two")
        yield "beauty", lambda: table(held)
    if given.ml1m:
        log, known = ml1m(given.ml1m, validates=given.validate)
        name = "ml-1m, validation" if given.validate else "ml-1m"
        if given.train:
            yield f"{name}, network", lambda: trained(log, known, ML1M, given.work / "ml1m")
        yield name, lambda: table(known)
    if given.serving:
        yield "serving", lambda: serving(given.work / "serving")


def main() -> None:
    """Measure what was named; each part is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("movielens", "beauty", "ml1m"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("train", "validate", "network", "serving", "answers"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("runs/recommend"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    path = given.out / "recommend.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    for name, measure in sections(given):
        print(name, flush=True)
        found[name] = measure()
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"  {_cpu_s():.0f} s of processor time so far", flush=True)


if __name__ == "__main__":
    main()
