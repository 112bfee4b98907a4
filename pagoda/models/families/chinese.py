"""Families of Chinese laboratories besides Qwen and GLM: InternLM 2 and 3, HunYuan, Baichuan, Seed-OSS.

InternLM 2 is arXiv 2403.17297, Baichuan 2 is 2309.10305.
"""

from __future__ import annotations

from typing import Any

from pagoda.errors import CheckpointError
from pagoda.models.families.family import Facts, Family
from pagoda.models.families.weight_names import QKV, Fused, WeightNames
from pagoda.parameter_rules import is_number

_NORMED_HEAD_VOCABULARY = 125696
"""Of Baichuan 2, whose head has rows of length 1; nothing else in its config.json tells it from Baichuan 1."""


def _internlm2(facts: Facts) -> dict[str, Any]:
    return {"attention_output_bias": bool(facts["attention_bias"]), "mlp_bias": False}


def _internlm3(facts: Facts) -> dict[str, Any]:
    return {"attention_output_bias": bool(facts["mlp_bias"])}


def _hunyuan(_: Facts) -> dict[str, Any]:
    return {"qk_norm": True, "qk_norm_after_rope": True, "mlp_bias": False}


def _hunyuan_rope(settings: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """A "dynamic" RoPE with an alpha is a plain one with a larger base; the other keys beside it say nothing."""
    if settings.get("rope_type") != "dynamic" or not settings.get("alpha"):
        return settings
    if not is_number(settings["alpha"]) or settings["alpha"] <= 0:
        raise CheckpointError(f"config.json has alpha={settings['alpha']!r} of RoPE, but a number above 0 is expected")
    head_dim = facts.get("head_dim") or facts["hidden_size"] // facts["num_attention_heads"]
    theta = settings.get("rope_theta") or facts["rope_theta"]
    return {"rope_type": "default", "rope_theta": theta * settings["alpha"] ** (head_dim / (head_dim - 2))}


def _baichuan(facts: Facts) -> dict[str, Any]:
    if facts["max_position_embeddings"] is None:
        raise CheckpointError(
            "config.json of a Baichuan without max_position_embeddings: the 13B models have ALiBi instead of RoPE, "
            "which pagoda does not compute; take a 7B"
        )
    return {
        "attention_bias": False,
        "attention_output_bias": False,
        "normed_head": facts["vocab_size"] == _NORMED_HEAD_VOCABULARY,
    }


def _seed(facts: Facts) -> dict[str, Any]:
    return {"attention_output_bias": bool(facts.get("attention_out_bias"))}


INTERNLM2 = Family(
    "InternLM2ForCausalLM",
    "internlm2",
    differs="q, k and v in one matrix, KV head by KV head",
    aliases={"bias": "attention_bias"},
    switches=_internlm2,
    weights=WeightNames(
        fused=(Fused("self_attn.wqkv", QKV, by_kv_head=True),),
        renamed={
            "model.embed_tokens": "model.tok_embeddings",
            "lm_head": "output",
            "self_attn.o_proj": "attention.wo",
            "self_attn": "attention",
            "mlp.gate_proj": "feed_forward.w1",
            "mlp.up_proj": "feed_forward.w3",
            "mlp.down_proj": "feed_forward.w2",
            "input_layernorm": "attention_norm",
            "post_attention_layernorm": "ffn_norm",
        },
    ),
)
INTERNLM3 = Family(
    "InternLM3ForCausalLM",
    "internlm3",
    differs="`head_dim` of its own; biases where the config says so",
    defaults={
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5,
    },
    aliases={"qkv_bias": "attention_bias", "bias": "mlp_bias"},
    switches=_internlm3,
)
HUNYUAN = Family(
    "HunYuanDenseV1ForCausalLM",
    "hunyuan_v1_dense",
    differs="norms on q and k behind RoPE; a base of RoPE that grows with `alpha`",
    defaults={"rms_norm_eps": 1e-5},
    switches=_hunyuan,
    adapt_rope=_hunyuan_rope,
    weights=WeightNames(
        renamed={"self_attn.q_norm": "self_attn.query_layernorm", "self_attn.k_norm": "self_attn.key_layernorm"}
    ),
)
BAICHUAN = Family(
    "BaichuanForCausalLM",
    "baichuan",
    differs="7B: q, k and v in one matrix; the second's output head has rows of length 1",
    also_named=("BaiChuanForCausalLM",),
    defaults={"max_position_embeddings": None},
    switches=_baichuan,
    weights=WeightNames(fused=(Fused("self_attn.W_pack", QKV),)),
)
SEED_OSS = Family(
    "SeedOssForCausalLM",
    "seed_oss",
    differs="biases on q, k and v",
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 524288,
        "attention_bias": True,
    },
    computes=frozenset({"attention_out_bias"}),
    switches=_seed,
)
