"""One desk over graph, documents and recommender: `from pagoda.service import ServiceDesk`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagoda.service.desk import ServiceDesk as ServiceDesk
    from pagoda.service.settings import ServiceSettings as ServiceSettings

_HOMES = {"ServiceDesk": "pagoda.service.desk", "ServiceSettings": "pagoda.service.settings"}
__all__ = ["ServiceDesk", "ServiceSettings"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.service' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
