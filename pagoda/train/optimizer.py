"""What turns gradients into steps: AdamW, RMSProp or SGD, and the learning rate over time.

Third station of training. Weight decay goes to matrices only, not to norms and biases. AdamW: Loshchilov & Hutter
2019, arXiv 1711.05101. RMSProp: Hinton 2012, lecture 6e; SGD with momentum: Sutskever et al. 2013. Both here with
decoupled decay too, so that the three can be compared, each at a learning rate of its own: torch's RMSProp adds its
epsilon outside the root, has no momentum and does not correct its mean for the start, so its first steps are 1 /
sqrt(1 - beta2) times as long as later ones, and warm-up has to cover them. Cosine schedule: arXiv 1608.03983.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from pagoda.train.config import TrainConfig


class DecoupledDecay(torch.optim.Optimizer):
    """Weight decay apart from the gradient, as AdamW has it."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(1 - group["lr"] * group["decoupled_decay"])
        super().step()


class RMSpropW(DecoupledDecay, torch.optim.RMSprop):
    """RMSProp whose weight decay is decoupled from the gradient."""


class SGDW(DecoupledDecay, torch.optim.SGD):
    """SGD with momentum whose weight decay is decoupled from the gradient."""


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of the recipe over fp32 `parameters`."""
    all_parameters = [parameter for parameter in parameters if parameter.requires_grad]
    matrices = [parameter for parameter in all_parameters if parameter.dim() >= 2]
    vectors = [parameter for parameter in all_parameters if parameter.dim() < 2]
    decay = "weight_decay" if config.optimizer == "adamw" else "decoupled_decay"
    groups: list[dict[str, Any]] = [{"params": matrices, decay: config.weight_decay}, {"params": vectors, decay: 0.0}]
    if config.optimizer == "rmsprop":
        return RMSpropW(groups, lr=config.learning_rate, alpha=config.beta2)
    if config.optimizer == "sgd":
        return SGDW(groups, lr=config.learning_rate, momentum=config.beta1)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine down to `min_learning_rate` at the last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.num_steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.min_learning_rate + (config.learning_rate - config.min_learning_rate) * cosine
