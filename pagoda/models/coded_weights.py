"""How much of a model's weights is held in codes of few bits, and what that takes: for whoever plans memory.

Off the token's path. Each file says it of itself, by its table of tensors or its config.json. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodedWeights:
    """`num_weights` of a model's weights take `num_bytes`, scales included; the others are floats of its dtype."""

    num_weights: int = 0
    num_bytes: int = 0


ALL_FLOATS = CodedWeights()
