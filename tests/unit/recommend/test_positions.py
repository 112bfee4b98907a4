"""The table of norms and positions: every arm is trained and asked, and learned places are read with RoPE off."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pagoda.recommend.data.city import draw_visits, read_city
from pagoda.recommend.sequence.curriculum import History

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))  # a script, which imports its neighbour
positions = importlib.import_module("recommend_positions")


def test_every_arm_is_trained_and_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        name: (replace(settings, width=16, heads=1, layers=1, epochs=1.0, tokens=512, warmup_steps=2), is_learned)
        for name, (settings, is_learned) in positions.ARMS.items()
    }
    monkeypatch.setattr(positions, "ARMS", small)
    found = list(positions.rows(draw_visits(read_city(), users=20, seed=4), 1, 2))
    assert [name for name, _, _ in found] == list(small)
    figures = [tuple(one.values()) for _, _, one in found]
    assert np.isfinite(figures).all()
    assert len(set(figures)) == len(small), "arms that give the same figures are one arm"


def test_learned_places_stand_for_rope(tmp_path: Path) -> None:
    log = draw_visits(read_city(), users=5, seed=4)
    settings = replace(positions.BASE, width=16, heads=1, layers=1, epochs=1.0, tokens=512, warmup_steps=2)
    model = positions.trained(log, settings, True, tmp_path)
    places = model.network.learned_places
    one, other = History(np.array([3, 7, 9])), History(np.array([7, 3, 9]))
    scores = model.scores([one, other])
    assert not np.allclose(scores[0], scores[1], atol=1e-6)
    with torch.no_grad():
        places.table.zero_()
    scores = model.scores([one, other])
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
