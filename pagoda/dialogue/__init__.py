"""Task dialogue over a graph: `from pagoda.dialogue import DialogueAgent`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagoda.dialogue.agent import DialogueAgent as DialogueAgent
    from pagoda.dialogue.domain.domain import Domain as Domain
    from pagoda.dialogue.settings import AgentSettings as AgentSettings
    from pagoda.dialogue.turn.turn import Turn as Turn
    from pagoda.graph.graph import Graph as Graph
    from pagoda.nlu.fast_understanding import FastUnderstanding as FastUnderstanding

_HOMES = {
    "AgentSettings": "pagoda.dialogue.settings",
    "DialogueAgent": "pagoda.dialogue.agent",
    "Domain": "pagoda.dialogue.domain.domain",
    "FastUnderstanding": "pagoda.nlu.fast_understanding",
    "Graph": "pagoda.graph.graph",
    "Turn": "pagoda.dialogue.turn.turn",
}
__all__ = ["AgentSettings", "DialogueAgent", "Domain", "FastUnderstanding", "Graph", "Turn"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.dialogue' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
