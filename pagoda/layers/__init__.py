"""Layers by themselves, for networks of one's own: `from pagoda.layers import RotaryEmbedding`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagoda.layers.norm import AdaptiveRMSNorm as AdaptiveRMSNorm
    from pagoda.layers.norm import LayerNorm as LayerNorm
    from pagoda.layers.norm import PartialRMSNorm as PartialRMSNorm
    from pagoda.layers.norm import RMSNorm as RMSNorm
    from pagoda.layers.norm import ScheduledRMSNorm as ScheduledRMSNorm
    from pagoda.layers.norm import make_norm as make_norm
    from pagoda.layers.norm_kinds import NORM_KINDS as NORM_KINDS
    from pagoda.layers.rope_axes import ROPE_LAYOUTS as ROPE_LAYOUTS
    from pagoda.layers.rope_scaling import ROPE_KINDS as ROPE_KINDS
    from pagoda.layers.rope_scaling import Rope as Rope
    from pagoda.layers.rotary import RotaryEmbedding as RotaryEmbedding

_HOMES = {
    **dict.fromkeys(
        ("AdaptiveRMSNorm", "LayerNorm", "PartialRMSNorm", "RMSNorm", "ScheduledRMSNorm", "make_norm"),
        "pagoda.layers.norm",
    ),
    "NORM_KINDS": "pagoda.layers.norm_kinds",
    "ROPE_KINDS": "pagoda.layers.rope_scaling",
    "ROPE_LAYOUTS": "pagoda.layers.rope_axes",
    "Rope": "pagoda.layers.rope_scaling",
    "RotaryEmbedding": "pagoda.layers.rotary",
}
__all__ = [
    "NORM_KINDS",
    "ROPE_KINDS",
    "ROPE_LAYOUTS",
    "AdaptiveRMSNorm",
    "LayerNorm",
    "PartialRMSNorm",
    "RMSNorm",
    "Rope",
    "RotaryEmbedding",
    "ScheduledRMSNorm",
    "make_norm",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.layers' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
