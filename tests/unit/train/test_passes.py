"""A step that is computed in several passes is the same step: the mean is over its tokens, however they were split."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from pagoda.train.config import Recipe
from pagoda.train.curriculum import NOT_COUNTED, TrainingBatch
from pagoda.train.trainer import Trainer

IDS = np.array([[1, 5, 9, 3], [2, 7, 0, 0], [4, 8, 6, 1]])
LONG_AND_SHORT = np.array([[5, 9, 3, 11], [7, NOT_COUNTED, NOT_COUNTED, NOT_COUNTED], [8, 6, 1, NOT_COUNTED]])
ONE_WITHOUT = np.array([[5, 9, 3, 11], [NOT_COUNTED] * 4, [8, 6, 1, NOT_COUNTED]])


class Taught:
    """The same three sequences in each step."""

    is_causal = True

    def __init__(self, targets: np.ndarray) -> None:
        self.targets = targets

    def batch(self, step: int) -> TrainingBatch:
        return TrainingBatch(IDS, self.targets)

    def held_back(self) -> dict[str, TrainingBatch]:
        return {"same": self.batch(0)}

    def save(self, directory: Path) -> None:
        pass


def trainer(folder: Path, targets: np.ndarray, at_once: int) -> Trainer:
    model = {"vocab_size": 24, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 16}  # fmt: skip
    train = {"tokens": 36, "tokens_per_step": 12, "micro_batch_tokens": at_once, "length_schedule": [[0.0, 4]],
             "learning_rate": 1e-2, "warmup_steps": 0, "precision": "fp32"}  # fmt: skip
    recipe = Recipe.from_dict({"model": model, "train": train}, has_corpora=False)
    return Trainer(recipe, folder, "cpu", Taught(targets))


def test_three_passes_teach_what_one_does(tmp_path: Path) -> None:
    whole, split = trainer(tmp_path / "whole", LONG_AND_SHORT, 12), trainer(tmp_path / "split", LONG_AND_SHORT, 4)
    losses = [[report.loss for report in one.run()] for one in (whole, split)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for one, other in zip(whole.model.parameters(), split.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_is_held_back_is_weighed_alike(tmp_path: Path) -> None:
    whole, split = trainer(tmp_path / "whole", LONG_AND_SHORT, 12), trainer(tmp_path / "split", LONG_AND_SHORT, 4)
    assert abs(whole.evaluate()["same"] - split.evaluate()["same"]) < 1e-5


def test_a_pass_without_a_target_is_left_out(tmp_path: Path) -> None:
    whole, split = trainer(tmp_path / "whole", ONE_WITHOUT, 12), trainer(tmp_path / "split", ONE_WITHOUT, 4)
    losses = [[report.loss for report in one.run()] for one in (whole, split)]
    assert all(map(math.isfinite, losses[1]))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
