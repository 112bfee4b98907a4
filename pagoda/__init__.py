"""pagoda: Llama-architecture models on one machine, from the network to the engine that serves it.

The root offers the names a vLLM user imports, loaded on first use: `from pagoda import LLM, SamplingParams`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pagoda.version import __version__

if TYPE_CHECKING:
    from pagoda.llm import LLM as LLM
    from pagoda.sampling_params import PoolingParams as PoolingParams
    from pagoda.sampling_params import SamplingParams as SamplingParams

_HOMES = {
    "LLM": "pagoda.llm",
    "SamplingParams": "pagoda.sampling_params",
    "PoolingParams": "pagoda.sampling_params",
    "RequestOutput": "pagoda.engine.outputs",
    "CompletionOutput": "pagoda.engine.outputs",
    "EngineChatModel": "pagoda.engine.chat_model",
    "OpenAIChatModel": "pagoda.chat.openai_client",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
