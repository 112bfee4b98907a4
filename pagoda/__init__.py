"""pagoda: Llama-architecture models on one machine, from the network to the engine that serves it.

The root offers the names a vLLM user imports, loaded on first use: `from pagoda import LLM, SamplingParams`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pagoda.version import __version__

if TYPE_CHECKING:
    from pagoda.engine.args import AsyncEngineArgs as AsyncEngineArgs
    from pagoda.engine.args import EngineArgs as EngineArgs
    from pagoda.engine.async_llm import AsyncLLM as AsyncLLM
    from pagoda.engine.async_llm import AsyncLLMEngine as AsyncLLMEngine
    from pagoda.engine.engine import LLMEngine as LLMEngine
    from pagoda.llm import LLM as LLM
    from pagoda.sampling_params import BeamSearchParams as BeamSearchParams
    from pagoda.sampling_params import GuidedDecodingParams as GuidedDecodingParams
    from pagoda.sampling_params import PoolingParams as PoolingParams
    from pagoda.sampling_params import RequestOutputKind as RequestOutputKind
    from pagoda.sampling_params import SamplingParams as SamplingParams
    from pagoda.sampling_params import StructuredOutputsParams as StructuredOutputsParams

_NAMES = {
    "pagoda.llm": "LLM",
    "pagoda.sampling_params": "SamplingParams PoolingParams BeamSearchParams StructuredOutputsParams "
    "GuidedDecodingParams RequestOutputKind",
    "pagoda.engine.args": "EngineArgs AsyncEngineArgs",
    "pagoda.engine.engine": "LLMEngine",
    "pagoda.engine.async_llm": "AsyncLLM AsyncLLMEngine",
    "pagoda.engine.outputs": "RequestOutput CompletionOutput PoolingOutput PoolingRequestOutput EmbeddingOutput "
    "EmbeddingRequestOutput ScoringOutput ScoringRequestOutput BeamSearchOutput Logprob",
    "pagoda.engine.text.prompt": "PromptType TextPrompt TokensPrompt",
    "pagoda.engine.chat_model": "EngineChatModel",
    "pagoda.chat.openai_client": "OpenAIChatModel",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from pagoda.startup import collector_paused

        with collector_paused():
            return getattr(import_module(_HOMES[name]), name)
    from pagoda.vllm_names import ROOT

    if name in ROOT:
        # An AttributeError would lose its words in `from pagoda import ...`.
        raise ImportError(f"pagoda has no {name}: {ROOT[name]}")
    raise AttributeError(f"module 'pagoda' has no attribute {name!r}")
