"""Rotary position embedding: cosines and sines for given positions.

On the token's path: once per forward, cos and sin for the scheduled positions; applied to q and k in
every layer. RoPE is Su et al. 2021 (arXiv 2104.09864, eq. 34): pair i of a head's dimensions is turned by
position * frequency i, so that the product of a query and a key depends on their distance alone. The kinds
of RoPE differ in their frequencies, and those stand in `rope_scaling`; positions may be real numbers, and have
several axes, whose layouts stand in `rope_axes`.

Some kinds depend on how long the sequence was when the token came in. That length is an argument here, per
token: the prompt's length for a prompt token, its position + 1 afterwards. So a token's rotation is a
function of its own request alone, however the request is chunked, batched or recomputed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pagoda.errors import ConfigError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.rope_axes import axis_of_pairs, axis_spectrum, layout_fault, num_spectra, positions_fault
from pagoda.layers.rope_rules import scaling_fault
from pagoda.layers.rope_scaling import Rope

_FEWEST_ROWS = 1024
_EXACT_IN_FP32 = 2**24  # beyond it fp32 has no place for every whole number


class RotaryEmbedding(nn.Module):
    """Cosines and sines for given positions; holds frequencies only, so any position can be asked for.

    Angles are computed in fp32, whatever the dtype of the model or of an autocast around it; in fp64 where positions
    are float64, or whole numbers of a model that says it reaches beyond 2**24. Unix seconds, say, want float64: fp32
    knows them to two minutes.

    directions: `[axes, head_dim / 2]`, or `[heads, axes, head_dim / 2]` where heads differ; learned where the layout is
        "mixed", else none
    Raises ConfigError for settings that no RoPE has.
    """

    inv_freq: torch.Tensor
    directions: nn.Parameter | None

    def __init__(self, rope: Rope) -> None:
        super().__init__()
        check_rope(rope)
        self.rope, self._spectrum = rope, axis_spectrum(rope)
        self.attention_factor = rope.attention_factor
        # A buffer moves with the model and is computed anew when one is loaded: checkpoints need not store it.
        self.register_buffer("inv_freq", self._frequencies(), persistent=False)
        self._at_lengths = rope.kind.at_lengths
        self.depends_on_length = self._at_lengths is not None
        """Whether a token's rotation depends on its sequence's length, not on its position alone."""
        self._has_large_numbers = rope.max_position_embeddings > _EXACT_IN_FP32
        self.directions = nn.Parameter(first_directions(rope)) if rope.layout == "mixed" else None
        self._table: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(
        self, positions: torch.Tensor, sequence_lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`positions [..., T]`, with axes `[..., T, axes]` -> cos and sin, each `[..., T, head_dim / 2]` in fp32.

        positions: integers or reals, below zero too
        sequence_lengths: `[..., T]`, read where rotation depends on length; None means that each row of T tokens is one
            sequence, as long as its largest position says
        Where heads have directions of their own, the result is `[..., T, heads, head_dim / 2]`.
        """
        dtype = self._dtype(positions)
        # In fp32 even under a bf16 model: bf16 has 8 bits, and would give neighbours the same angle from 256 on.
        angles = self._along_pairs(positions.to(dtype)) * self._frequencies_at(positions, sequence_lengths)
        factor = self.attention_factor
        return (angles.cos() * factor).float(), (angles.sin() * factor).float()

    def rotate(
        self, x: torch.Tensor, positions: torch.Tensor, sequence_lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`x [..., T, heads, head_dim]` turned by the positions of its tokens -> the same shape and dtype.

        positions, sequence_lengths: as `forward` has them; those of one sequence stand for every row of a batch. Angles
            are computed in fp64, as nothing says how large numbers are: of 1e7 fp32 knows an angle to .5
        """
        return self.turned(x, *self(positions.double(), sequence_lengths))

    def turned(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """The same by what `forward` gave: once for all that has these positions."""
        leading = x.shape[:-2] if self.rope.num_heads is None else x.shape[:-1]
        cos, sin = (part.expand(*leading, part.shape[-1]).flatten(0, len(x.shape) - 3) for part in (cos, sin))
        return ReferenceKernels().apply_rotary(x.flatten(0, -3), cos, sin).view(x.shape)

    def table(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for positions 0 to `length` - 1 or more: computed once, and again when a longer one is asked for."""
        assert not self.depends_on_length, "such a rotation is a token's own"
        if self._table is None or len(self._table[0]) < length:
            rows = max(_FEWEST_ROWS, 1 << (length - 1).bit_length())
            self._table = self(torch.arange(rows, device=self.inv_freq.device))
        return self._table

    def _dtype(self, positions: torch.Tensor) -> torch.dtype:
        is_whole = not positions.is_floating_point()
        is_wide = positions.dtype == torch.float64 or (is_whole and self._has_large_numbers)
        return torch.float64 if is_wide else torch.float32

    def _along_pairs(self, positions: torch.Tensor) -> torch.Tensor:
        """Where a token stands on the line of each pair: `[..., T, head_dim / 2]`, or `[..., T, 1]` for all pairs."""
        if self.rope.axes is None:
            return positions[..., None]
        if (fault := positions_fault(self.rope, positions.shape)) is not None:
            raise ConfigError(f"RotaryEmbedding was given {fault}")
        if self.directions is None:
            return positions[..., axis_of_pairs(self.rope)]
        directions = self.directions.to(positions.dtype)
        if self.rope.num_heads is not None:
            positions = positions[..., None, :]  # [..., T, 1, axes], for all heads
        # No matrix product, which an autocast would round to bf16.
        return (positions[..., None] * directions).sum(-2)

    def _frequencies_at(self, positions: torch.Tensor, sequence_lengths: torch.Tensor | None) -> torch.Tensor:
        """`[head_dim / 2]`, the same for all tokens, or `[..., T, head_dim / 2]`, each token's own."""
        frequencies = self.inv_freq
        if self._at_lengths is not None:
            if sequence_lengths is None:
                sequence_lengths = self._lengths(positions)
            exponents = self.exponents.to(positions.device)
            lengths = sequence_lengths.double()
            frequencies = self._at_lengths(self._spectrum, exponents, lengths, self.inv_freq, torch).float()
            if self.rope.num_heads is not None:
                frequencies = frequencies[..., None, :]
        copies = num_spectra(self.rope)
        return frequencies if copies == 1 else torch.cat([frequencies] * copies, dim=-1)

    def _lengths(self, positions: torch.Tensor) -> torch.Tensor:
        """`[..., T]`: that of the one sequence that each row is."""
        largest = positions if self.rope.axes is None else positions.amax(-1)
        return (largest.amax(-1, keepdim=True) + 1).expand_as(largest)

    @property
    def exponents(self) -> torch.Tensor:
        """0, 2, 4, ... over the size of an axis's part of the head, in fp32: what frequencies are made of."""
        return torch.arange(0, self._spectrum.head_dim, 2, dtype=torch.float32) / self._spectrum.head_dim

    def _frequencies(self) -> torch.Tensor:
        return self.rope.kind.frequencies(self._spectrum, self.exponents)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> RotaryEmbedding:
        """What moves or converts a module: frequencies move along, and stay in fp32 in a model of few bits."""
        frequencies = self.inv_freq
        super()._apply(fn, recurse)
        if self.inv_freq.dtype != frequencies.dtype:
            self.inv_freq = frequencies.to(self.inv_freq.device)
        return self


def check_rope(rope: Rope) -> None:
    """Raises ConfigError for settings that no RoPE has: what was given, and what is expected."""
    fault = layout_fault(rope)
    if fault is None:
        fault = scaling_fault(rope.scaling, axis_spectrum(rope).head_dim // 2)
    if fault is not None:
        raise ConfigError(f"RotaryEmbedding was given {fault}")


def first_directions(rope: Rope) -> torch.Tensor:
    """What learning begins with: the axes themselves, in each head turned by another angle, as RoPE-ViT has it.

    `[axes, head_dim / 2]` or `[heads, axes, head_dim / 2]`. Of more than two axes the first two turn.
    """
    axes, pairs = rope.axes or 1, axis_of_pairs(rope)
    along = torch.eye(axes)[pairs].T  # [axes, head_dim / 2]
    if rope.num_heads is None:
        return along.contiguous()
    turned = []
    for head in range(rope.num_heads):
        angle = 2 * math.pi * head / rope.num_heads
        turn = torch.eye(axes)
        if axes > 1:
            turn[:2, :2] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turned.append(turn @ along)
    return torch.stack(turned)
