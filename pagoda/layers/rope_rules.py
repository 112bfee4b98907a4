"""Rules for the settings of RoPE's kinds: which keys each needs and takes, and what they may hold.

Beside the token's path: asked when a `config.json` is read and when a layer is made by hand. The table of the kinds is
`rope_scaling`; faults are told as the end of a sentence, which whoever asks begins. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pagoda.errors import nearest
from pagoda.layers.rope_scaling import ROPE_KINDS, RopeKind
from pagoda.parameter_rules import MAX_WHOLE, is_number

_EVERYWHERE = ("rope_type", "type", "rope_theta", "partial_rotary_factor")
"""Keys of `rope_scaling` that stand beside every kind's own."""


def scaling_fault(scaling: Mapping[str, Any], num_pairs: int | None = None) -> str | None:
    """What is wrong with `rope_scaling`: an unknown kind, a key that its kind does not read, a value that it cannot.

    num_pairs: of dimensions that rotate, for kinds that have a number for each. None where nothing is wrong.
    """
    rope_type = scaling.get("rope_type", "default")
    if not isinstance(rope_type, str) or rope_type not in ROPE_KINDS:
        return f"the RoPE type {rope_type!r}, which is not known; {nearest(str(rope_type), ROPE_KINDS)}"
    kind = ROPE_KINDS[rope_type]
    missing = [key for key in kind.required if key not in scaling]
    if missing:
        return f"the RoPE type {rope_type!r}, which needs {', '.join(missing)}"
    for key in (*kind.required, *(name for name in kind.optional if scaling.get(name) is not None)):
        if (fault := _value_fault(key, scaling[key], kind.per_pair, num_pairs)) is not None:
            return fault
    return _order_fault(scaling, kind) or _unknown_fault(scaling, kind, rope_type)


def _unknown_fault(scaling: Mapping[str, Any], kind: RopeKind, rope_type: str) -> str | None:
    for key, value in scaling.items():
        if key not in kind.known_keys + _EVERYWHERE:
            known = nearest(key, kind.known_keys or _EVERYWHERE[:3])
            return (
                f"{key}={value!r} in rope_scaling, which pagoda does not know of RoPE type {rope_type!r} ({known}): "
                f"correct it, or take it out where the model does without"
            )
    return None


def _value_fault(key: str, value: Any, per_pair: Collection[str], num_pairs: int | None) -> str | None:
    expected = "a number above 0"
    accepted = _is_above(value, 0) or (is_number(value) and value == 0 and key.startswith("mscale"))
    if key in per_pair:
        expected = f"a list of {num_pairs or 'as many'} numbers above 0, one for each pair of dimensions,"
        accepted = isinstance(value, list | tuple) and all(_is_above(each, 0) for each in value)
        accepted = accepted and len(value) == (num_pairs or len(value))
    elif key == "truncate":
        expected, accepted = "true or false", isinstance(value, bool)
    elif key == "original_max_position_embeddings":
        expected, accepted = "a whole number above 1", _is_above(value, 1) and value == int(value)
    return None if accepted else f"{key}={value!r:.200} in rope_scaling, but {expected} is expected"


def _is_above(value: Any, low: float) -> bool:
    """A number that a tensor takes, and logarithms and products of it."""
    return is_number(value) and low < value <= MAX_WHOLE


def _order_fault(scaling: Mapping[str, Any], kind: RopeKind) -> str | None:
    """Of two bounds the upper must be above the lower, or frequencies between them are divided by zero."""
    if kind.above is None:
        return None
    larger, smaller = kind.above
    if scaling.get(larger) is None or scaling.get(smaller) is None or scaling[larger] > scaling[smaller]:
        return None
    return (
        f"{larger}={scaling[larger]!r} and {smaller}={scaling[smaller]!r} in rope_scaling, but the first must be above "
        f"the second: take both from where the model was published"
    )
