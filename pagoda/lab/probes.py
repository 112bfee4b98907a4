"""What is looked at in a trained network beside its loss: how large its rows are by depth, how long strings may be.

Third station of an experiment: asked once, when a run has ended.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import nn

from pagoda.lab.recipe import TaskConfig
from pagoda.lab.tasks import TaskCurriculum
from pagoda.train.curriculum import NOT_COUNTED, TrainingBatch
from pagoda.train.trainer import Trainer

_PROBED_SEQUENCES = 8


def test_lengths(task: TaskConfig) -> list[int]:
    """Lengths beyond training at which accuracy is measured."""
    return np.linspace(task.longest + 1, task.test_to, task.lengths).round().astype(int).tolist()


@torch.no_grad()
def accuracy_by_length(trainer: Trainer, lengths: list[int], strings: int) -> dict[int, float]:
    """Percent of an answer's tokens that are right, on `strings` strings of each length.

    Positions are drawn as in training, so that they are numbers that the network has met.
    """
    curriculum = cast(TaskCurriculum, trainer.curriculum)
    return {length: _accuracy(trainer, curriculum.of_length(length, strings)) for length in lengths}


def _accuracy(trainer: Trainer, batch: TrainingBatch) -> float:
    rows, length = batch.input_ids.shape
    # A draw of its own for each length, and none that a step of training had.
    positions = trainer.positions((rows, length), trainer.config.num_steps + length)
    answers = trainer.logits(torch.from_numpy(batch.input_ids).to(trainer.device), positions).argmax(-1)
    is_counted = batch.targets != NOT_COUNTED
    is_right = answers.view(rows, length).cpu().numpy() == batch.targets
    return 100.0 * float(is_right[is_counted].mean())


@torch.no_grad()
def activation_rms(trainer: Trainer) -> list[float]:
    """Root mean square of the residual stream before the first layer and behind each, on what is held back."""
    batch = next(iter(trainer.curriculum.held_back().values()))
    ids = torch.from_numpy(batch.input_ids[:_PROBED_SEQUENCES]).to(trainer.device)
    found: list[float] = []

    def note(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if not found:
            found.append(_rms(inputs[0]))
        found.append(_rms(output))

    hooks = [layer.register_forward_hook(note) for layer in trainer.model.model.layers]
    try:
        trainer.logits(ids, trainer.positions((ids.shape[0], ids.shape[1]), trainer.config.num_steps))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _rms(rows: torch.Tensor) -> float:
    return float(rows.float().square().mean().sqrt())
