"""What the market says about each company: `from pagoda.opinions import SentimentModel`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagoda.opinions.sentiment import SentimentModel as SentimentModel
    from pagoda.opinions.watching.monitor import Monitor as Monitor

_HOMES = {"Monitor": "pagoda.opinions.watching.monitor", "SentimentModel": "pagoda.opinions.sentiment"}
__all__ = ["Monitor", "SentimentModel"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.opinions' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
