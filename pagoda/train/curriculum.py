"""What a training step is taught: rows of ids, and what is expected after each.

Between data and the training loop. Corpora are one kind (`TextCurriculum`); whoever trains the network on something
else hands the trainer a curriculum of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pagoda.train.config import Recipe
from pagoda.train.data import BatchSchedule, prepare, save_tokenizer

NOT_COUNTED = -100
"""A target that no loss is computed for; torch's usual number."""


@dataclass(frozen=True)
class TrainingBatch:
    """Sequences of one length.

    input_ids: `[sequences, length]` int64
    targets:   `[sequences, length]` int64, what is expected at each place; NOT_COUNTED where nothing is
    positions: `[sequences, length]`, integers or fp32, where what is taught has places of its own; None: the recipe's
    rivals:    `[n]` int64, what a target is told from, itself being added where it is not there; None: the vocabulary
    """

    input_ids: np.ndarray
    targets: np.ndarray
    positions: np.ndarray | None = None
    rivals: np.ndarray | None = None


class Curriculum(Protocol):
    """What is taught."""

    @property
    def is_causal(self) -> bool:
        """Whether a token sees only those before it."""
        ...

    def batch(self, step: int) -> TrainingBatch:
        """Of optimiser step `step`: a function of that number alone, so that training resumes exactly."""
        ...

    def held_back(self) -> dict[str, TrainingBatch]:
        """What is never taught, by name."""
        ...

    def save(self, directory: Path) -> None:
        """Write what a checkpoint in `directory` needs beside weights."""
        ...


class TextCurriculum:
    """The corpora of a recipe: each token is expected after those before it."""

    is_causal = True

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        self.recipe = recipe
        self.tokenizer, self.sources = prepare(recipe, directory)
        self.schedule = BatchSchedule(self.sources, recipe)

    def batch(self, step: int) -> TrainingBatch:
        """Pieces of the longest length, cut into those of this step."""
        rows = self.schedule.batch(step)
        length = self.recipe.train.length_at(step)
        return TrainingBatch(rows[:, :-1].reshape(-1, length), rows[:, 1:].reshape(-1, length))

    def held_back(self) -> dict[str, TrainingBatch]:
        """Of every corpus that holds back a piece of the longest length, `eval_tokens` at most."""
        config, batches = self.recipe.train, {}
        for source in self.sources:
            rows = _pieces(source.held_back_ids, config.max_length, config.eval_tokens)
            if rows is not None:
                batches[source.config.name] = TrainingBatch(rows[:, :-1], rows[:, 1:])
        return batches

    def save(self, directory: Path) -> None:
        """The tokenizer."""
        save_tokenizer(self.tokenizer, directory, self.recipe.model.max_position_embeddings)


def _pieces(ids: np.ndarray, length: int, max_tokens: int) -> np.ndarray | None:
    """`[n, length + 1]` consecutive pieces of an id array, or None where there is not even one."""
    count = min((len(ids) - 1) // length, max(1, max_tokens // length))
    if count < 1:
        return None
    return np.stack([ids[i * length : i * length + length + 1].astype(np.int64) for i in range(count)])
