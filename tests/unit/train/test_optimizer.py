"""Optimisers against their formulas, decay apart from the gradient in all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pagoda.train.config import TrainConfig
from pagoda.train.optimizer import build_optimizer

RATE, DECAY, BETA1, BETA2 = 0.1, 0.5, 0.9, 0.8


def stepped(optimizer: str, gradients: list[float], *, is_matrix: bool = True) -> float:
    """One weight of 2, after a step for each gradient."""
    weight = nn.Parameter(torch.full((1, 1) if is_matrix else (1,), 2.0, dtype=torch.float64))
    config = TrainConfig(optimizer=optimizer, learning_rate=RATE, weight_decay=DECAY, beta1=BETA1, beta2=BETA2)
    made = build_optimizer([weight], config)
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        made.step()
    return weight.item()


def test_sgd_adds_up_gradients_and_decays_apart_from_them() -> None:
    weight, momentum = 2.0, 0.0
    for gradient in (1.0, -3.0, 0.5):
        momentum = BETA1 * momentum + gradient
        weight = weight * (1 - RATE * DECAY) - RATE * momentum
    assert stepped("sgd", [1.0, -3.0, 0.5]) == pytest.approx(weight, abs=1e-12)


def test_rmsprop_has_its_epsilon_outside_the_root_and_no_correction_for_the_start() -> None:
    weight, square = 2.0, 0.0
    for gradient in (1.0, -3.0, 0.5):
        square = BETA2 * square + (1 - BETA2) * gradient**2
        weight = weight * (1 - RATE * DECAY) - RATE * gradient / (square**0.5 + 1e-8)
    assert stepped("rmsprop", [1.0, -3.0, 0.5]) == pytest.approx(weight, abs=1e-12)
    first = 2.0 * (1 - RATE * DECAY) - stepped("rmsprop", [1.0])
    assert first == pytest.approx(RATE / (1 - BETA2) ** 0.5), "the first step is longer than the rate"


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_vectors_do_not_decay(optimizer: str) -> None:
    assert stepped(optimizer, [0.0], is_matrix=False) == 2.0
    assert stepped(optimizer, [0.0]) == pytest.approx(2.0 * (1 - RATE * DECAY))
