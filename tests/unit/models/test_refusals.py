"""What config.json says about the computation is honoured or refused by name; what changes nothing passes.

The configurations of the well-known models are those that their makers published.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import CheckpointError, UnknownArchitectureError
from pagoda.kernels.window import AttentionWindow
from pagoda.layers.rope_scaling import ROPE_KINDS
from pagoda.models.coded_weights import CodedWeights
from pagoda.models.config import ModelConfig
from pagoda.models.keys import unknown_keys

SMALL = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
_COMMON = {"hidden_act": "silu", "initializer_range": 0.02, "use_cache": True, "torch_dtype": "bfloat16"}
_LLAMA = {
    **_COMMON,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "transformers_version": "4.45.0.dev0",
}
_LLAMA3 = {
    **_LLAMA,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "num_attention_heads": 32,
    "rope_theta": 500000.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_MISTRAL = {
    **_COMMON,
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_QWEN2_5 = {
    **_COMMON,
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 24,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "transformers_version": "4.40.1",
    "use_mrope": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
_CARD = {"factor": 4.0, "original_max_position_embeddings": 32768}
PUBLISHED: dict[str, tuple[dict[str, Any], float]] = {
    "Llama-2-7b": (
        {**_LLAMA, "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "rope_scaling": None,
         "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16"},
        6.738e9,
    ),
    "Llama-3.1-8B": (
        {**_LLAMA3, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "rope_scaling": {**_LLAMA3_ROPE, "factor": 8.0}, "tie_word_embeddings": False},
        8.030e9,
    ),
    "Llama-3.2-1B": (
        {**_LLAMA3, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "head_dim": 64,
         "rope_scaling": {**_LLAMA3_ROPE, "factor": 32.0}, "tie_word_embeddings": True},
        1.236e9,
    ),
    "Mistral-7B-v0.1": ({**_MISTRAL, "vocab_size": 32000, "rope_theta": 10000.0, "sliding_window": 4096}, 7.242e9),
    "Mistral-7B-v0.3": ({**_MISTRAL, "vocab_size": 32768, "rope_theta": 1e6, "sliding_window": None}, 7.248e9),
    "Qwen2.5-0.5B": (_QWEN2_5, 0.494e9),
    "Qwen2.5-0.5B, saved by transformers 5": (
        {**{k: v for k, v in _QWEN2_5.items() if k not in ("rope_theta", "torch_dtype")}, "dtype": "bfloat16",
         "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "pad_token_id": None,
         "layer_types": ["full_attention"] * 24, "sliding_window": None, "transformers_version": "5.17.0"},
        0.494e9,
    ),
    "Qwen3-0.6B": (
        {**_COMMON, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False,
         "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128,
         "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28,
         "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
         "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None, "tie_word_embeddings": True,
         "transformers_version": "4.51.0", "use_sliding_window": False, "vocab_size": 151936},
        0.596e9,
    ),
    "SmolLM2-135M": (
        {**_COMMON, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False,
         "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 0, "hidden_size": 576,
         "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": True,
         "max_position_embeddings": 8192, "mlp_bias": False, "num_attention_heads": 9, "num_hidden_layers": 30,
         "num_key_value_heads": 3, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_interleaved": False,
         "rope_scaling": None, "rope_theta": 100000, "tie_word_embeddings": True, "vocab_size": 49152,
         "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}}},
        0.1345e9,
    ),
    "TinyLlama-1.1B-Chat-v1.0": (
        {**_LLAMA, "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
         "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048, "rope_scaling": None,
         "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2},
        1.100e9,
    ),
    "Phi-3-mini-4k-instruct": (
        {**_COMMON, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "vocab_size": 32064,
         "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 32, "max_position_embeddings": 4096, "original_max_position_embeddings": 4096,
         "rms_norm_eps": 1e-5, "rope_scaling": None, "rope_theta": 10000.0, "sliding_window": 2047,
         "attention_bias": False, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "bos_token_id": 1, "eos_token_id": 32000,
         "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}, "tie_word_embeddings": False},
        3.821e9,
    ),
    "gemma-2-2b": (
        {"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": 256000, "hidden_size": 2304,
         "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
         "head_dim": 256, "max_position_embeddings": 8192, "sliding_window": 4096, "rms_norm_eps": 1e-6,
         "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "cache_implementation": "hybrid",
         "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
         "rope_theta": 10000.0, "attention_bias": False, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0},
        2.614e9,
    ),
    "gemma-3-1b-it": (
        {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262144,
         "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4,
         "num_key_value_heads": 1, "head_dim": 256, "max_position_embeddings": 32768, "sliding_window": 512,
         "sliding_window_pattern": 6, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 256,
         "attn_logit_softcapping": None, "final_logit_softcapping": None, "rope_local_base_freq": 10000,
         "rope_scaling": None, "rope_theta": 1000000, "rms_norm_eps": 1e-6, "eos_token_id": [1, 106]},
        0.9999e9,
    ),
    "SmolLM3-3B": (
        {**_COMMON, "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "vocab_size": 128256,
         "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
         "num_key_value_heads": 4, "max_position_embeddings": 65536, "max_window_layers": 28, "mlp_bias": False,
         "no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0] * 9, "rope_scaling": None, "rope_theta": 5e6,
         "sliding_window": None, "use_sliding_window": False, "layer_types": ["full_attention"] * 36},
        3.075e9,
    ),
    "OLMo-2-1124-7B": (
        {**_COMMON, "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "vocab_size": 100352,
         "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 500000,
         "rope_scaling": None, "tie_word_embeddings": False, "attention_bias": False},
        7.299e9,
    ),
    "GLM-4-9B-0414": (
        {**_COMMON, "architectures": ["Glm4ForCausalLM"], "model_type": "glm4", "vocab_size": 151552,
         "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 32,
         "num_key_value_heads": 2, "head_dim": 128, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "attention_bias": True, "tie_word_embeddings": False},
        9.400e9,
    ),
    "stablelm-2-1_6b": (
        {**_COMMON, "architectures": ["StableLmForCausalLM"], "model_type": "stablelm", "vocab_size": 100352,
         "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 32,
         "num_key_value_heads": 32, "max_position_embeddings": 4096, "layer_norm_eps": 1e-5, "rope_theta": 10000,
         "partial_rotary_factor": 0.25, "use_qkv_bias": True, "tie_word_embeddings": False},
        1.644e9,
    ),
    "Yarn-Llama-2-7b-128k": (
        {**_LLAMA, "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 131072, "rope_theta": 10000.0,
         "rope_scaling": {"factor": 32.0, "original_max_position_embeddings": 4096, "type": "yarn", "finetuned": True}},
        6.738e9,
    ),
}  # fmt: skip
"""Name -> config.json, and how many parameters its makers say it has."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_configuration_of_a_well_known_model_is_read(name: str) -> None:
    raw, num_parameters = PUBLISHED[name]
    config = ModelConfig.from_dict(raw)
    assert config.num_parameters == pytest.approx(num_parameters, rel=1e-3)
    assert config.weight_bytes(2) == 2 * config.num_parameters


