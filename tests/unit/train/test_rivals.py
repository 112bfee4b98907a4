"""The softmax over some of the vocabulary is the whole one where all of it is given, and never counts a token twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from pagoda.train.config import Recipe
from pagoda.train.curriculum import NOT_COUNTED, TrainingBatch
from pagoda.train.trainer import Trainer

VOCABULARY = 24
IDS = np.array([[1, 5, 9, 3], [2, 7, 0, 0]])
TARGETS = np.array([[5, 9, 3, 11], [7, 20, NOT_COUNTED, NOT_COUNTED]])


class Taught:
    """The same two sequences in each step."""

    is_causal = True

    def __init__(self, rivals: np.ndarray | None) -> None:
        self.rivals = rivals

    def batch(self, step: int) -> TrainingBatch:
        return TrainingBatch(IDS, TARGETS, rivals=self.rivals)

    def held_back(self) -> dict[str, TrainingBatch]:
        return {"same": self.batch(0)}

    def save(self, directory: Path) -> None:
        pass


def trainer(folder: Path, rivals: np.ndarray | None) -> Trainer:
    model = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 16,
             "tie_word_embeddings": True}  # fmt: skip
    train = {"tokens": 24, "tokens_per_step": 8, "micro_batch_tokens": 8, "length_schedule": [[0.0, 4]],
             "learning_rate": 1e-2, "warmup_steps": 0, "precision": "fp32"}  # fmt: skip
    recipe = Recipe.from_dict({"model": model, "train": train}, has_corpora=False)
    return Trainer(recipe, folder, "cpu", Taught(rivals))


def test_with_the_whole_vocabulary_as_rivals_training_is_the_same(tmp_path: Path) -> None:
    whole, some = trainer(tmp_path / "whole", None), trainer(tmp_path / "some", np.arange(VOCABULARY)[::-1].copy())
    losses = [[report.loss for report in one.run()] for one in (whole, some)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for one, other in zip(whole.model.parameters(), some.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_of_few_rivals_each_row_has_its_own_and_those(tmp_path: Path) -> None:
    one = trainer(tmp_path, np.array([3, 17]))
    ids, positions = torch.from_numpy(IDS), one.positions((2, 4), 0)
    logits, wanted = one.logits(ids, positions), torch.from_numpy(TARGETS).flatten()
    rows = []
    for row, target in zip(logits[wanted != NOT_COUNTED], wanted[wanted != NOT_COUNTED].tolist(), strict=True):
        others = [token for token in (3, 17) if token != target]
        rows.append(F.cross_entropy(row[[target, *others]][None], torch.zeros(1, dtype=torch.long)))
    found = one.evaluate()["same"]
    assert abs(found - float(torch.stack(rows).mean().detach())) < 1e-5
