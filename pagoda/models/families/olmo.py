"""OLMo 1, 2 and 3 (arXiv 2402.00838, 2501.00656): norms without weights, then norms behind the blocks."""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family
from pagoda.models.families.weight_names import WeightNames
from pagoda.models.families.windows import every_nth_is_full

BEHIND = WeightNames(
    renamed={
        "post_self_attn_layernorm": "post_attention_layernorm",
        "post_mlp_layernorm": "post_feedforward_layernorm",
    }
)


def _olmo(facts: Facts) -> dict[str, Any]:
    # No config.json names the eps of these norms: it is torch's.
    return {"norm": "layer_norm_plain", "rms_norm_eps": 1e-5, "clip_qkv": facts.get("clip_qkv")}


def _olmo2(_: Facts) -> dict[str, Any]:
    return {"norm": "rms_norm_wide", "norm_placement": "post", "qk_norm": True, "qk_norm_span": "width"}


OLMO = Family(
    "OlmoForCausalLM",
    "olmo",
    differs="LayerNorm without weights; q, k and v clipped where the config says so",
    computes=frozenset({"clip_qkv"}),
    switches=_olmo,
)
OLMO2 = Family(
    "Olmo2ForCausalLM",
    "olmo2",
    differs="norms behind the blocks; RMSNorm over all heads of q, and of k, as one row",
    defaults={"rms_norm_eps": 1e-5},
    switches=_olmo2,
    weights=BEHIND,
)
OLMO3 = Family(
    "Olmo3ForCausalLM",
    "olmo3",
    differs="as OLMo 2; three of four layers slide, and RoPE is scaled on the fourth alone",
    defaults={"rms_norm_eps": 1e-5, "rope_theta": 500000.0, "sliding_window": 4096},
    switches=_olmo2,
    windows=every_nth_is_full(4),
    rope_by_layer=True,
    weights=BEHIND,
)
