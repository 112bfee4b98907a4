"""The tasks by their rules, written otherwise than they are made; strings that are held back are never taught."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pagoda.lab.tasks import EMPTY, FIRST_SYMBOL, MISSING, TASKS, TaskCurriculum, make_batch
from pagoda.train.curriculum import NOT_COUNTED
from pagoda.train.positions import draw_positions


def solved(task: str, string: list[int]) -> list[int]:
    """The answer to a string, letters from 2 on."""
    if task == "even_pairs":
        changes = sum(one != other for one, other in pairwise(string))
        return [FIRST_SYMBOL + (changes % 2 == 0)]
    if task == "bucket_sort":
        return [letter for letter in sorted(set(string)) for _ in range(string.count(letter))]
    if task == "reverse_string":
        return list(reversed(string))
    at = string.index(MISSING)
    half = len(string) // 2
    return [string[at + half] if at < half else string[at - half]]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_answers_follow_the_rule_and_stand_in_empty_places(task: str, length: int) -> None:
    batch = make_batch(task, np.random.default_rng(0), 40, length)
    for ids, targets in zip(batch.input_ids, batch.targets, strict=True):
        is_string = targets == NOT_COUNTED
        string = ids[is_string].tolist()
        assert len(string) == length + (task == "missing_duplicate" and length % 2)
        assert (ids[~is_string] == EMPTY).all()
        assert targets[~is_string].tolist() == solved(task, string)
        assert string.count(MISSING) == (task == "missing_duplicate")


def test_lengths_of_training_reach_from_one_to_the_longest() -> None:
    curriculum = TaskCurriculum("reverse_string", 4, 6, seed=0)
    lengths = {curriculum.batch(step).input_ids.shape[1] // 2 for step in range(100)}
    assert lengths == {1, 2, 3, 4, 5, 6}


def test_strings_that_are_held_back_are_drawn_apart_from_those_of_training() -> None:
    curriculum = TaskCurriculum("bucket_sort", 16, 40, seed=0)
    taught = {tuple(row) for step in range(300) for row in curriculum.batch(step).input_ids if row.size == 80}
    held_back = {tuple(row) for row in curriculum.of_length(40, 64).input_ids}
    assert taught
    assert not taught & held_back


def test_where_strings_stand_says_nothing_of_what_they_are() -> None:
    curriculum = TaskCurriculum("reverse_string", 1, 40, seed=0)
    letters = [curriculum.batch(step).input_ids[0, 0] for step in range(2000)]
    drawn = [draw_positions("random_floats", 1, 1, reach=1, seed=0, step=step)[0, 0] for step in range(2000)]
    assert abs(np.corrcoef(letters, drawn)[0, 1]) < 0.1, "0.022 is the deviation of chance"