def test_a_key_that_nobody_knows_is_told_once_and_those_of_well_known_models_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for raw, _ in PUBLISHED.values():
        assert unknown_keys(raw, ModelConfig.from_dict(raw).family) == []
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, "value_residual_mix": 0.5, "use_cache": True}))
    ModelConfig.from_directory(tmp_path)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].endswith("has keys that pagoda does not know and leaves out: value_residual_mix")


@pytest.mark.parametrize(
    "harmless",
    [
        {"hidden_act": "swish"},
        {"partial_rotary_factor": 1.0},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1.0}},
        {"attention_multiplier": 0.25, "query_pre_attn_scalar": 16, "logits_scaling": 1.0},
        {"num_experts": 0, "mlp_only_layers": [], "use_qk_norm": False, "quantization_config": None},
        {"layer_types": ["full_attention", "full_attention"], "no_rope_layers": [1, 1]},
        {"attention_dropout": 0.1, "pretraining_tp": 2, "unsloth_version": "2026.1", "bos_token_id": None},
    ],
)
def test_what_changes_nothing_passes(harmless: dict[str, Any]) -> None:
    assert ModelConfig.from_dict({**SMALL, **harmless}) == ModelConfig.from_dict(
        {**SMALL, **{key: value for key, value in harmless.items() if key == "bos_token_id"}}
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"hidden_act": "xielu"}, ["hidden_act='xielu'", "silu", "relu2"]),
        ({"hidden_act": ["silu"]}, ["hidden_act=['silu']"]),
        ({"hidden_activation": "gelu_pytorch_tanh"}, ["hidden_activation='gelu_pytorch_tanh'", "'silu'"]),
        ({"attn_logit_softcapping": 50.0}, ["attn_logit_softcapping=50.0", "null"]),
        ({"final_logit_softcapping": 30.0}, ["final_logit_softcapping=30.0"]),
        ({"partial_rotary_factor": 0.5}, ["partial_rotary_factor=0.5", "1.0"]),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25}}, ["partial_rotary_factor=0.25"]),
        (
            {"partial_rotary_factor": 1.0, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            ["partial_rotary_factor=0.5"],
        ),
        ({"attention_multiplier": 0.0078125}, ["attention_multiplier=0.0078125", "0.25 at head_dim=16"]),
        ({"query_pre_attn_scalar": 144}, ["query_pre_attn_scalar=144", "16 at head_dim=16"]),
        ({"embedding_multiplier": 12.0}, ["embedding_multiplier=12.0"]),
        ({"residual_multiplier": 0.22}, ["residual_multiplier=0.22"]),
        ({"logits_scaling": 8.0}, ["logits_scaling=8.0"]),
        ({"logit_scale": 0.0625}, ["logit_scale=0.0625"]),
        ({"num_experts": 64}, ["num_experts=64"]),
        ({"num_local_experts": 8}, ["num_local_experts=8"]),
        ({"mlp_only_layers": [0]}, ["mlp_only_layers=[0]"]),
        ({"layer_types": ["full_attention", "linear_attention"]}, ["layer_types", "linear_attention"]),
        ({"use_qk_norm": True}, ["use_qk_norm=True", "false for llama"]),
        ({"architectures": ["Qwen3ForCausalLM"], "qk_norm": False}, ["qk_norm=False", "true for qwen3"]),
        ({"clip_qkv": 8.0}, ["clip_qkv=8.0"]),
        ({"no_rope_layers": [1, 0]}, ["no_rope_layers=[1, 0]"]),
        ({"is_causal": False}, ["is_causal=False"]),
        ({"rope_scaling": "yarn"}, ["rope_scaling='yarn'"]),
        ({"rope_scaling": {"type": "linear", "factor": None}}, ["factor=None", "above 0"]),
        ({"rope_scaling": {"type": "dynamic", "factor": "2"}}, ["factor='2'", "above 0"]),
        ({"rope_scaling": {"type": "default", "mrope_section": [16, 24, 24]}}, ["mrope_section", "'default'"]),
        ({"rope_scaling": {"type": "linear", "factor": 2.0, "beta_fast": 3}}, ["beta_fast=3", "'linear'", "factor"]),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_facter": 1.3}},
            ["attention_facter=1.3", 'did you mean "attention_factor"'],
        ),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, ["full_attention", "rope_scaling"]),
        ({"quantization_config": {"quant_method": "hqq", "bits": 4}}, ["quant_method='hqq'", "gptq, awq", "-4bit"]),
        ({"quantization_config": {"bits": 4}}, ["quantization_config", "quantised"]),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, ["compression_config", "compressed-tensors"]),
        ({"quantization": {"group_size": 64, "bits": 4}}, ["a quantization of", "'bits': 4", "quantised"]),
        ({"model_type": "falcon_h1"}, ["'falcon_h1'", "does not implement"]),
        ({"architectures": "DbrxForCausalLM"}, ["'DbrxForCausalLM'"]),
        ({"layer_types": ["full_attention", "sliding_attention"]}, ["sliding_attention", "for llama"]),
        ({"no_rope_layers": 4}, ["no_rope_layers=4"]),
        ({"rope_scaling": {"type": "yarn", "factor": "4.0"}}, ["factor='4.0'", "above 0"]),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": "abc"}, ["rope_theta='abc'"]),
        ({"rope_parameters": {"rope_theta": -5.0}}, ["rope_theta=-5.0", "above 0"]),
        ({"rope_scaling": {"type": "linear", "factor": [2.0, 4.0]}}, ["factor=[2.0, 4.0]", "a number above 0"]),
        ({"rope_scaling": {**_LLAMA3_ROPE, "factor": 8.0, "low_freq_factor": 4.0}}, ["high_freq_factor=4.0", "above"]),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0, "beta_fast": 1, "beta_slow": 32}}, ["beta_fast=1", "above"]),
        ({"rope_scaling": {"type": "yarn", "factor": 0}}, ["factor=0", "above 0"]),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0, "truncate": "no"}}, ["truncate='no'", "true or false"]),
        (
            {"rope_scaling": {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [1.0] * 7}},
            ["long_factor", "a list of 8 numbers"],
        ),
        (
            {"rope_scaling": {"type": "longrope", "short_factor": 1.0, "long_factor": [1.0] * 8}},
            ["short_factor=1.0", "a list of 8 numbers"],
        ),
        (
            {"rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1}},
            ["original_max_position_embeddings=1", "above 1"],
        ),
        ({"rope_scaling": {"type": "linear", "factor": 1 << 70}}, ["factor=1180591620717411303424"]),
        ({"vision_config": {"hidden_size": 32}}, ["vision_config=", "text alone"]),
        ({"num_hidden_layers": 1 << 40}, ["num_hidden_layers=1099511627776", "a whole number in"]),
        ({"eos_token_id": "</s>"}, ["eos_token_id='</s>'", "a token id"]),
        ({"architectures": [3]}, ["architectures=[3]", "a list of names"]),
        ({"num_attention_heads": 0}, ["num_attention_heads=0", "whole number"]),
        ({"hidden_size": "4096"}, ["hidden_size='4096'", "whole number"]),
        ({"num_key_value_heads": 8.0}, ["num_key_value_heads=8.0"]),
        ({"max_position_embeddings": None}, ["max_position_embeddings=None"]),
        ({"sliding_window": -1}, ["sliding_window=-1"]),
        ({"tie_word_embeddings": "false"}, ["tie_word_embeddings='false'"]),
        ({"rms_norm_eps": None}, ["rms_norm_eps=None"]),
    ],
)
def test_what_the_network_does_not_do_is_refused_by_name(facts: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(CheckpointError) as caught:
        ModelConfig.from_dict({**SMALL, **facts})
    assert [part for part in ["config.json", *said] if part not in str(caught.value)] == []


def test_quantisation_in_a_file_of_its_own_is_refused_where_it_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    assert ModelConfig.from_directory(tmp_path).vocab_size == 320
    (tmp_path / "hf_quant_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"hf_quant_config.json: the weights are quantised"):
        ModelConfig.from_directory(tmp_path)


@pytest.mark.parametrize(
    ("name", "key"), [("config.json", "gptq"), ("quantize_config.json", "gptq"), ("quant_config.json", "awq")]
)
def test_codes_are_counted_as_they_are_stored(name: str, key: str, tmp_path: Path) -> None:
    settings = {"bits": 4, "w_bit": 4, "group_size": 32, "q_group_size": 32, "sym": False, "zero_point": True}
    told = {**SMALL, "quantization_config": {"quant_method": key, **settings}} if name == "config.json" else settings
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    (tmp_path / name).write_text(json.dumps(told))
    config = ModelConfig.from_directory(tmp_path)
    weights = sum(inputs * outputs for inputs, outputs in config.all_matrices)
    groups = weights // 32
    assert config.coded == CodedWeights(weights, weights // 2 + groups * 2 + groups // 2)
    assert config.weight_bytes(2) == config.coded.num_bytes + (config.num_parameters - weights) * 2


def test_fp8_is_widened_and_takes_what_floats_take() -> None:
    config = ModelConfig.from_dict({**SMALL, "quantization_config": {"quant_method": "fp8"}})
    assert config.coded == CodedWeights()


@pytest.mark.parametrize(
    ("architecture", "length"), [("Llama", 2048), ("Mistral", 131072), ("Qwen2", 32768), ("Qwen3", 32768)]
)
def test_an_absent_key_means_what_transformers_means_by_it(architecture: str, length: int) -> None:
    raw = {**SMALL, "architectures": [f"{architecture}ForCausalLM"]}
    del raw["max_position_embeddings"]
    config = ModelConfig.from_dict(raw)
    assert config.max_position_embeddings == length
    assert config.sliding_window == (4096 if architecture == "Mistral" else None)
    assert ModelConfig.from_dict({**raw, "sliding_window": None}).sliding_window is None


@pytest.mark.parametrize(
    ("scaling", "longest"),
    [
        (None, 64),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, 128),
        ({"rope_type": "yarn", "factor": 1.5, "original_max_position_embeddings": 32}, 64),
        ({"rope_type": "linear", "factor": 4.0}, 256),
        ({"rope_type": "dynamic", "factor": 4.0}, float("inf")),
        ({**_LLAMA3_ROPE, "factor": 8.0}, 64),
        ({"rope_type": "yarn", "factor": 4.0}, 256),
    ],
)
def test_how_far_a_kind_of_rope_reaches(scaling: dict[str, Any] | None, longest: float) -> None:
    assert ModelConfig.from_dict({**SMALL, "rope_scaling": scaling}).rope.max_length == longest


@pytest.mark.parametrize(
    ("name", "changes", "longest"),
    [
        # As the cards of the models tell their users to write it.
        ("Qwen2.5-0.5B", {"rope_scaling": {**_CARD, "type": "yarn"}}, 131072),
        ("Qwen3-0.6B", {"rope_scaling": {**_CARD, "rope_type": "yarn"}}, 131072),
        ("Qwen3-0.6B", {"rope_parameters": {**_CARD, "rope_type": "yarn", "rope_theta": 1e6}}, 131072),
        ("Llama-2-7b", {"rope_scaling": {"factor": 4.0, "type": "linear"}}, 16384),
        ("Llama-2-7b", {"rope_scaling": {"factor": 2.0, "type": "dynamic"}}, float("inf")),
        ("Llama-3.1-8B", {}, 131072),
        ("Yarn-Llama-2-7b-128k", {}, 131072),
        ("Qwen2.5-0.5B", {}, 32768),
    ],
)
def test_how_far_well_known_models_reach(name: str, changes: dict[str, Any], longest: float) -> None:
    assert ModelConfig.from_dict({**PUBLISHED[name][0], **changes}).rope.max_length == longest


def test_a_longer_reach_that_is_added_by_hand_goes_before_what_transformers_saved() -> None:
    saved = {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
    added = {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}
    config = ModelConfig.from_dict({**SMALL, **saved, **added})
    assert (config.rope_theta, config.rope.kind is ROPE_KINDS["yarn"]) == (1e6, True)


def test_layers_that_a_mistral_lets_slide_are_those_that_it_names() -> None:
    raw = {**SMALL, "architectures": ["MistralForCausalLM"], "sliding_window": 16}
    mixed = ModelConfig.from_dict({**raw, "layer_types": ["full_attention", "sliding_attention"]})
    assert mixed.layer_windows == (None, AttentionWindow(16))
    assert ModelConfig.from_dict(raw).layer_windows == (AttentionWindow(16),) * 2
    assert ModelConfig.from_dict(mixed.to_dict()) == mixed


def test_the_model_type_decides_whatever_class_is_named() -> None:
    """As in transformers, whose classes of some families are Llama's."""
    config = ModelConfig.from_dict({**SMALL, "model_type": "granite", "logits_scaling": 8.0})
    assert (config.architecture, config.logits_scaling) == ("GraniteForCausalLM", 8.0)


def test_a_network_that_reads_images_is_refused_for_that() -> None:
    raw = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "vision_config": {}}
    with pytest.raises(UnknownArchitectureError, match="vision_config, and pagoda computes text alone"):
        ModelConfig.from_dict({**raw, "text_config": SMALL})


@pytest.mark.parametrize("name", ["Phi4MMForCausalLM", "MambaForCausalLM", "Qwen3NextForCausalLM"])
def test_an_unknown_architecture_is_not_taken_for_one_that_is_spelled_like_it(name: str) -> None:
    with pytest.raises(UnknownArchitectureError) as caught:
        ModelConfig.from_dict({**SMALL, "architectures": [name]})
    assert "did you mean" not in str(caught.value)
    with pytest.raises(UnknownArchitectureError, match='did you mean "Phi3ForCausalLM"'):
        ModelConfig.from_dict({**SMALL, "architectures": ["phi3ForCausalLm"]})
    # Of another layout, which its model_type tells.
    with pytest.raises(UnknownArchitectureError, match=r"'OLMoForCausalLM'.*does not implement\. pagoda reads"):
        ModelConfig.from_dict({**SMALL, "architectures": ["OLMoForCausalLM"], "model_type": "hf_olmo"})
    assert ModelConfig.from_dict({**SMALL, "architectures": ["LLaMAForCausalLM"]}).model_type == "llama"


@pytest.mark.parametrize(
    ("architecture", "facts", "said"),
    [
        ("Gemma3ForCausalLM", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping=50.0"),
        ("LlamaForCausalLM", {"query_pre_attn_scalar": 256}, "query_pre_attn_scalar=256"),
        ("GraniteForCausalLM", {"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5"),
        ("GlmForCausalLM", {"partial_rotary_factor": 1.5}, "partial_rotary_factor=1.5"),
        ("GlmForCausalLM", {"partial_rotary_factor": "0.5"}, "partial_rotary_factor='0.5'"),
        ("StableLmForCausalLM", {"layer_norm_eps": "small"}, "layer_norm_eps='small'"),
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1]}, "1 no_rope_layers for 2 layers"),
        ("SmolLM3ForCausalLM", {"no_rope_layers": "all"}, "no_rope_layers='all'"),
        ("GraniteForCausalLM", {"residual_multiplier": "0.22"}, "residual_multiplier='0.22'"),
        ("Gemma2ForCausalLM", {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar=0"),
        ("CohereForCausalLM", {"logit_scale": None}, "logit_scale=None"),
        ("OlmoForCausalLM", {"clip_qkv": -1.0}, "clip_qkv=-1.0"),
        ("MiniCPMForCausalLM", {"dim_model_base": 0}, "dim_model_base=0"),
        ("MiniCPMForCausalLM", {"sparse_config": {"topk": 64}}, "sparse_config"),
        ("HunYuanDenseV1ForCausalLM", {"use_cla": True}, "use_cla=True"),
        ("HunYuanDenseV1ForCausalLM", {"rope_scaling": {"type": "dynamic", "alpha": "x"}}, "alpha='x'"),
        ("Gemma3ForCausalLM", {"sliding_window_pattern": 0.5}, "sliding_window_pattern=0.5"),
        (
            "Gemma3ForCausalLM",
            {"rope_parameters": {"sliding_attention": {"rope_type": "dynamic", "factor": 2.0}}},
            "'dynamic' for layers that slide",
        ),
        (
            "Phi3ForCausalLM",
            {"rope_scaling": {"type": "su", "short_factor": [1.0] * 4, "long_factor": [1.0] * 4}},
            "a list of 8 numbers",
        ),
    ],
)
def test_what_a_family_says_wrongly_is_refused_by_name(architecture: str, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        ModelConfig.from_dict({**SMALL, "head_dim": 16, **facts, "architectures": [architecture]})
    assert said in str(caught.value)


def test_a_baichuan_with_alibi_is_told_as_such() -> None:
    """Of all keys, only that of the length tells the 13B models from the 7B."""
    raw = {**SMALL, "architectures": ["BaichuanForCausalLM"], "model_max_length": 4096}
    del raw["max_position_embeddings"]
    with pytest.raises(CheckpointError, match="ALiBi"):
        ModelConfig.from_dict(raw)


def test_a_config_that_is_saved_is_one_that_is_read() -> None:
    for raw in [SMALL, *(raw for raw, _ in PUBLISHED.values())]:
        config = ModelConfig.from_dict(raw)
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
