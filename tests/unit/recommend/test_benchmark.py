"""The benchmark's splits: GroupLens' own file and a folder of lists give the same questions, and none is taught."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.recommend.data.interactions import InteractionLog

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))  # a script, which imports its neighbours
recommend = importlib.import_module("recommend")

ROWS = [[f"{item}" for item in np.random.default_rng(user).permutation(12)[: 5 + user % 6]] for user in range(30)]


def ratings(path: Path) -> Path:
    """Shuffled, with a thing that one person rated; two of each row at one time, in the order of the row."""
    lines = [
        (place // 2, f"{user + 1}::{item}::{1 + user % 5}::{978_300_000 + place // 2}")
        for user, row in enumerate(ROWS)
        for place, item in enumerate(["rare", *row] if user == 3 else row)
    ]
    drawn = np.random.default_rng(0).random(4 * len(lines))
    lines.sort(key=lambda line: drawn[line[0]])
    path.write_text("".join(f"{line}\n" for _, line in lines))
    return path


def folder(path: Path) -> Path:
    """As gSASRec has it, of the last people for validation."""
    for name, rows in {
        "train/input": [row[:-3] if user >= 20 else row[:-2] for user, row in enumerate(ROWS)],
        "val/input": [row[:-2] for row in ROWS[20:]],
        "val/output": [row[-2:-1] for row in ROWS[20:]],
        "test/output": [row[-1:] for row in ROWS],
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
    return path


def lists(log: InteractionLog) -> list[list[str]]:
    return [[log.items[item] for item in history] for history in log.histories]


def test_ratings_of_the_official_file_are_taught_but_for_the_last_two(tmp_path: Path) -> None:
    path = ratings(tmp_path / "ratings.dat")
    taught, held = recommend.ml1m(path)
    assert sorted(lists(taught)) == sorted(row[:-2] for row in ROWS)
    asked = {tuple(known): held.asked[user] for user, known in zip(held.train.users, lists(held.train), strict=True)}
    assert asked == {tuple(row[:-1]): (row[-1],) for row in ROWS}
    again, validated = recommend.ml1m(path, validates=True)
    assert lists(again) == lists(taught)
    assert sorted(lists(validated.train)) == sorted(row[:-2] for row in ROWS)
    assert sorted(validated.asked.values()) == sorted((row[-2],) for row in ROWS)


def test_a_folder_of_lists_without_what_came_before_the_last_knows_it_of_the_validated(tmp_path: Path) -> None:
    path = folder(tmp_path)
    taught, held = recommend.ml1m(path)
    assert lists(held.train) == [row[:-1] if user >= 20 else row[:-2] for user, row in enumerate(ROWS)]
    assert held.asked == {str(user): (row[-1],) for user, row in enumerate(ROWS)}
    again, validated = recommend.ml1m(path, validates=True)
    assert lists(again) == lists(taught) != lists(held.train)
    assert validated.asked == {str(user): (row[-2],) for user, row in enumerate(ROWS[20:])}
    (path / "test/input.txt").write_text("".join(" ".join(row[:-1]) + "\n" for row in ROWS))
    whole: Any = recommend.ml1m(path)[1]
    assert lists(whole.train) == [row[:-1] for row in ROWS]
