"""Dropout hangs on the network from outside: closed it changes nothing, opened it is a function of seed and step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pagoda.errors import ConfigError
from pagoda.recommend.sequence.curriculum import History, HistoryCurriculum
from pagoda.train.config import Recipe, TrainConfig
from pagoda.train.trainer import Trainer

RAW = {
    "model": {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "tie_word_embeddings": True,
    },
    "train": {
        "tokens": 6 * 64,
        "tokens_per_step": 64,
        "micro_batch_tokens": 64,
        "length_schedule": [[0.0, 64]],
        "warmup_steps": 2,
        "dropout": 0.3,
        "precision": "fp32",
        "save_every": 3,
        "eval_every": 100,
    },
}


def curriculum() -> HistoryCurriculum:
    rng = np.random.default_rng(0)
    histories = [History(rng.integers(0, 20, size=int(rng.integers(2, 25)))) for _ in range(30)]
    return HistoryCurriculum(histories[2:], histories[:2], 10, 64, seed=3)


def trainer(folder: Path) -> Trainer:
    return Trainer(Recipe.from_dict(RAW, has_corpora=False), folder, "cpu", curriculum())


def test_a_run_that_was_broken_off_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    losses = [report.loss for report in whole.run()]
    for report in trainer(tmp_path / "broken").run():
        if report.step == 4:
            break
    again = trainer(tmp_path / "broken")
    assert again.step == 3
    assert [report.loss for report in again.run()] == losses[3:]
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_is_dropped_depends_on_seed_and_step_and_measuring_drops_nothing(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    ids, places = torch.ones(2, 5, dtype=torch.int64), torch.arange(5).repeat(2, 1)

    def logits(seed: int, step: int) -> torch.Tensor:
        with run.dropout.opened(seed, step, torch.device("cpu")), torch.no_grad():
            return run.logits(ids, places)

    with torch.no_grad():
        closed = run.logits(ids, places)
        assert torch.equal(closed, run.logits(ids, places))
    assert torch.equal(logits(0, 1), logits(0, 1))
    assert not torch.equal(logits(0, 1), logits(0, 2))
    assert not torch.equal(logits(0, 1), logits(1, 1))
    assert not torch.equal(logits(0, 1), closed)


def test_a_rate_that_drops_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.dropout=1"):
        TrainConfig(dropout=1.0)
