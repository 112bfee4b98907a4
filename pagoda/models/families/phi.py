"""Phi-3 and Phi-4 (arXiv 2404.14219, 2412.08905): fused matrices, and LongRoPE on a part of each head."""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family
from pagoda.models.families.weight_names import GATE_UP, QKV, Fused, WeightNames
from pagoda.models.families.windows import all_slide


def _phi3(_: Facts) -> dict[str, Any]:
    return {"attention_bias": False, "attention_output_bias": False, "mlp_bias": False}


def _adapt_rope(settings: dict[str, Any], _: Facts) -> dict[str, Any]:
    """LongRoPE under the names that it had before."""
    return {**settings, "rope_type": "longrope"} if settings.get("rope_type") in ("su", "yarn") else settings


PHI3 = Family(
    "Phi3ForCausalLM",
    "phi3",
    differs="q, k and v in one matrix, gate and up in another; a part of each head rotates where the config says so",
    defaults={"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "original_max_position_embeddings": 4096},
    computes=frozenset({"partial_rotary_factor"}),
    switches=_phi3,
    windows=all_slide,
    adapt_rope=_adapt_rope,
    weights=WeightNames(fused=(Fused("self_attn.qkv_proj", QKV), GATE_UP)),
)
