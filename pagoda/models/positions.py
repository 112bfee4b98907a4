"""What `config.json` says about positions: RoPE's base and kind, how much of a head rotates, and on which layers.

First station of loading, under `config`. transformers 4 says it in `rope_theta` and `rope_scaling`, 5 in
`rope_parameters`, some families once for layers of full and once for layers of sliding attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagoda.errors import CheckpointError
from pagoda.layers.rope_scaling import ROPE_KINDS
from pagoda.models.families.family import Facts, Family
from pagoda.models.refusals import check_rope, rope_settings
from pagoda.parameter_rules import is_number

_ORIGINAL = "original_max_position_embeddings"
_BY_LAYER = ("full_attention", "sliding_attention")


def read_positions(facts: Facts, family: Family, head_dim: int) -> dict[str, Any]:
    """The fields of ModelConfig that RoPE sets. Raises CheckpointError."""
    settings = family.adapt_rope(rope_settings(facts), facts)
    if not family.rope_by_layer:
        theta, scaling, rotary_dim = _read(settings, facts["rope_theta"], facts, head_dim)
        return {"rope_theta": theta, "rope_scaling": scaling, "rotary_dim": rotary_dim}
    nested = {kind: settings.pop(kind, None) or {} for kind in _BY_LAYER}
    # What stands beside them was said when there was one RoPE for all, and means the layers of full attention.
    full, sliding = {**nested["full_attention"], **settings}, nested["sliding_attention"]
    theta, scaling, rotary_dim = _read(full, facts["rope_theta"], facts, head_dim)
    local = facts.get("rope_local_base_freq") or facts["rope_theta"]
    sliding_theta, sliding_scaling, _ = _read(sliding, local, facts, head_dim)
    if (sliding_theta, sliding_scaling) == (theta, scaling):
        return {"rope_theta": theta, "rope_scaling": scaling, "rotary_dim": rotary_dim}
    return {
        "rope_theta": theta,
        "rope_scaling": scaling,
        "rotary_dim": rotary_dim,
        "sliding_rope_theta": sliding_theta,
        "sliding_rope_scaling": sliding_scaling,
    }


def _read(
    settings: Mapping[str, Any], default_theta: Any, facts: Facts, head_dim: int
) -> tuple[float, dict[str, Any] | None, int | None]:
    parameters = dict(settings)
    theta = parameters.pop("rope_theta", None) or default_theta
    if not is_number(theta) or theta <= 1:
        raise CheckpointError(
            f"config.json has rope_theta={theta!r}, but a number above 0, and above 1 to rotate slower, is expected"
        )
    share = parameters.pop("partial_rotary_factor", None)
    rotary_dim = _rotary_dim(facts.get("partial_rotary_factor") if share is None else share, head_dim)
    rope_type = parameters.pop("rope_type", None) or "default"
    check_rope({"rope_type": rope_type, **parameters}, (rotary_dim or head_dim) // 2)
    if rope_type == "default":
        return float(theta), None, rotary_dim
    if ROPE_KINDS[rope_type].extends_original:
        # As transformers has it: what stands at the top of config.json goes before what stands beside the kind.
        said = (facts.get(_ORIGINAL), parameters.get(_ORIGINAL), facts["max_position_embeddings"])
        parameters[_ORIGINAL] = next(length for length in said if length)
    return float(theta), {"rope_type": rope_type, **parameters}, rotary_dim


def _rotary_dim(share: Any, head_dim: int) -> int | None:
    """Dimensions of a head that rotate; None for all."""
    if share is None or share == 1:
        return None
    if not is_number(share) or not 0 < share < 1 or int(head_dim * share) % 2 or int(head_dim * share) == 0:
        raise CheckpointError(
            f"config.json has partial_rotary_factor={share!r}, but a share of head_dim={head_dim} in (0, 1] is "
            f"expected that gives an even number of dimensions"
        )
    return int(head_dim * share)
