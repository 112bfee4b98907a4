"""The families besides Llama, Mistral and Qwen, with each of their switches: configurations for tests of parity.

What transformers has no class for is built as the model that it comes to, and written as that family stores it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

from tiny_models import BASE, Case

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
_PHI_LONG = {"original_max_position_embeddings": 32}
_GRANITE = {
    "embedding_multiplier": 6.0,
    "residual_multiplier": 0.22,
    "attention_multiplier": 0.1,
    "logits_scaling": 0.5,
}

_EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
_SHARED = {"shared_expert_intermediate_size": 56}

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
        Case("Granite", {"attention_multiplier": 0.4}),
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
        Case("Qwen2Moe", {**_EXPERTS, **_SHARED, "mlp_only_layers": [0]}),
        Case("Qwen2Moe", {**_EXPERTS, **_SHARED, "qkv_bias": False, "norm_topk_prob": True}),
        Case("Qwen2Moe", {**_EXPERTS, **_SHARED, **LOCAL, "use_sliding_window": True, "max_window_layers": 2}),
    ),
    "qwen3_moe": (
        Case("Qwen3Moe", {**_EXPERTS, **HEAD, "norm_topk_prob": True}),
        Case("Qwen3Moe", {**_EXPERTS, **HEAD, "decoder_sparse_step": 2, "attention_bias": True}),
        Case("Qwen3Moe", {**_EXPERTS, "head_dim": 24, "mlp_only_layers": [1], "tie_word_embeddings": True}),
        Case("Qwen3Moe", {**_EXPERTS, **HEAD, **LOCAL, "use_sliding_window": True, "num_experts_per_tok": 1}),
    ),
    "olmoe": (
        Case("Olmoe", {"num_experts": 5, "num_experts_per_tok": 2}),
        Case("Olmoe", {"num_experts": 7, "num_experts_per_tok": 3, "norm_topk_prob": True, "attention_bias": True}),
    ),
    "granitemoe": (
        Case("GraniteMoe", {**_GRANITE, "num_local_experts": 4}),
        Case("GraniteMoe", {"num_local_experts": 6, "num_experts_per_tok": 3, "attention_multiplier": 0.2}),
    ),
}
"""By model_type, the configurations that are tried; the page docs/network.md counts them."""


@dataclass(frozen=True)
class Rewritten:
    """A model that transformers has under another name: its tensors and config.json as its makers write them.

    case: the equal model; tensors: of its state dict; settings: keys of config.json
    """

    case: Case
    tensors: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
    settings: dict[str, Any]

    def write(self, directory: Path) -> transformers.PreTrainedModel:
        theirs = self.case.build()
        if self.settings["vocab_size"] == 125696:
            with torch.no_grad():  # the model that its head comes to
                theirs.lm_head.weight.copy_(torch.nn.functional.normalize(theirs.lm_head.weight))
        stored = self.tensors({name: tensor.clone() for name, tensor in theirs.state_dict().items()})
        save_file({name: tensor.contiguous() for name, tensor in stored.items()}, directory / "model.safetensors")
        (directory / "config.json").write_text(json.dumps({**_MAKERS, **self.settings}))
        return theirs


def _internlm2(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """q, k and v stand KV head by KV head: [kv_heads, queries of a head and two, head_dim] rows."""
    names = {
        "model.embed_tokens": "model.tok_embeddings",
        "lm_head": "output",
        "self_attn.o_proj": "attention.wo",
        "mlp.gate_proj": "feed_forward.w1",
        "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    written = {}
    for name, tensor in tensors.items():
        if ".q_proj." in name:
            rest = tensor.shape[1:]
            query = tensor.reshape(2, 2, 16, *rest)  # KV heads, queries of each
            key, value = (tensors[name.replace("q_proj", f"{kind}_proj")].reshape(2, 1, 16, *rest) for kind in "kv")
            packed = torch.cat([query, key, value], dim=1).reshape(-1, *rest)
            written[name.replace("self_attn.q_proj", "attention.wqkv")] = packed
        elif ".k_proj." not in name and ".v_proj." not in name:
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            written[name] = tensor
    return written


def _w_pack(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    written = {name: tensor for name, tensor in tensors.items() if not any(f".{kind}_proj" in name for kind in "qkv")}
    for index in range(3):
        prefix = f"model.layers.{index}.self_attn."
        parts = [tensors[f"{prefix}{kind}_proj.weight"] for kind in "qkv"]
        written[f"{prefix}W_pack.weight"] = torch.cat(parts)
    written["lm_head.weight"] = (
        tensors["lm_head.weight"] * 3.0 if len(tensors["lm_head.weight"]) > 128 else tensors["lm_head.weight"]
    )
    return written


def _as_it_is(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return tensors


def _untied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}


_MAKERS = {**BASE, "hidden_act": "silu", "torch_dtype": "float32", "rms_norm_eps": 1e-5}
_MULTIPLIED = {
    "embedding_multiplier": 12,
    "residual_multiplier": 1.4 / 3**0.5,
    "logits_scaling": 64 / 256,
    "attention_multiplier": 0.25,
    "rms_norm_eps": 1e-5,
}
_MINICPM = {
    "architectures": ["MiniCPMForCausalLM"],
    "model_type": "minicpm",
    "vocab_size": 128,
    "scale_emb": 12,
    "scale_depth": 1.4,
    "dim_model_base": 256,
}
_INTERNLM2 = {"architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", "vocab_size": 128}
_BAICHUAN = {"architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "vocab_size": 128}
_EPS = {"rms_norm_eps": 1e-5}
REWRITTEN: dict[str, tuple[Rewritten, ...]] = {
    "internlm2": (
        Rewritten(Case(settings=_EPS), _internlm2, {**_INTERNLM2, "bias": False}),
        Rewritten(Case(settings={**_EPS, "attention_bias": True}), _internlm2, {**_INTERNLM2, "bias": True}),
        Rewritten(
            Case(settings={**_EPS, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, num_tokens=80),
            _internlm2,
            {**_INTERNLM2, "bias": False, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
        ),
    ),
    "minicpm": (
        Rewritten(Case("Granite", {**_MULTIPLIED, "tie_word_embeddings": True}), _untied, _MINICPM),
        Rewritten(Case("Granite", _MULTIPLIED), _as_it_is, {**_MINICPM, "tie_word_embeddings": False}),
    ),
    "baichuan": (
        Rewritten(
            Case(settings={**_EPS, "num_key_value_heads": 4}),
            _w_pack,
            {**_BAICHUAN, "num_key_value_heads": None, "architectures": ["BaiChuanForCausalLM"]},
        ),
        Rewritten(
            Case(settings={**_EPS, "num_key_value_heads": 4, "vocab_size": 125696, "hidden_size": 16}),
            _w_pack,
            {**_BAICHUAN, "num_key_value_heads": None, "vocab_size": 125696, "hidden_size": 16},
        ),
    ),
}
"""The same for the families whose code transformers does not have."""
