"""Llama, Mistral and Qwen with each of their switches, and every kind of RoPE: configurations for tests of parity."""

from __future__ import annotations

from typing import Any

from tiny_models import Case

HALF = 8  # frequencies of a head of 16
ORIGINAL = {"original_max_position_embeddings": 32}


def rope(rope_type: str, **parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 10000.0, **parameters}}


def _without_factor(settings: dict[str, Any]) -> dict[str, Any]:
    return {"rope_parameters": {k: v for k, v in settings["rope_parameters"].items() if k != "factor"}}


LONGROPE = rope(
    "longrope",
    factor=4.0,
    short_factor=[1.0 + 0.05 * i for i in range(HALF)],
    long_factor=[1.5 + 0.5 * i for i in range(HALF)],
    **ORIGINAL,
)
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, **ORIGINAL)
SLIDING_QWEN = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}

CASES = {
    "llama": Case(),
    "multi-head": Case(settings={"num_key_value_heads": 4}),
    "multi-query": Case(settings={"num_key_value_heads": 1}),
    "tied embeddings": Case(settings={"tie_word_embeddings": True}),
    "attention bias": Case(settings={"attention_bias": True}),
    "mlp bias": Case(settings={"mlp_bias": True}),
    "head_dim 24": Case(settings={"head_dim": 24}),
    "head_dim 10, 6 heads, 3 kv heads": Case(
        settings={"head_dim": 10, "num_attention_heads": 6, "num_key_value_heads": 3, "hidden_size": 54}
    ),
    "rms_norm_eps 1e-3": Case(settings={"rms_norm_eps": 1e-3}),
    "rope_theta 500000": Case(settings={"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    "mistral with a window": Case("Mistral", {"sliding_window": 8}),
    "mistral with a window of one": Case("Mistral", {"sliding_window": 1}),
    "mistral with a window of two": Case("Mistral", {"sliding_window": 2}),
    "mistral without a window": Case("Mistral", {"sliding_window": None}),
    "mistral, own head_dim": Case("Mistral", {"sliding_window": 16, "head_dim": 24}),
    "qwen2": Case("Qwen2"),
    "qwen2, tied": Case("Qwen2", {"tie_word_embeddings": True}),
    "qwen2, windows above layer 1": Case("Qwen2", SLIDING_QWEN),
    "qwen3": Case("Qwen3", {"head_dim": 16}),
    "qwen3, own head_dim": Case("Qwen3", {"head_dim": 24, "tie_word_embeddings": True}),
    "qwen3 with attention bias": Case("Qwen3", {"head_dim": 16, "attention_bias": True}),
    "qwen3, windows above layer 1": Case("Qwen3", {"head_dim": 16, **SLIDING_QWEN}),
    "linear": Case(settings=rope("linear", factor=2.0)),
    "dynamic, within": Case(settings=rope("dynamic", factor=2.0)),
    "dynamic, beyond": Case(settings=rope("dynamic", factor=2.0), num_tokens=100),
    "yarn": Case(settings=rope("yarn", factor=2.0, **ORIGINAL), num_tokens=60),
    "yarn, mscale": Case(settings=rope("yarn", factor=2.0, mscale=1.2, mscale_all_dim=0.8, **ORIGINAL)),
    "yarn, attention_factor": Case(settings=rope("yarn", factor=2.0, attention_factor=1.3, **ORIGINAL)),
    "yarn, betas": Case(settings=rope("yarn", factor=4.0, beta_fast=1.0, beta_slow=0.1, **ORIGINAL)),
    "yarn, not truncated": Case(settings=rope("yarn", factor=2.0, truncate=False, **ORIGINAL)),
    "llama3": Case(settings=LLAMA3, num_tokens=60),
    "longrope, short factors": Case(settings=LONGROPE, num_tokens=32),
    "longrope, long factors": Case(settings=LONGROPE, num_tokens=33),
    "longrope, factor from the lengths": Case(settings=_without_factor(LONGROPE)),
    "yarn, factor from the lengths": Case(settings=rope("yarn", factor=None, **ORIGINAL)),
    "qwen2 with yarn": Case("Qwen2", rope("yarn", factor=4.0, **ORIGINAL)),
    "mistral with linear": Case("Mistral", {**rope("linear", factor=4.0), "sliding_window": 16}),
}
