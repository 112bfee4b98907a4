"""Positions in training: what each scheme draws, and that a draw is a function of seed and step."""

from __future__ import annotations

import numpy as np
import pytest

from pagoda.train.positions import POSITION_SCHEMES, draw_positions


def draw(scheme: str, length: int = 20, *, reach: int = 100, seed: int = 0, step: int = 3) -> np.ndarray:
    return draw_positions(scheme, 50, length, reach=reach, seed=seed, step=step)


@pytest.mark.parametrize("scheme", POSITION_SCHEMES)
def test_a_draw_is_a_function_of_seed_and_step(scheme: str) -> None:
    assert np.array_equal(draw(scheme), draw(scheme))
    is_random = scheme != "ordinary"
    assert np.array_equal(draw(scheme), draw(scheme, step=4)) != is_random
    assert np.array_equal(draw(scheme), draw(scheme, seed=1)) != is_random


def test_ordinary_positions_count_from_zero() -> None:
    assert np.array_equal(draw("ordinary"), np.tile(np.arange(20), (50, 1)))


@pytest.mark.parametrize("scheme", ["random_integers", "random_floats"])
def test_random_positions_ascend_over_the_whole_range_each_sequence_its_own(scheme: str) -> None:
    drawn = draw(scheme)
    assert drawn.shape == (50, 20)
    assert (np.diff(drawn, axis=1) > 0).all(), "no two tokens of a sequence stand at one place"
    assert 0 <= drawn.min() < 5
    assert 95 < drawn.max() < 100
    assert len({tuple(row) for row in drawn}) == 50
    # 20 of 100 places, sorted: the i-th is at (i + 1) / 21 of the range on average.
    assert drawn.mean(axis=0) == pytest.approx(100 * np.arange(1, 21) / 21, abs=5)


def test_integers_are_whole_and_reals_are_not() -> None:
    assert draw("random_integers").dtype.kind == "i"
    assert draw("random_floats").dtype == np.float32
    assert (draw("random_floats") % 1 > 0).mean() > 0.9


def test_a_sequence_as_long_as_the_range_gets_ordinary_integers_and_reals_as_wide() -> None:
    assert np.array_equal(draw("random_integers", 100), draw("ordinary", 100))
    assert draw("random_floats", 200).max() > 150
