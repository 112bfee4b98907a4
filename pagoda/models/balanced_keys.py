"""Keys and queries that a cache in bytes can hold: what is large in a few dimensions moves from keys to queries.

Runs once before the first token, between a checkpoint's tensors and the network, where `kv_cache_dtype="int8"`. A
score stays what it is where a dimension of the keys is divided by what the same of the queries is multiplied by. Keys
of some models have dimensions a hundred times as large as the others, by their biases (Qwen2) or gains (Qwen3), so
that a step of the whole key's scale is too coarse for the rest; SmoothQuant (Xiao et al. 2022, arXiv 2211.10438,
section 4) moves such factors from activations to weights. A step costs least where the square of the factor is the
size of the key by that of the query, and how large both will be follows from the weights: a normed row has about the
same size in every dimension. Factors are powers of two, so no product, and no bit of a score, changes; and one for
both dimensions of a pair, which RoPE turns into each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch

from pagoda.kernels.grouped_codes import Factors, GroupedCodes, TwoLevel
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.models.checkpoint.source import CheckpointSource, SourceInFront, Stored, as_floats
from pagoda.models.config import ModelConfig

_ATTENTION = "self_attn."
_MOST_EXPONENT = 8
_SMALL = 1e-12  # beside any square that a network has


class BalancedKeys(SourceInFront):
    """A source whose queries and keys are balanced, wherever that changes no product; otherwise the source itself.

    source: of a network, under the network's own names
    """

    def __init__(self, source: CheckpointSource, config: ModelConfig) -> None:
        super().__init__(source)
        self._config = config
        self._factors: dict[str, torch.Tensor] = {}
        """Name of a tensor -> what its rows are multiplied by, of the layers that were read."""

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        wanted = list(names)
        if _can_be_balanced(self._config):
            # Of whole layers, since what a rank of a pipeline does not hold it does not read.
            for layer in {name.partition(_ATTENTION)[0] for name in wanted if _ATTENTION in name}:
                self._factors |= _factors_of(self._source, self._config, layer)
        for name, stored in self._source.read(wanted):
            factors = self._factors.get(name)
            yield name, stored if factors is None else _multiplied(stored, factors)


def _can_be_balanced(config: ModelConfig) -> bool:
    """Bounded projections cannot be scaled behind their bound, nor gains that are stored less one or not at all."""
    kind = NORM_KINDS[config.norm]
    return config.clip_qkv is None and (not config.qk_norm or (kind.has_weight and kind.offset == 0.0))


def _factors_of(source: CheckpointSource, config: ModelConfig, layer: str) -> dict[str, torch.Tensor]:
    """Of the tensors of one layer, whose names begin so, that are to be multiplied."""
    q_name, k_name = (f"{layer}{_ATTENTION}{which}_{'norm' if config.qk_norm else 'proj'}" for which in "qk")
    ours = [f"{name}.{kind}" for name in (q_name, k_name) for kind in ("weight", "bias")]
    wanted = [*ours, f"{layer}input_layernorm.weight"]
    found = dict(source.read([name for name in wanted if name in source.files]))
    sizes = [_squares(found, name, config, layer) for name in (q_name, k_name)]
    kv_heads = max(1, sizes[1].numel() // config.head_dim)  # one gain may stand for all heads
    query = sizes[0].view(kv_heads, -1, config.head_dim)
    exponents = _exponents(query.mean(1), sizes[1].view(kv_heads, config.head_dim), config)
    by_query = exponents[:, None].expand(query.shape)
    # A half-precision scale that would lose a bit stays, and so does all that it is balanced with.
    holds = _holds(found[f"{k_name}.weight"], -exponents.flatten()).view_as(exponents)
    holds &= _holds(found[f"{q_name}.weight"], by_query.flatten()).view_as(by_query).all(1)
    exponents = exponents * _paired(holds.float(), config).eq(1)
    by_query = exponents[:, None].expand(query.shape)
    factors = {q_name: torch.exp2(by_query).flatten(), k_name: torch.exp2(-exponents).flatten()}
    return {name: factors[name.rpartition(".")[0]] for name in ours if name in found}


def _squares(found: Mapping[str, Stored], name: str, config: ModelConfig, layer: str) -> torch.Tensor:
    """The mean squares of queries or keys to be expected, as many as the tensor `name` has rows, or gains."""
    weight = as_floats(found[f"{name}.weight"]).float()
    if config.qk_norm:
        return weight.flatten().square()
    gain = found.get(f"{layer}input_layernorm.weight")  # none where the norms are elsewhere
    if gain is not None:
        weight = weight * (as_floats(gain).float() + NORM_KINDS[config.norm].offset)
    squares = weight.square().sum(1)
    bias = found.get(f"{name}.bias")
    return squares if bias is None else squares + as_floats(bias).float().square()


def _exponents(query: torch.Tensor, key: torch.Tensor, config: ModelConfig) -> torch.Tensor:
    """`[kv_heads, head_dim]` mean squares of both -> whole numbers: keys are divided by two to the power of these."""
    ratio = (_paired(key, config) + _SMALL) / (_paired(query, config) + _SMALL)
    return (ratio.log2() / 4).round().clamp(-_MOST_EXPONENT, _MOST_EXPONENT)


def _paired(numbers: torch.Tensor, config: ModelConfig) -> torch.Tensor:
    """`[kv_heads, head_dim]`, each the mean of the two dimensions that RoPE turns into each other."""
    turning = config.rotary_dim or config.head_dim
    rotary, rest = numbers.split([turning, config.head_dim - turning], dim=1)
    mean = rotary.unflatten(1, (2, -1)).mean(1)
    return torch.cat((mean, mean, rest), dim=1)


def _holds(stored: Stored, exponents: torch.Tensor) -> torch.Tensor:
    """Of each row, bool, whether its factors stay halves where they are; floats hold any power of two."""
    if not isinstance(stored, GroupedCodes):
        return torch.ones_like(exponents, dtype=torch.bool)
    held = torch.ones_like(exponents, dtype=torch.bool)
    for before in stored.row_tensors:
        if before.is_floating_point():
            after = before * torch.exp2(exponents)[:, None]
            held &= ((after.half().float() == after) | (before.half().float() != before)).all(1)
    return held


def _multiplied(stored: Stored, factors: torch.Tensor) -> Stored:
    """Rows, or numbers, times `factors`; floats as fp32."""
    if isinstance(stored, GroupedCodes):
        shifts = None if stored.shifts is None else _scaled(stored.shifts, factors)
        return replace(stored, scales=_scaled(stored.scales, factors), shifts=shifts)
    by_row = factors.view_as(stored) if factors.numel() == stored.numel() else factors[:, None]
    return stored.float() * by_row


def _scaled(numbers: Factors, factors: torch.Tensor) -> Factors:
    if isinstance(numbers, TwoLevel):
        return TwoLevel(numbers.codes, numbers.steps * factors[:, None])
    return numbers * factors[:, None]
