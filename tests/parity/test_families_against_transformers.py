"""Every other family against transformers, on tiny random checkpoints in fp32: its switches, one by one.

transformers writes the checkpoint and our loader reads it, fused and renamed tensors included. What transformers has no
class for is built as the Llama that it comes to, and written as that family stores it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tiny_models import TOLERANCE, Case, greedy, load, logits, token_ids_of

HEAD = {"head_dim": 16}
LOCAL = {"sliding_window": 8}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.05 * index for index in range(8)],
    "long_factor": [1.5 + 0.5 * index for index in range(8)],
    "original_max_position_embeddings": 32,
}
PARTIAL_LONGROPE = {
    **LONGROPE,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
    "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    "partial_rotary_factor": 0.75,
}
_KEYS = ("short_factor", "long_factor")
_PHI_LONG = {"original_max_position_embeddings": 32}
_GRANITE = {
    "embedding_multiplier": 6.0,
    "residual_multiplier": 0.22,
    "attention_multiplier": 0.1,
    "logits_scaling": 0.5,
}

EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
SHARED = {"shared_expert_intermediate_size": 56}

CASES: dict[str, tuple[Case, ...]] = {
    "phi3": (
        Case("Phi3"),
        Case("Phi3", {**LOCAL, "num_key_value_heads": 4}),
        Case("Phi3", {"partial_rotary_factor": 0.75, "tie_word_embeddings": True}),
        Case("Phi3", {"rope_parameters": LONGROPE, **_PHI_LONG}, num_tokens=32),
        Case("Phi3", {"rope_parameters": LONGROPE, **_PHI_LONG}, num_tokens=50),
        Case("Phi3", {"rope_parameters": PARTIAL_LONGROPE, **_PHI_LONG}, num_tokens=50),
    ),
    "gemma": (
        Case("Gemma", HEAD),
        Case("Gemma", {"head_dim": 24, "num_key_value_heads": 1, "attention_bias": True}),
        Case("Gemma", {**HEAD, "hidden_act": "gelu", "tie_word_embeddings": False}),
    ),
    "gemma2": (
        Case("Gemma2", {**HEAD, **LOCAL}),
        Case("Gemma2", {**HEAD, **LOCAL, "query_pre_attn_scalar": 7, "attn_logit_softcapping": 2.0}),
        Case("Gemma2", {**HEAD, **LOCAL, "final_logit_softcapping": None, "attn_logit_softcapping": None}),
        Case("Gemma2", {**HEAD, "sliding_window": 4096, "final_logit_softcapping": 1.5}),
        Case("Gemma2", {**HEAD, **LOCAL, "layer_types": ["full_attention"] * 2 + ["sliding_attention"]}),
    ),
    "gemma3_text": (
        Case("Gemma3", {**HEAD, **LOCAL, "num_hidden_layers": 7}, config_class="Gemma3TextConfig"),
        Case(
            "Gemma3",
            {
                **HEAD,
                **LOCAL,
                "sliding_window_pattern": 2,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                "final_logit_softcapping": 3.0,
                "query_pre_attn_scalar": 11,
            },
            num_tokens=100,
            config_class="Gemma3TextConfig",
        ),
    ),
    "smollm3": (
        Case("SmolLM3", {"num_hidden_layers": 5}),
        Case("SmolLM3", {"no_rope_layers": [0, 1, 0], "attention_bias": True, "mlp_bias": True}),
        Case("SmolLM3", {"no_rope_layer_interval": 2, "use_sliding_window": True, **LOCAL}),
    ),
    "olmo": (Case("Olmo"), Case("Olmo", {"clip_qkv": 0.5, "attention_bias": True, "tie_word_embeddings": True})),
    "olmo2": (
        Case("Olmo2"),
        Case("Olmo2", {"num_key_value_heads": 1, "rms_norm_eps": 1e-3, "attention_bias": True}),
    ),
    "olmo3": (
        Case("Olmo3", {**LOCAL, "num_hidden_layers": 5}),
        Case(
            "Olmo3",
            {
                **LOCAL,
                "num_hidden_layers": 4,
                "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
            },
            num_tokens=60,
        ),
    ),
    "granite": (
        Case("Granite", _GRANITE),
        Case("Granite", {**_GRANITE, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
        Case("Granite"),  # its default scale of scores is 1
    ),
    "glm": (
        Case("Glm", HEAD),
        Case("Glm", {**HEAD, "attention_bias": False, "partial_rotary_factor": 1.0}),
        Case("Glm", {"head_dim": 24, "partial_rotary_factor": 0.25, "rms_norm_eps": 1e-5}),
    ),
    "glm4": (Case("Glm4", HEAD), Case("Glm4", {**HEAD, "attention_bias": False, "tie_word_embeddings": True})),
    "stablelm": (
        Case("StableLm"),
        Case("StableLm", {"use_qkv_bias": True, "partial_rotary_factor": 0.5}),
        Case("StableLm", {"use_parallel_residual": True, "qk_layernorm": True, "layer_norm_eps": 1e-3}),
    ),
    "nemotron": (
        Case("Nemotron"),
        Case("Nemotron", {"head_dim": 24, "attention_bias": True, "mlp_bias": True, "norm_eps": 1e-3}),
        Case("Nemotron", {"hidden_act": "gelu", "partial_rotary_factor": 1.0}),
    ),
    "arcee": (Case("Arcee"), Case("Arcee", {"mlp_bias": True, "attention_bias": True, "hidden_act": "relu"})),
    "seed_oss": (
        Case("SeedOss", HEAD),
        Case("SeedOss", {**HEAD, "attention_bias": False, "attention_out_bias": True, "mlp_bias": True}),
    ),
    "hunyuan_v1_dense": (
        Case("HunYuanDenseV1", HEAD),
        Case("HunYuanDenseV1", {**HEAD, "rope_parameters": {"rope_type": "dynamic", "alpha": 50.0, "factor": 1.0}}),
        Case("HunYuanDenseV1", {"head_dim": 24, "attention_bias": True, "tie_word_embeddings": True}),
    ),
    "exaone": (
        Case(config_class="ExaoneConfig"),
        Case(settings={"tie_word_embeddings": True, "layer_norm_epsilon": 1e-3}, config_class="ExaoneConfig"),
    ),
    "exaone4": (
        Case("Exaone4", {**LOCAL, "num_hidden_layers": 5}),
        Case("Exaone4", {**LOCAL, "sliding_window_pattern": 2}),
        Case("Exaone4", {"sliding_window": None, "layer_types": ["full_attention"] * 3}),
    ),
    "ministral": (
        Case("Ministral", {**HEAD, **LOCAL}),
        Case("Ministral", {**HEAD, **LOCAL, "layer_types": ["full_attention", "sliding_attention", "full_attention"]}),
    ),
    "internlm3": (
        Case(settings=HEAD, config_class="InternLM3Config"),
        Case(settings={**HEAD, "qkv_bias": True, "bias": True}, config_class="InternLM3Config"),
    ),
    "helium": (Case("Helium", HEAD), Case("Helium", {**HEAD, "attention_bias": True, "rms_norm_eps": 1e-3})),
    "cohere": (
        Case("Cohere", {"logit_scale": 0.5}),
        Case("Cohere", {"use_qk_norm": True, "attention_bias": True, "logit_scale": 2.0}),
    ),
    "cohere2": (
        Case("Cohere2", {**LOCAL, "num_hidden_layers": 5, "logit_scale": 0.5}),
        Case("Cohere2", {**LOCAL, "layer_norm_eps": 1e-3, "logit_scale": 2.0}),
    ),
    "mixtral": (
        Case("Mixtral", {"num_local_experts": 4}),
        Case("Mixtral", {**LOCAL, "num_local_experts": 5, "num_experts_per_tok": 3}),
    ),
    "qwen2_moe": (
        Case("Qwen2Moe", {**EXPERTS, **SHARED, "mlp_only_layers": [0]}),
        Case("Qwen2Moe", {**EXPERTS, **SHARED, "qkv_bias": False, "norm_topk_prob": True}),
        Case("Qwen2Moe", {**EXPERTS, **SHARED, **LOCAL, "use_sliding_window": True, "max_window_layers": 2}),
    ),
    "qwen3_moe": (
        Case("Qwen3Moe", {**EXPERTS, **HEAD, "norm_topk_prob": True}),
        Case("Qwen3Moe", {**EXPERTS, **HEAD, "decoder_sparse_step": 2, "attention_bias": True}),
        Case("Qwen3Moe", {**EXPERTS, "head_dim": 24, "mlp_only_layers": [1], "tie_word_embeddings": True}),
        Case("Qwen3Moe", {**EXPERTS, **HEAD, **LOCAL, "use_sliding_window": True, "num_experts_per_tok": 1}),
    ),
    "olmoe": (
        Case("Olmoe", {"num_experts": 4, "num_experts_per_tok": 2}),
        Case("Olmoe", {"num_experts": 7, "num_experts_per_tok": 3, "norm_topk_prob": True, "attention_bias": True}),
    ),
    "granitemoe": (
        Case("GraniteMoe", {**_GRANITE, "num_local_experts": 4}),
        Case("GraniteMoe", {"num_local_experts": 6, "num_experts_per_tok": 3, "attention_multiplier": 0.2}),
    ),
}
"""By model_type, the configurations that are tried; the page docs/network.md counts them."""
ALL = [(model_type, index) for model_type, cases in CASES.items() for index in range(len(cases))]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("model_type", "index"), ALL)
def test_logits_and_greedy_text_are_those_of_transformers(model_type: str, index: int, tmp_path: Path) -> None:
    case = CASES[model_type][index]
    theirs = case.build()
    theirs.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == model_type
    token_ids = token_ids_of(case.num_tokens)
    with torch.no_grad():
        expected = theirs(torch.tensor([token_ids])).logits[0]
    ours = load(tmp_path)
    assert expected.abs().max() > 0.5, "logits too small to tell right from wrong"
    torch.testing.assert_close(logits(ours, token_ids), expected, atol=TOLERANCE, rtol=TOLERANCE)
    assert ours.config.num_parameters == sum(parameter.numel() for parameter in ours.parameters())
    prompt = token_ids_of(case.num_tokens - 12, seed=1)
    text = theirs.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0].tolist()
    assert greedy(ours, prompt, 8) == text
