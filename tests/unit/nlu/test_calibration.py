"""Probabilities that mean something, and a threshold that turns away what it was told to."""

from __future__ import annotations

import numpy as np
import pytest

from pagoda.nlu import calibration
from pagoda.nlu.calibration import Calibration
from pagoda.nlu.prototypes import nearest, prototypes


def scores(num_inside: int, num_outside: int, gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(logits, signs, truth): two intents, one sign that tells outsiders by `gap` and one of noise; a tenth wrong."""
    rng = np.random.default_rng(0)
    total = num_inside + num_outside
    truth = np.where(np.arange(total) < num_inside, rng.integers(0, 2, total), -1)
    best = np.where((truth >= 0) & (rng.random(total) > 0.1), truth, rng.integers(0, 2, total))
    logits = np.zeros((total, 2))
    logits[np.arange(total), best] = 9.0
    signs = np.stack([rng.normal(size=total) - gap * (truth < 0), rng.normal(size=total)], 1)
    return logits, signs, truth


@pytest.mark.parametrize("num_outside", [0, 200])
@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_no_more_is_turned_away_than_was_said(num_outside: int, rate: float) -> None:
    logits, signs, truth = scores(2000, num_outside, 3.0)
    fitted = calibration.fit(logits, signs, truth, rate)
    turned_away = (fitted.in_scope(signs)[truth >= 0] < 0.5).mean()
    assert turned_away <= rate
    assert turned_away >= 0.8 * rate or num_outside


def test_with_outsiders_to_learn_from_noise_counts_little() -> None:
    logits, signs, truth = scores(1000, 200, 3.0)
    fitted = calibration.fit(logits, signs, truth, 0.05)
    assert fitted.weights[0] > 2 * fitted.weights[1]
    assert (fitted.in_scope(signs)[truth < 0] < 0.5).mean() > 0.85


def test_where_outsiders_are_far_away_nothing_in_scope_is_turned_away() -> None:
    logits, signs, truth = scores(500, 100, 50.0)
    fitted = calibration.fit(logits, signs, truth, 0.05)
    assert (fitted.in_scope(signs)[truth >= 0] >= 0.5).all()
    assert (fitted.in_scope(signs)[truth < 0] < 0.5).all()


def test_confidence_is_the_share_of_right_answers() -> None:
    logits, signs, truth = scores(3000, 0, 0.0)
    fitted = calibration.fit(logits, signs, truth, 0.01)
    is_right = (logits.argmax(1) == truth).mean()
    assert fitted.confidence(logits, signs).mean() == pytest.approx(is_right, abs=0.01)


def test_too_few_sentences_to_tell_turn_nothing_away() -> None:
    logits, signs, truth = scores(10, 3, 3.0)
    assert (calibration.fit(logits, signs, truth, 0.05).in_scope(signs) > 0.5).all()


def test_a_calibration_survives_a_file() -> None:
    fitted = calibration.fit(*scores(200, 30, 2.0), 0.05)
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_prototypes_stand_near_what_they_stand_for() -> None:
    rng = np.random.default_rng(1)
    vectors = np.concatenate([rng.normal(loc, 0.05, (40, 3)) for loc in ([1, 0, 0], [0, 1, 0])])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centres = prototypes(vectors, np.repeat([0, 1], 40))
    assert len(centres) == 20
    assert nearest(vectors, centres).min() > 0.98
    assert nearest(np.array([[0.0, 0.0, 1.0]]), centres)[0] < 0.3
