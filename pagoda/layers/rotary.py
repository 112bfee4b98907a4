"""Rotary position embedding and its ways to reach beyond the trained length.

On the token's path: once per forward, cos and sin for the scheduled positions; applied to q and k in
every layer. RoPE is Su et al. 2021 (arXiv 2104.09864, eq. 34). The variants change the frequencies:

    linear    positions divided by a factor                 Chen et al. 2023, arXiv 2306.15595
    dynamic   NTK-aware base that grows with the sequence   "Dynamically scaled RoPE", 2023
    yarn      interpolation by wavelength, softer logits    Peng et al. 2023, arXiv 2309.00071
    llama3    interpolation of the long wavelengths         Llama 3.1, arXiv 2407.21783
    longrope  one searched factor per frequency             Ding et al. 2024, arXiv 2402.13753

`dynamic` and `longrope` depend on how long the sequence was when the token came in. That length is an
argument here, per token: the prompt's length for a prompt token, its position + 1 afterwards. So a token's
rotation is a function of its own request alone, however the request is chunked, batched or recomputed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


class RotaryEmbedding(nn.Module):
    """Cosines and sines for given positions; holds frequencies only, so any position can be asked for.

    `scaling` is ModelConfig.rope_scaling: None for plain RoPE, or a dict with `rope_type`.
    """

    inv_freq: torch.Tensor

    def __init__(
        self, head_dim: int, theta: float, max_position_embeddings: int, scaling: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.theta = theta
        self.max_position_embeddings = max_position_embeddings
        self.scaling = scaling or {}
        self.rope_type: str = self.scaling.get("rope_type", "default")
        self.attention_factor = self._attention_factor()
        self.register_buffer("inv_freq", self._inverse_frequencies(), persistent=False)
        if self.rope_type == "longrope":
            self.register_buffer("long_inv_freq", self._longrope_frequencies("long_factor"), persistent=False)

    @property
    def depends_on_length(self) -> bool:
        """True where a token's rotation depends on its sequence's length, not on its position alone."""
        return self.rope_type in ("dynamic", "longrope")

    def forward(
        self, positions: torch.Tensor, sequence_lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`positions [T]` (integers) -> cos and sin, each `[T, head_dim / 2]` in fp32.

        `sequence_lengths [T]` is read by `dynamic` and `longrope` only; None means one sequence,
        as long as its last position says.
        """
        frequencies = self.inv_freq
        if self.depends_on_length:
            if sequence_lengths is None:
                sequence_lengths = (positions.max() + 1).expand_as(positions)
            frequencies = self._frequencies_at(sequence_lengths)
        angles = positions[:, None].float() * frequencies
        return angles.cos() * self.attention_factor, angles.sin() * self.attention_factor

    def _exponents(self) -> torch.Tensor:
        return torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim

    def _inverse_frequencies(self) -> torch.Tensor:
        plain = 1.0 / (self.theta ** self._exponents())
        match self.rope_type:
            case "linear":
                return plain / self.scaling["factor"]
            case "yarn":
                return self._yarn_frequencies()
            case "llama3":
                return self._llama3_frequencies(plain)
            case "longrope":
                return self._longrope_frequencies("short_factor")
            case _:
                return plain

    def _frequencies_at(self, sequence_lengths: torch.Tensor) -> torch.Tensor:
        """`[T] -> [T, head_dim / 2]`: the frequencies that a token of a sequence so long is rotated by."""
        if self.rope_type == "longrope":
            is_long = sequence_lengths[:, None] > self.scaling["original_max_position_embeddings"]
            return torch.where(is_long, self.get_buffer("long_inv_freq"), self.inv_freq)
        factor, dim = self.scaling["factor"], self.head_dim
        lengths = sequence_lengths.clamp(min=self.max_position_embeddings).double()
        growth = factor * lengths / self.max_position_embeddings - (factor - 1)
        # Through exp and log, which torch rounds alike at every place of a tensor; `**` it does not.
        log_theta = math.log(self.theta) + growth.log() * (dim / (dim - 2))
        return torch.exp(-log_theta[:, None] * self._exponents().to(lengths.device)).float()

    def _llama3_frequencies(self, plain: torch.Tensor) -> torch.Tensor:
        scaling = self.scaling
        original = scaling["original_max_position_embeddings"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        wavelength = 2 * math.pi / plain
        smooth = ((original / wavelength - low) / (high - low)).clamp(0, 1)
        return (1 - smooth) * plain / scaling["factor"] + smooth * plain

    def _yarn_frequencies(self) -> torch.Tensor:
        plain = 1.0 / (self.theta ** self._exponents())
        low, high = self._yarn_range()
        half = torch.arange(self.head_dim // 2, dtype=torch.float32)
        interpolated_share = ((half - low) / (high - low)).clamp(0, 1)
        return plain / self._yarn_factor() * interpolated_share + plain * (1 - interpolated_share)

    def _yarn_range(self) -> tuple[float, float]:
        """Indices of the frequencies between which extrapolation turns into interpolation (eq. 23)."""
        original = self.scaling["original_max_position_embeddings"]

        def index_of(num_rotations: float) -> float:
            return self.head_dim * math.log(original / (num_rotations * 2 * math.pi)) / (2 * math.log(self.theta))

        low = index_of(self.scaling.get("beta_fast") or 32)
        high = index_of(self.scaling.get("beta_slow") or 1)
        if self.scaling.get("truncate", True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, self.head_dim - 1)
        return low, high if high != low else high + 0.001

    def _yarn_factor(self) -> float:
        factor = self.scaling.get("factor")
        return factor or self.max_position_embeddings / self.scaling["original_max_position_embeddings"]

    def _longrope_frequencies(self, which: str) -> torch.Tensor:
        factors = torch.tensor(self.scaling[which], dtype=torch.float32)
        return 1.0 / (factors * self.theta ** self._exponents())

    def _attention_factor(self) -> float:
        """What cos and sin are multiplied by, so that attention's logits keep their temperature."""
        given = self.scaling.get("attention_factor")
        if self.rope_type not in ("yarn", "longrope") or given is not None:
            return float(given) if given is not None else 1.0
        factor = self._yarn_factor()
        if self.rope_type == "longrope":
            original = self.scaling["original_max_position_embeddings"]
            return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
        mscale, mscale_all_dim = self.scaling.get("mscale"), self.scaling.get("mscale_all_dim")
        if mscale and mscale_all_dim:
            return _yarn_mscale(factor, mscale) / _yarn_mscale(factor, mscale_all_dim)
        return _yarn_mscale(factor, 1.0)


def _yarn_mscale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0
