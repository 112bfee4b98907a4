"""Gemma 1, 2 and 3 (arXiv 2403.08295, 2408.00118, 2503.19786): scaled embeddings, norms with gain 1 + weight, GEGLU."""

from __future__ import annotations

from typing import Any

from pagoda.errors import CheckpointError
from pagoda.models.families.family import Facts, Family
from pagoda.models.families.weight_names import WeightNames
from pagoda.models.families.windows import every_nth_is_full

_TANH = "gelu_pytorch_tanh"
_DEFAULTS = {
    "head_dim": 256,
    "hidden_act": _TANH,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}
SANDWICH = WeightNames(
    renamed={
        "post_attention_layernorm": "pre_feedforward_layernorm",
        "post_self_attn_layernorm": "post_attention_layernorm",
        "post_mlp_layernorm": "post_feedforward_layernorm",
    }
)


def _common(facts: Facts) -> dict[str, Any]:
    return {"norm": "rms_norm_1p", "embedding_multiplier": facts["hidden_size"] ** 0.5}


def _gemma(facts: Facts) -> dict[str, Any]:
    # The first checkpoints say "gelu", and were trained with the tanh approximation of it.
    said = {_TANH if act == "gelu" else act for act in (facts["hidden_act"], facts.get("hidden_activation")) if act}
    if len(said) > 1:
        raise CheckpointError(
            f"config.json has hidden_act={facts['hidden_act']!r} and hidden_activation={facts['hidden_activation']!r}, "
            f"of which programs read one or the other: keep the one that the model was trained with under both names"
        )
    return {**_common(facts), "hidden_act": said.pop() if said else _TANH}


def _sandwiched(facts: Facts) -> dict[str, Any]:
    return {
        **_common(facts),
        "norm_placement": "sandwich",
        "attention_scale": facts["query_pre_attn_scalar"] ** -0.5,
        "final_logit_softcapping": facts.get("final_logit_softcapping"),
    }


def _gemma2(facts: Facts) -> dict[str, Any]:
    return {**_sandwiched(facts), "attn_logit_softcapping": facts["attn_logit_softcapping"]}


def _gemma3(facts: Facts) -> dict[str, Any]:
    return {**_sandwiched(facts), "qk_norm": True}


GEMMA = Family(
    "GemmaForCausalLM",
    "gemma",
    differs="embeddings times the root of `hidden_size`; RMSNorm with gain 1 + weight; GELU; tied",
    defaults=_DEFAULTS,
    computes=frozenset({"hidden_activation"}),
    switches=_gemma,
)
GEMMA2 = Family(
    "Gemma2ForCausalLM",
    "gemma2",
    differs="as Gemma; norms before and after each block; bounded scores and logits; every second layer slides",
    defaults={**_DEFAULTS, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    aliases={"hidden_activation": "hidden_act"},
    computes=frozenset({"query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"}),
    switches=_gemma2,
    windows=every_nth_is_full(2),
    weights=SANDWICH,
)
GEMMA3 = Family(
    "Gemma3ForCausalLM",
    "gemma3_text",
    base_named="Gemma3TextModel",
    differs="as Gemma 2, scores without a bound; norms on q and k; five of six layers slide, with their own RoPE",
    defaults={
        **_DEFAULTS,
        "max_position_embeddings": 131072,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
    },
    aliases={"hidden_activation": "hidden_act"},
    computes=frozenset({"query_pre_attn_scalar", "final_logit_softcapping", "sliding_window_pattern"}),
    switches=_gemma3,
    windows=every_nth_is_full(6, key="sliding_window_pattern"),
    rope_by_layer=True,
    weights=SANDWICH,
)
