"""What `config.json` says about experts and heads: counted as their makers count, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import CheckpointError, UnknownArchitectureError
from pagoda.models.config import ModelConfig
from pagoda.models.families.table import FAMILIES

_QWEN = {"hidden_act": "silu", "rms_norm_eps": 1e-6, "vocab_size": 151936, "tie_word_embeddings": False}
PUBLISHED: dict[str, tuple[dict[str, Any], float, float]] = {
    "Mixtral-8x7B-v0.1": (
        {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_act": "silu", "hidden_size": 4096,
         "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
         "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8,
         "output_router_logits": False, "rms_norm_eps": 1e-5, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02,
         "sliding_window": None, "tie_word_embeddings": False, "vocab_size": 32000},
        46.70e9, 12.88e9,
    ),
    "Qwen3-30B-A3B": (
        {**_QWEN, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "attention_bias": False,
         "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144,
         "max_position_embeddings": 40960, "max_window_layers": 48, "mlp_only_layers": [], "moe_intermediate_size": 768,
         "norm_topk_prob": True, "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8,
         "num_hidden_layers": 48, "num_key_value_heads": 4, "rope_scaling": None, "rope_theta": 1000000.0,
         "router_aux_loss_coef": 0.001, "sliding_window": None, "use_sliding_window": False},
        30.53e9, 3.35e9,
    ),
    "Qwen1.5-MoE-A2.7B": (
        {**_QWEN, "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "decoder_sparse_step": 1,
         "hidden_size": 2048, "intermediate_size": 5632, "max_position_embeddings": 8192, "max_window_layers": 21,
         "moe_intermediate_size": 1408, "norm_topk_prob": False, "num_attention_heads": 16, "num_experts": 60,
         "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 16, "rope_theta": 1000000.0,
         "shared_expert_intermediate_size": 5632, "sliding_window": 32768, "use_sliding_window": False},
        14.32e9, 2.69e9,
    ),
    "OLMoE-1B-7B": (
        {"architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", "clip_qkv": None, "hidden_act": "silu",
         "hidden_size": 2048, "intermediate_size": 1024, "max_position_embeddings": 4096, "norm_topk_prob": False,
         "num_attention_heads": 16, "num_experts": 64, "num_experts_per_tok": 8, "num_hidden_layers": 16,
         "num_key_value_heads": 16, "rope_theta": 10000.0, "vocab_size": 50304},
        6.92e9, 1.28e9,
    ),
}  # fmt: skip
"""Name -> config.json, and how many parameters its makers say that it has and that a token goes through."""
SMALL: dict[str, Any] = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_counted_as_makers_count_them(name: str) -> None:
    raw, num_parameters, num_active = PUBLISHED[name]
    config = ModelConfig.from_dict(raw)
    assert config.num_parameters == pytest.approx(num_parameters, rel=2e-3)
    assert config.num_active_parameters == pytest.approx(num_active, rel=5e-3)
    assert config.weight_bytes(2) == 2 * config.num_parameters


@pytest.mark.parametrize(
    ("said", "sparse"),
    [
        ({}, (True, True, True, True)),
        ({"decoder_sparse_step": 2}, (False, True, False, True)),
        ({"decoder_sparse_step": 3}, (False, False, True, False)),
        ({"mlp_only_layers": [0, 3]}, (False, True, True, False)),
        ({"mlp_only_layers": [1], "decoder_sparse_step": 2}, (False, False, False, True)),
        ({"mlp_only_layers": None}, (True, True, True, True)),
        ({"mlp_only_layers": [0, 1, 2, 3]}, None),
        ({"num_experts": 0}, None),
    ],
)
def test_the_layers_that_have_experts_are_those_that_the_config_says(
    said: dict[str, Any], sparse: tuple[bool, ...] | None
) -> None:
    config = ModelConfig.from_dict({**SMALL, **said})
    assert (None if config.experts is None else config.experts.sparse_layers) == sparse


def test_a_shared_expert_without_a_width_is_none() -> None:
    raw = {**SMALL, "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe"}
    for width, expected in ((0, None), (None, None), (48, 48)):
        config = ModelConfig.from_dict({**raw, "shared_expert_intermediate_size": width})
        assert config.experts is not None
        assert config.experts.shared_intermediate_size == expected


@pytest.mark.parametrize("key", ["num_experts", "num_local_experts"])
def test_both_names_for_the_number_of_experts_are_read(key: str) -> None:
    raw = {name: value for name, value in SMALL.items() if name != "num_experts"}
    config = ModelConfig.from_dict({**raw, key: 5})
    assert config.experts is not None
    assert config.experts.num_experts == 5


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"num_experts_per_tok": 9}, "num_experts_per_tok=9 of 8"),
        ({"num_experts_per_tok": 0}, "num_experts_per_tok=0"),
        ({"num_experts": "8"}, "num_experts='8'"),
        ({"moe_intermediate_size": 1.5}, r"moe_intermediate_size=1\.5"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step=0"),
        ({"mlp_only_layers": "0"}, "mlp_only_layers='0'"),
        ({"norm_topk_prob": 1}, "norm_topk_prob=1"),
        ({"architectures": ["OlmoeForCausalLM"], "clip_qkv": 8.0, "moe_intermediate_size": None}, r"clip_qkv=8\.0"),
        ({"architectures": ["MixtralForCausalLM"], "mlp_only_layers": [0]}, r"mlp_only_layers=\[0\]"),
        ({"n_routed_experts": 64}, "n_routed_experts=64"),
    ],
)
def test_what_is_not_computed_or_contradicts_itself_is_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        ModelConfig.from_dict({**SMALL, **said})


@pytest.mark.parametrize("name", ["GptOssForCausalLM", "DeepseekV3ForCausalLM", "PhimoeForCausalLM", "DbrxForCausalLM"])
def test_other_mixtures_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownArchitectureError, match=name):
        ModelConfig.from_dict({**SMALL, "architectures": [name]})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_every_family_has_a_network_without_a_head(family: Any) -> None:
    experts = {"num_experts": 4, "num_experts_per_tok": 2} if "num_experts" in family.defaults else {}
    raw = {key: value for key, value in SMALL.items() if "exp" not in key and not key.startswith("moe")}
    own = {"norm": "rms_norm", "norm_placement": "pre"} if family.model_type == "pagoda" else {}
    raw |= {**experts, **own, "max_position_embeddings": 64}
    whole = ModelConfig.from_dict({**raw, "architectures": [family.architecture], "model_type": family.model_type})
    base = ModelConfig.from_dict({**raw, "architectures": [family.base_architecture], "model_type": family.model_type})
    assert (whole.has_head, base.has_head) == (True, False)
    assert base.architecture == family.base_architecture
    head = 0 if whole.tie_word_embeddings else 320 * 64
    assert whole.num_parameters - base.num_parameters == head


def test_a_checkpoint_that_says_it_is_an_embedder_has_no_head(tmp_path: Path) -> None:
    raw = {**SMALL, "architectures": ["Qwen3ForCausalLM"], "num_experts": 0, "moe_intermediate_size": None}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert ModelConfig.from_directory(tmp_path).has_head
    (tmp_path / "modules.json").write_text("[]")
    assert not ModelConfig.from_directory(tmp_path).has_head
