"""Names that a person types for models of the hub, and the parts of a name such as `organisation/name:Q4_K_M`.

Off the token's path: between what was typed and the sources of `sources` or the snapshots of `checkpoint.hub`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pagoda.errors import CheckpointError, nearest

_QWEN2_5_SIZES = ("0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B")
_QWEN2_SIZES = ("0.5B", "1.5B", "7B", "72B")
_QWEN3_SIZES = ("0.6B", "1.7B", "4B", "8B", "14B", "32B")

KNOWN_MODELS: dict[str, str] = {
    "llama2-7b": "meta-llama/Llama-2-7b-hf",
    "llama2-7b-chat": "meta-llama/Llama-2-7b-chat-hf",
    "llama2-13b": "meta-llama/Llama-2-13b-hf",
    "llama2-13b-chat": "meta-llama/Llama-2-13b-chat-hf",
    "llama2-70b": "meta-llama/Llama-2-70b-hf",
    "llama2-70b-chat": "meta-llama/Llama-2-70b-chat-hf",
    "llama3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama3-8b-instruct": "meta-llama/Meta-Llama-3-8B-Instruct",
    "llama3-70b": "meta-llama/Meta-Llama-3-70B",
    "llama3-70b-instruct": "meta-llama/Meta-Llama-3-70B-Instruct",
    "llama3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "llama3.1-70b": "meta-llama/Llama-3.1-70B",
    "llama3.1-70b-instruct": "meta-llama/Llama-3.1-70B-Instruct",
    "llama3.2-1b": "meta-llama/Llama-3.2-1B",
    "llama3.2-1b-instruct": "meta-llama/Llama-3.2-1B-Instruct",
    "llama3.2-3b": "meta-llama/Llama-3.2-3B",
    "llama3.2-3b-instruct": "meta-llama/Llama-3.2-3B-Instruct",
    "llama3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M",
    "smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "smollm2-360m-instruct": "HuggingFaceTB/SmolLM2-360M-Instruct",
    "smollm2-1.7b-instruct": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "gemma-3-1b-it": "google/gemma-3-1b-it",
    "phi-3.5-mini-instruct": "microsoft/Phi-3.5-mini-instruct",
    "phi-4-mini-instruct": "microsoft/Phi-4-mini-instruct",
    "qwen2.5-coder-0.5b-instruct": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    "tinyllama-1.1b-chat": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    **{f"qwen2-{size.lower()}": f"Qwen/Qwen2-{size}" for size in _QWEN2_SIZES},
    **{f"qwen2-{size.lower()}-instruct": f"Qwen/Qwen2-{size}-Instruct" for size in _QWEN2_SIZES},
    **{f"qwen2.5-{size.lower()}": f"Qwen/Qwen2.5-{size}" for size in _QWEN2_5_SIZES},
    **{f"qwen2.5-{size.lower()}-instruct": f"Qwen/Qwen2.5-{size}-Instruct" for size in _QWEN2_5_SIZES},
    **{f"qwen3-{size.lower()}": f"Qwen/Qwen3-{size}" for size in _QWEN3_SIZES},
    **{f"qwen3-embedding-{size.lower()}": f"Qwen/Qwen3-Embedding-{size}" for size in ("0.6B", "4B", "8B")},
    "qwen3-30b-a3b": "Qwen/Qwen3-30B-A3B",
    "qwen3-235b-a22b": "Qwen/Qwen3-235B-A22B",
    "mixtral-8x7b": "mistralai/Mixtral-8x7B-v0.1",
    "mixtral-8x7b-instruct": "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "olmoe-1b-7b": "allenai/OLMoE-1B-7B-0924",
    "olmoe-1b-7b-instruct": "allenai/OLMoE-1B-7B-0924-Instruct",
}
"""Short names and the hub ids that they stand for."""
_HUB_NAME = re.compile(r"(?P<hub_id>[\w-][\w.-]*/[\w.-]+)(?::(?P<tag>[\w.-]+))?")
_FILES = (".bin", ".gguf", ".safetensors")


@dataclass(frozen=True)
class HubName:
    """A repository of the hub, and which of its GGUF files is meant: a quantisation or a file's name."""

    hub_id: str
    tag: str | None = None

    def __str__(self) -> str:
        return self.hub_id if self.tag is None else f"{self.hub_id}:{self.tag}"


def hub_name(name: str | Path) -> HubName:
    """What a short name or a hub id stands for; raises CheckpointError for a name that is neither.

    >>> hub_name("qwen3-0.6b").hub_id, hub_name("unsloth/Qwen3-0.6B-GGUF:q4_k_m").tag
    ('Qwen/Qwen3-0.6B', 'q4_k_m')
    """
    found = _HUB_NAME.fullmatch(KNOWN_MODELS.get(str(name).lower(), str(name)))
    if found is None or (found["tag"] is None and Path(name).suffix.lower() in _FILES):
        if _is_path(str(name)):
            raise CheckpointError(f"there is no {name}: give the path of a directory or a file that exists")
        raise CheckpointError(
            f"no model {str(name)!r}: it is neither an existing path, nor a hub id such as Qwen/Qwen3-0.6B, "
            f"nor a short name; {nearest(str(name).lower(), KNOWN_MODELS)}"
        )
    return HubName(found["hub_id"], found["tag"])


def _is_path(name: str) -> bool:
    """Whether it can only be meant as one."""
    return name.startswith(("/", "./", "../", "~")) or Path(name).suffix.lower() in _FILES
