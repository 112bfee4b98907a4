"""Families with a squared ReLU and no gate, and those with LayerNorm: Nemotron-4, Arcee and StableLM.

Nemotron-4 is arXiv 2402.16819, StableLM 2 is 2402.17834.
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family
from pagoda.models.families.weight_names import WeightNames


def _arcee(_: Facts) -> dict[str, Any]:
    return {"mlp_gated": False}


def _nemotron(_: Facts) -> dict[str, Any]:
    return {"mlp_gated": False, "norm": "layer_norm_1p"}


def _stablelm(facts: Facts) -> dict[str, Any]:
    return {
        "norm": "layer_norm",
        "norm_placement": "parallel" if facts.get("use_parallel_residual") else "pre",
        "attention_output_bias": False,
        "mlp_bias": False,
        "qk_norm": bool(facts.get("qk_layernorm")),
        "qk_norm_span": "per_head",
    }


ARCEE = Family(
    "ArceeForCausalLM",
    "arcee",
    differs="squared ReLU without a gate",
    defaults={"hidden_act": "relu2", "max_position_embeddings": 4096, "rms_norm_eps": 1e-5},
    switches=_arcee,
)
NEMOTRON = Family(
    "NemotronForCausalLM",
    "nemotron",
    differs="squared ReLU without a gate; LayerNorm with gain 1 + weight; half of each head rotates",
    defaults={
        "hidden_act": "relu2",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "partial_rotary_factor": 0.5,
        "initializer_range": 0.0134,
    },
    aliases={"norm_eps": "rms_norm_eps"},
    computes=frozenset({"partial_rotary_factor"}),
    switches=_nemotron,
)
STABLELM = Family(
    "StableLmForCausalLM",
    "stablelm",
    differs="LayerNorm; a quarter of each head rotates; attention and MLP side by side, biases on q, k and v, and "
    "norms on each head of q and k where the config says so",
    defaults={"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "partial_rotary_factor": 0.25},
    aliases={"layer_norm_eps": "rms_norm_eps", "use_qkv_bias": "attention_bias"},
    computes=frozenset({"partial_rotary_factor", "use_parallel_residual", "qk_layernorm"}),
    switches=_stablelm,
    weights=WeightNames(
        per_head={
            "self_attn.q_norm": "self_attn.q_layernorm.norms.{}",
            "self_attn.k_norm": "self_attn.k_layernorm.norms.{}",
        }
    ),
)
