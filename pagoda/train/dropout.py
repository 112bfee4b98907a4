"""Dropout for a network that has none: what its embedding, attention and MLPs give out is thinned while it is trained.

Beside the training loop, which opens it once a step. Large language models see each text once and need none; a network
that reads the same few thousand histories fifty times does (Srivastava et al. 2014; SASRec, arXiv 1808.09781, section
III). The network itself stays as it serves: the thinning hangs on its modules from outside. What is dropped is a
function of seed and step alone, so that a resumed run goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

STREAM = 2
"""Third seed of what is dropped; positions have another, see `positions`."""
_THINNED = ("embed_tokens", "self_attn", "mlp")


class Dropout:
    """Hooks on all modules of `model` that write to the residual stream. Closed, it does nothing.

    rate: part of the numbers that become 0, the rest being scaled up for it
    """

    def __init__(self, model: nn.Module, rate: float) -> None:
        self.rate = rate
        self._generator: torch.Generator | None = None
        if rate > 0.0:
            for name, module in model.named_modules():
                if name.rpartition(".")[2] in _THINNED:
                    module.register_forward_hook(self._thin)

    @contextmanager
    def opened(self, seed: int, step: int, device: torch.device) -> Iterator[None]:
        """Drop as optimiser step `step` does, until the block ends."""
        mixed = (seed * 1_000_003 + step) * 8 + STREAM
        self._generator = torch.Generator(device).manual_seed(mixed % 2**63)
        try:
            yield
        finally:
            self._generator = None

    def _thin(self, _: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        if self._generator is None:
            return output
        kept = torch.empty_like(output).bernoulli_(1 - self.rate, generator=self._generator)
        return output * kept.div_(1 - self.rate)
