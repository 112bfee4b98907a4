"""Families that scale what flows between layers: Granite (arXiv 2408.13359) and MiniCPM (2404.06395).

Both come of muP, in which learning rates keep from one width to another (Yang et al. 2022, arXiv 2203.03466).
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family


def _granite(facts: Facts) -> dict[str, Any]:
    multipliers = ("embedding_multiplier", "residual_multiplier", "logits_scaling")
    return {**{key: facts[key] for key in multipliers}, "attention_scale": facts["attention_multiplier"]}


def _minicpm(facts: Facts) -> dict[str, Any]:
    return {
        "embedding_multiplier": facts["scale_emb"],
        "residual_multiplier": facts["scale_depth"] / facts["num_hidden_layers"] ** 0.5,
        "logits_scaling": facts["hidden_size"] / facts["dim_model_base"],
    }


_MULTIPLIERS = ("attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling")
GRANITE = Family(
    "GraniteForCausalLM",
    "granite",
    differs="multipliers on embeddings, scores, what blocks add, and logits",
    defaults=dict.fromkeys(_MULTIPLIERS, 1.0),
    computes=frozenset(_MULTIPLIERS),
    switches=_granite,
)
MINICPM = Family(
    "MiniCPMForCausalLM",
    "minicpm",
    differs="multipliers on embeddings, what blocks add, and logits",
    defaults={"tie_word_embeddings": True, "scale_emb": 1, "scale_depth": 1, "dim_model_base": 1},
    computes=frozenset({"scale_emb", "scale_depth", "dim_model_base"}),
    switches=_minicpm,
)
