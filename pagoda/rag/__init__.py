"""Cited answers over documents: `from pagoda.rag import RAG`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagoda.rag.answer import Answer as Answer
    from pagoda.rag.pipeline import RAG as RAG

_HOMES = {"RAG": "pagoda.rag.pipeline", "Answer": "pagoda.rag.answer", "Citation": "pagoda.rag.answer"}
__all__ = ["RAG", "Answer", "Citation"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.rag' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
