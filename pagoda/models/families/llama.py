"""Llama, and the families that are Llama but for a switch or two.

Llama (arXiv 2302.13971, 2307.09288, 2407.21783), Mistral (2310.06825), Qwen 2 and 3 (2407.10671, 2505.09388).
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family
from pagoda.models.families.windows import all_slide, upper_layers_slide

LLAMA = Family("LlamaForCausalLM", "llama", also_named=("LLaMAForCausalLM",))

MISTRAL = Family(
    "MistralForCausalLM",
    "mistral",
    differs="sliding window on every layer",
    defaults={"max_position_embeddings": 131072, "sliding_window": 4096},
    windows=all_slide,
)

MINISTRAL = Family(
    "MinistralForCausalLM",
    "ministral",
    differs="sliding window on the layers that `layer_types` names",
    defaults={"max_position_embeddings": 131072, "sliding_window": 4096},
    windows=all_slide,
)


def _qwen2(_: Facts) -> dict[str, Any]:
    return {"attention_bias": True, "attention_output_bias": False}


QWEN2 = Family(
    "Qwen2ForCausalLM",
    "qwen2",
    differs="biases on q, k and v; windows on the upper layers where the config says so",
    defaults={"max_position_embeddings": 32768, "sliding_window": 4096},
    switches=_qwen2,
    windows=upper_layers_slide,
)


def _qwen3(_: Facts) -> dict[str, Any]:
    return {"qk_norm": True}


QWEN3 = Family(
    "Qwen3ForCausalLM",
    "qwen3",
    differs="RMSNorm on each head of q and k; `head_dim` of its own",
    defaults={"max_position_embeddings": 32768, "sliding_window": 4096, "head_dim": 128},
    switches=_qwen3,
    windows=upper_layers_slide,
)
