"""Which matrix gets how many bits: uniform plans, and mixed ones chosen by what each matrix costs.

Beside the token's path, before a pass. A mixed plan minimises the sum of what its matrices cost under a budget of
bytes: with a price for a byte, each matrix chooses for itself, and the price rises until the budget holds (Lagrange
multipliers for discrete choices, Everett 1963). What a matrix costs is measured (`sensitivity`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.models.config import ModelConfig
from pagoda.models.quantise.scheme import INT8, Scheme

HEAD = "lm_head"
_FLOAT_BYTES = 2


def matrices_of_config(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """(in_features, out_features) of every matrix that is quantised, by its module's name, the head among them."""
    return {**config.named_matrices, HEAD: (config.hidden_size, config.vocab_size)}


def uniform_plan(config: ModelConfig, scheme: Scheme, head: Scheme = INT8) -> dict[str, Scheme]:
    """`scheme` for every matrix and `head` for the output head, which is the embedding where they are tied."""
    matrices = matrices_of_config(config)
    return {name: (head if name == HEAD else scheme).fitted(inputs) for name, (inputs, _) in matrices.items()}


@dataclass(frozen=True)
class Size:
    """Bytes of a model under a plan: all its weights, the embedding once where it is the head, floats in 16 bits."""

    num_bytes: int
    num_parameters: int

    @property
    def bits_per_weight(self) -> float:
        """On average over every weight of the model."""
        return 8 * self.num_bytes / self.num_parameters


def size_of(config: ModelConfig, plan: Mapping[str, Scheme], *, packed_head: bool = True) -> Size:
    """Exact, as they are written: packed codes, scales and zero points.

    packed_head: whether the head is written in its codes; otherwise it is floats of 16 bits, of the values of its codes
    """
    matrices = {name: size for name, size in matrices_of_config(config).items() if name in plan}
    if not packed_head:
        matrices.pop(HEAD, None)
    quantised = sum(plan[name].num_bytes(*size) for name, size in matrices.items())
    in_plan = sum(inputs * outputs for inputs, outputs in matrices.values())
    return Size(quantised + (config.num_parameters - in_plan) * _FLOAT_BYTES, config.num_parameters)


Costs = Mapping[str, Mapping[Scheme, float]]
"""By matrix and scheme, the divergence that it is expected to add."""


def mixed_plan(config: ModelConfig, costs: Costs, *, target_bits: float) -> dict[str, Scheme]:
    """The least expected divergence at `target_bits` a weight or fewer. Raises ConfigError where none is so small."""

    plans = (_choice(config, costs, price) for price in _prices())
    for plan in plans:
        if (size := size_of(config, plan)).bits_per_weight <= target_bits:
            return _filled(config, costs, plan, target_bits)
    raise ConfigError(
        f"target_bits={target_bits:g}, but the smallest plan has {size.bits_per_weight:.2f} bits a weight: ask for more"
    )


def _filled(config: ModelConfig, costs: Costs, plan: dict[str, Scheme], target_bits: float) -> dict[str, Scheme]:
    """What the price leaves over, since a large matrix changes at one price, to whom it does the most good a byte."""
    spare = int(target_bits * config.num_parameters / 8) - size_of(config, plan).num_bytes
    matrices = matrices_of_config(config)
    better = [
        ((costs[name][plan[name]] - cost) / extra, extra, name, scheme)
        for name, shape in matrices.items()
        for scheme, cost in costs[name].items()
        if cost < costs[name][plan[name]]
        and (extra := scheme.num_bytes(*shape) - plan[name].num_bytes(*shape)) <= spare
        and extra > 0
    ]
    filled = dict(plan)
    for _, extra, name, scheme in sorted(better, key=lambda each: each[0], reverse=True):
        if extra <= spare and filled[name] is plan[name]:
            filled[name] = scheme
            spare -= extra
    return filled


def plan_within(config: ModelConfig, costs: Costs, *, max_kl: float) -> dict[str, Scheme]:
    """The fewest bytes whose expected divergence is `max_kl` or less; the most bits there are where none is."""
    for price in reversed(_prices()):
        plan = _choice(config, costs, price)
        if expected(costs, plan) <= max_kl:
            return plan
    return _choice(config, costs, 0.0)


def expected(costs: Costs, plan: Mapping[str, Scheme]) -> float:
    """The divergence that a plan is expected to cost."""
    return sum(costs[name][scheme] for name, scheme in plan.items())


def _prices() -> list[float]:
    """Of a byte, in divergence, from next to nothing up."""
    return [0.0, *(10 ** (-14 + place * 0.05) for place in range(241)), float("inf")]


def _choice(config: ModelConfig, costs: Costs, price: float) -> dict[str, Scheme]:
    """What each matrix takes for itself where a byte costs `price`; the smallest where that is infinite."""
    plan = {}
    for name, shape in matrices_of_config(config).items():
        if price == float("inf"):
            plan[name] = min(costs[name], key=lambda scheme: (scheme.num_bytes(*shape), costs[name][scheme]))
        else:
            plan[name] = min(costs[name], key=lambda scheme: costs[name][scheme] + price * scheme.num_bytes(*shape))
    return plan
