"""The kinds of RoPE, one entry each: which frequencies, which keys of `config.json`, and how far they reach.

Beside the token's path: `rotary` takes frequencies from here once, and asks again in every forward where they depend
on a sequence's length. RoPE is Su et al. 2021 (arXiv 2104.09864, eq. 34); the kinds reach beyond the trained length:

    linear    positions divided by a factor                 Chen et al. 2023, arXiv 2306.15595
    dynamic   NTK-aware base that grows with the sequence   "Dynamically scaled RoPE", 2023
    yarn      interpolation by wavelength, softer logits    Peng et al. 2023, arXiv 2309.00071
    llama3    interpolation of the long wavelengths         Llama 3.1, arXiv 2407.21783
    longrope  one searched factor per frequency             Ding et al. 2024, arXiv 2402.13753
    frequency_factors  any divisor of each frequency        `rope_freqs` of GGUF files, which alone have this kind

Imports no torch, since `config.json` is checked against the table without it: functions work with methods of the
tensors that they are given, those of a sequence's length with a module of operations as well, torch or Keras's.
How several axes share the frequencies is another matter (`rope_axes`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


_ORIGINAL = "original_max_position_embeddings"


@dataclass(frozen=True)
class Rope:
    """What `config.json` says of one model's RoPE; `scaling` holds the keys of its kind.

    axes:      how many coordinates a position has, `[..., axes]`; None: it is a number, `[...]`
    layout:    one of `ROPE_LAYOUTS`, how several axes share the pairs of a head
    num_heads: where directions are learned, for each head by itself; None: for all heads together
    """

    head_dim: int
    theta: float = 10000.0
    max_position_embeddings: int = 2048
    scaling: Mapping[str, Any] = field(default_factory=dict)
    axes: int | None = None
    layout: str = "shared"
    num_heads: int | None = None

    @property
    def kind(self) -> RopeKind:
        return ROPE_KINDS[self.scaling.get("rope_type", "default")]

    @property
    def original(self) -> int:
        """Tokens of the longest sequence that the model was trained on before its reach was extended."""
        length: int = self.scaling.get(_ORIGINAL) or self.max_position_embeddings
        return length

    @property
    def factor(self) -> float:
        """How many times the trained length is reached; where that is not said, as far as the model claims."""
        return self.scaling.get("factor") or self.max_position_embeddings / self.original

    @property
    def attention_factor(self) -> float:
        """What cos and sin are multiplied by."""
        if (given := self.scaling.get("attention_factor")) is not None:
            return float(given)
        return self.kind.attention_factor(self) if self.kind.attention_factor else 1.0

    @property
    def max_length(self) -> float:
        """Tokens of the longest sequence that may be asked for; infinite where frequencies follow the sequence."""
        reach = self.kind.reach(self) if self.kind.reach else 0
        return max(self.max_position_embeddings, reach)


def _plain(rope: Rope, exponents: torch.Tensor) -> torch.Tensor:
    return 1.0 / (rope.theta**exponents)


def _linear(rope: Rope, exponents: torch.Tensor) -> torch.Tensor:
    return _plain(rope, exponents) / rope.scaling["factor"]


def _linear_reach(rope: Rope) -> float:
    return rope.max_position_embeddings * rope.scaling["factor"]


def _dynamic_reach(_: Rope) -> float:
    return math.inf


def _dynamic_at(rope: Rope, exponents: Any, lengths: Any, _: Any, ops: Any) -> Any:
    factor, dim = rope.scaling["factor"], rope.head_dim
    lengths = ops.clip(lengths, rope.max_position_embeddings, math.inf)
    growth = factor * lengths / rope.max_position_embeddings - (factor - 1)  # 1 up to the trained length
    # Through exp and log, which torch rounds alike at every place of a tensor; `**` it does not.
    log_theta = math.log(rope.theta) + ops.log(growth) * (dim / (dim - 2))
    return ops.exp(-log_theta[..., None] * exponents)


def _llama3(rope: Rope, exponents: torch.Tensor) -> torch.Tensor:
    plain = _plain(rope, exponents)
    low, high = rope.scaling["low_freq_factor"], rope.scaling["high_freq_factor"]
    wavelength = 2 * math.pi / plain  # tokens of one turn
    # 1 where a wavelength turns `high` times or more within the trained length, 0 where `low` times or fewer.
    smooth = ((rope.original / wavelength - low) / (high - low)).clamp(0, 1)
    return (1 - smooth) * plain / rope.scaling["factor"] + smooth * plain


def _yarn(rope: Rope, exponents: torch.Tensor) -> torch.Tensor:
    plain = _plain(rope, exponents)
    low, high = _yarn_range(rope)
    index = exponents.new_tensor(range(rope.head_dim // 2))  # of a frequency: 0 turns fastest
    interpolated_share = ((index - low) / (high - low)).clamp(0, 1)
    # Fast pairs have seen all their angles in training and stay; slow ones have not, and are slowed down.
    return plain / rope.factor * interpolated_share + plain * (1 - interpolated_share)


def _yarn_range(rope: Rope) -> tuple[float, float]:
    """Indices of the frequencies between which extrapolation turns into interpolation (eq. 23)."""

    def index_of(num_rotations: float) -> float:
        return rope.head_dim * math.log(rope.original / (num_rotations * 2 * math.pi)) / (2 * math.log(rope.theta))

    low = index_of(rope.scaling.get("beta_fast") or 32)
    high = index_of(rope.scaling.get("beta_slow") or 1)
    if rope.scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    # As the paper's own code and transformers have it, but for a range that lies beside the head's pairs as a whole:
    # there theirs runs backwards, and scales no pair where all but the first must be, or all where none may be.
    low = max(low, 0)
    high = max(low, min(high, rope.head_dim - 1))
    return low, high if high != low else high + 0.001  # no division by zero


def _yarn_reach(rope: Rope) -> float:
    return rope.original * rope.factor


def _yarn_attention_factor(rope: Rope) -> float:
    mscale, mscale_all_dim = rope.scaling.get("mscale"), rope.scaling.get("mscale_all_dim")
    if mscale and mscale_all_dim:
        return _yarn_mscale(rope.factor, mscale) / _yarn_mscale(rope.factor, mscale_all_dim)
    return _yarn_mscale(rope.factor, 1.0)


def _yarn_mscale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _factored(rope: Rope, exponents: torch.Tensor) -> torch.Tensor:
    return _plain(rope, exponents) / exponents.new_tensor(rope.scaling["frequency_factors"])


def _longrope(rope: Rope, exponents: torch.Tensor) -> torch.Tensor:
    """`[2, head_dim / 2]`: for sequences within the trained length, and for longer ones."""
    # As rows, so that a token picks its own by whether its sequence is long.
    factors = exponents.new_tensor([rope.scaling["short_factor"], rope.scaling["long_factor"]])
    return 1.0 / (factors * rope.theta**exponents)


def _longrope_at(rope: Rope, _: Any, lengths: Any, frequencies: Any, ops: Any) -> Any:
    return ops.where(lengths[..., None] > rope.original, frequencies[1], frequencies[0])


def _longrope_attention_factor(rope: Rope) -> float:
    return 1.0 if rope.factor <= 1 else math.sqrt(1 + math.log(rope.factor) / math.log(rope.original))


@dataclass(frozen=True)
class RopeKind:
    """One way to choose the frequencies of RoPE; `exponents [head_dim / 2]` are 0, 2, 4, ... over head_dim, in fp32.

    frequencies:      of the pairs of a head, in radians a position; `[head_dim / 2]`, or what `at_lengths` reads
    at_lengths:       where they depend on the sequence's length: `(rope, exponents, lengths [...], frequencies, ops)`
                      gives `[..., head_dim / 2]`; lengths are in fp64 where the backend has it, and `ops` is the module
                      of its `clip`, `exp`, `log` and `where`: torch, `keras.ops`, `jax.numpy`
    attention_factor: what cos and sin are multiplied by, so that attention's logits keep their temperature, unless
                      the key `attention_factor` says
    required, optional: keys of `rope_scaling` that are read; those of `ignored` may stand there, and change nothing
    per_pair:         those of `required` that hold a list, one number for each pair of dimensions
    above:            (larger, smaller): keys whose values must stand in this order where both are said
    reach:            tokens of the longest sequence that may be asked for, where more than max_position_embeddings
    """

    frequencies: Callable[[Rope, torch.Tensor], torch.Tensor] = _plain
    at_lengths: Callable[[Rope, Any, Any, Any, Any], Any] | None = None
    attention_factor: Callable[[Rope], float] | None = None
    reach: Callable[[Rope], float] | None = None
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    per_pair: tuple[str, ...] = ()
    above: tuple[str, str] | None = None

    @property
    def extends_original(self) -> bool:
        """Whether it reads the length that was trained on first; `config` fills that in where it is left out."""
        return _ORIGINAL in self.required + self.optional

    @property
    def known_keys(self) -> tuple[str, ...]:
        return self.required + self.optional + self.ignored


ROPE_KINDS = {
    "default": RopeKind(ignored=(_ORIGINAL,)),
    "linear": RopeKind(_linear, reach=_linear_reach, required=("factor",), ignored=(_ORIGINAL,)),
    "dynamic": RopeKind(at_lengths=_dynamic_at, reach=_dynamic_reach, required=("factor",), ignored=(_ORIGINAL,)),
    "yarn": RopeKind(
        _yarn,
        attention_factor=_yarn_attention_factor,
        reach=_yarn_reach,
        optional=(
            "factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate", _ORIGINAL,
        ),
        ignored=("finetuned",),
        above=("beta_fast", "beta_slow"),
    ),
    "llama3": RopeKind(
        _llama3,
        required=("factor", "low_freq_factor", "high_freq_factor"),
        optional=(_ORIGINAL,),
        above=("high_freq_factor", "low_freq_factor"),
    ),
    "longrope": RopeKind(
        _longrope,
        at_lengths=_longrope_at,
        attention_factor=_longrope_attention_factor,
        required=("long_factor", "short_factor"),
        per_pair=("long_factor", "short_factor"),
        optional=("factor", "attention_factor", _ORIGINAL),
    ),
    "frequency_factors": RopeKind(
        _factored, required=("frequency_factors",), per_pair=("frequency_factors",), ignored=(_ORIGINAL,)
    ),
}  # fmt: skip
"""By the `rope_type` of `config.json`."""
