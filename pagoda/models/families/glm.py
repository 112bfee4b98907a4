"""Families whose RoPE turns neighbouring pairs: GLM-4 (arXiv 2406.12793), Helium, and Cohere's Command R.

Their rows of q and k are put into halves while they are read, after which the rotation is Llama's.
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family
from pagoda.models.families.weight_names import GATE_UP, WeightNames
from pagoda.models.families.windows import SLIDING, every_nth_is_full

PAIRS = WeightNames(has_neighbouring_pairs=True)
_GLM = WeightNames(fused=(GATE_UP,), has_neighbouring_pairs=True)
_DEFAULTS = {
    "num_key_value_heads": 2,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1.5625e-7,
    "attention_bias": True,
    "partial_rotary_factor": 0.5,
}


def _glm(_: Facts) -> dict[str, Any]:
    return {"attention_output_bias": False, "mlp_bias": False}


def _glm4(facts: Facts) -> dict[str, Any]:
    return {**_glm(facts), "norm_placement": "sandwich"}


def _helium(_: Facts) -> dict[str, Any]:
    return {"norm": "rms_norm_wide", "attention_output_bias": False}


def _cohere(facts: Facts) -> dict[str, Any]:
    return {
        "norm": "layer_norm_no_bias",
        "norm_placement": "parallel",
        "mlp_bias": False,
        "qk_norm": bool(facts.get("use_qk_norm")),
        "qk_norm_span": "per_head",
        "logits_scaling": 1 / facts["logit_scale"],
    }


_cohere2_windows = every_nth_is_full(4, key="sliding_window_pattern")


def _cohere2(facts: Facts) -> dict[str, Any]:
    _, layer_types = _cohere2_windows(facts)
    rotating = tuple(kind == SLIDING for kind in layer_types) or (False,) * facts["num_hidden_layers"]
    return {**_cohere(facts), "qk_norm": False, "rotating_layers": rotating}


GLM = Family(
    "GlmForCausalLM",
    "glm",
    differs="half of each head rotates, in neighbouring pairs; biases on q, k and v; gate and up in one matrix",
    defaults=_DEFAULTS,
    computes=frozenset({"partial_rotary_factor"}),
    switches=_glm,
    weights=_GLM,
)
GLM4 = Family(
    "Glm4ForCausalLM",
    "glm4",
    differs="as GLM; norms before and after each block",
    defaults=_DEFAULTS,
    computes=frozenset({"partial_rotary_factor"}),
    switches=_glm4,
    weights=_GLM,
)
HELIUM = Family(
    "HeliumForCausalLM",
    "helium",
    differs="RoPE in neighbouring pairs",
    defaults={"head_dim": 128, "max_position_embeddings": 4096, "rms_norm_eps": 1e-8, "rope_theta": 100000.0},
    switches=_helium,
    weights=PAIRS,
)
_COMMAND = {
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "logit_scale": 0.0625,
}
COHERE = Family(
    "CohereForCausalLM",
    "cohere",
    differs="LayerNorm without a shift; attention and MLP side by side; scaled logits; RoPE in neighbouring pairs; "
    "norms on q and k where the config says so",
    defaults=_COMMAND,
    aliases={"layer_norm_eps": "rms_norm_eps"},
    computes=frozenset({"logit_scale", "use_qk_norm"}),
    switches=_cohere,
    weights=PAIRS,
)
COHERE2 = Family(
    "Cohere2ForCausalLM",
    "cohere2",
    differs="as Cohere; three of four layers slide, and the fourth has no RoPE",
    defaults={**_COMMAND, "rope_theta": 10000.0, "sliding_window": 4096},
    aliases={"layer_norm_eps": "rms_norm_eps"},
    computes=frozenset({"logit_scale", "sliding_window_pattern"}),
    switches=_cohere2,
    windows=_cohere2_windows,
    weights=PAIRS,
)
