"""Rotary position embedding: cosines and sines for given positions.

On the token's path: once per forward, cos and sin for the scheduled positions; applied to q and k in
every layer. RoPE is Su et al. 2021 (arXiv 2104.09864, eq. 34): pair i of a head's dimensions is turned by
position * frequency i, so that the product of a query and a key depends on their distance alone. The kinds
of RoPE differ in their frequencies, and those stand in `rope_scaling`.

Some kinds depend on how long the sequence was when the token came in. That length is an argument here, per
token: the prompt's length for a prompt token, its position + 1 afterwards. So a token's rotation is a
function of its own request alone, however the request is chunked, batched or recomputed.
"""

from __future__ import annotations

import torch
from torch import nn

from pagoda.layers.rope_scaling import Rope

_FEWEST_ROWS = 1024


class RotaryEmbedding(nn.Module):
    """Cosines and sines for given positions; holds frequencies only, so any position can be asked for."""

    inv_freq: torch.Tensor

    def __init__(self, rope: Rope) -> None:
        super().__init__()
        self.rope = rope
        self.attention_factor = rope.attention_factor
        # A buffer moves with the model and is computed anew when one is loaded: checkpoints need not store it.
        self.register_buffer("inv_freq", rope.kind.frequencies(rope, self._exponents()), persistent=False)
        self._at_lengths = rope.kind.at_lengths
        self.depends_on_length = self._at_lengths is not None
        """Whether a token's rotation depends on its sequence's length, not on its position alone."""
        self._table: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(
        self, positions: torch.Tensor, sequence_lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`positions [T]` (integers) -> cos and sin, each `[T, head_dim / 2]` in fp32.

        `sequence_lengths [T]` is read where rotation depends on length; None means one sequence, as long as its
        last position says.
        """
        frequencies = self.inv_freq  # [head_dim / 2], the same for all tokens
        if self._at_lengths is not None:
            if sequence_lengths is None:
                sequence_lengths = (positions.max() + 1).expand_as(positions)
            exponents = self._exponents().to(positions.device)
            # [T, head_dim / 2], each token's own
            frequencies = self._at_lengths(self.rope, exponents, sequence_lengths, self.inv_freq)
        # In fp32 even under a bf16 model: bf16 has 8 bits, and would give neighbours the same angle from 256 on.
        angles = positions[:, None].float() * frequencies  # [T, head_dim / 2], in radians
        return angles.cos() * self.attention_factor, angles.sin() * self.attention_factor

    def table(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for positions 0 to `length` - 1 or more: computed once, and again when a longer one is asked for."""
        assert not self.depends_on_length, "such a rotation is a token's own"
        if self._table is None or len(self._table[0]) < length:
            rows = max(_FEWEST_ROWS, 1 << (length - 1).bit_length())
            self._table = self(torch.arange(rows, device=self.inv_freq.device))
        return self._table

    def _exponents(self) -> torch.Tensor:
        return torch.arange(0, self.rope.head_dim, 2, dtype=torch.float32) / self.rope.head_dim
