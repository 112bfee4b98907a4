"""A mixed plan that keeps what it was asked for: chosen by measured costs, carried out, measured, and refused if worse.

Beside the token's path, above `job`. Costs of single matrices do not quite add up, and GPTQ makes all of them less; so
under a bound on the divergence the plan is carried out, and where the sum was wrong, chosen again with what was
learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.models.config import ModelConfig
from pagoda.models.quantise.job import Outcome
from pagoda.models.quantise.layerwise import Plan
from pagoda.models.quantise.plans import Costs, expected, mixed_plan, plan_within, size_of

_ROUNDS = 3
_MARGIN = 0.9
"""Of the bound, what is aimed at: the next round would cost as much as the first."""
CarryOut = Callable[[Plan], Outcome]


@dataclass(frozen=True)
class Bounds:
    """What a plan may be at most; None sets no bound. target_bits: on average over all weights; max_kl: in nats."""

    target_bits: float | None = None
    max_kl: float | None = None


def searched(config: ModelConfig, costs: Costs, bounds: Bounds, carry_out: CarryOut) -> Outcome:
    """The outcome of a mixed plan within `bounds`, one of which is set. Raises ConfigError where there is none."""
    if bounds.target_bits is not None:
        outcome = carry_out(mixed_plan(config, costs, target_bits=bounds.target_bits))
        return checked(config, outcome, bounds)
    assert bounds.max_kl is not None
    ratio = 1.0  # of what is measured to what was expected
    for round_number in range(_ROUNDS):
        plan = plan_within(config, costs, max_kl=_MARGIN * bounds.max_kl / ratio)
        outcome = carry_out(plan)
        measured = outcome.worst_kl
        assert measured is not None, "a bound on the divergence wants texts to measure"
        last = round_number == _ROUNDS - 1
        if measured <= bounds.max_kl and (last or measured > 0.5 * bounds.max_kl or round_number > 0):
            return outcome
        ratio = max(measured / max(expected(costs, plan), 1e-30), 1e-6)
    return checked(config, outcome, bounds)


def checked(config: ModelConfig, outcome: Outcome, bounds: Bounds) -> Outcome:
    """`outcome`, where it is within `bounds`. Raises ConfigError with both figures where it is not."""
    kl, bits = outcome.worst_kl, size_of(config, outcome.plan).bits_per_weight
    if bounds.max_kl is not None and kl is not None and kl > bounds.max_kl:
        raise ConfigError(
            f"the plan of {bits:.2f} bits a weight has a KL of {kl:.4f}, but max_kl={bounds.max_kl:g}: nothing is "
            f"written; allow more bits, or a larger KL"
        )
    if bounds.target_bits is not None and bits > bounds.target_bits:
        raise ConfigError(
            f"the plan has {bits:.2f} bits a weight, but target_bits={bounds.target_bits:g}: nothing is written; allow "
            f"more, or take --to mixed"
        )
    return outcome
