"""GGUF files of tiny models, written with the `gguf` package and its names for tensors, as llama.cpp's converter does.

Written from the converter's rules and not from this package's, so that tests compare two readings of them. Every tensor
was seen to be equal, byte for byte, to what `convert_hf_to_gguf.py` writes for the same checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers

_PERMUTED = {
    "llama",
    "mistral3",
    "smollm3",
    "arcee",
    "granite",
    "granitemoe",
    "olmo",
    "internlm2",
    "minicpm",
    "baichuan",
}
"""Rows of q and k are put into neighbouring pairs."""
_WITH_ONE = {"gemma", "gemma2", "gemma3", "nemotron"}
"""Norms are stored with the 1 that is added to them."""
_HEADLESS = {"gemma", "gemma2", "command-r", "cohere2"}
_RMS = ("rms_norm_eps", "norm_eps")
_LAYER_NORM = ("layer_norm_eps", "norm_eps")


def write_gguf(
    theirs: transformers.PreTrainedModel,
    path: Path,
    arch: str,
    experts: gguf.GGMLQuantizationType | None = None,
    **extra: Any,
) -> None:
    """A file of architecture `arch` with the tensors of a model, as fp32, and metadata of its configuration.

    experts: the stacks of experts are stored in this type
    extra: further keys of the architecture, `__` for a dot, in place of what the configuration says; None leaves out
    """
    writer = gguf.GGUFWriter(path, arch)
    config = theirs.config
    keys = {**_metadata(config, arch), **{key.replace("__", "."): value for key, value in extra.items()}}
    for key, value in keys.items():
        _add(writer, f"{arch}.{key}", value)
    writer.add_bos_token_id(config.bos_token_id or 1)
    writer.add_eos_token_id(config.eos_token_id or 2)
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    for name, tensor in (*_rope_factors(config), *_tensors(theirs, arch)):
        stored = name if name.startswith("rope_") else names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert stored is not None, name
        numbers = tensor.detach().contiguous().numpy()
        if experts is not None and "_exps." in stored:
            writer.add_tensor(stored, gguf.quants.quantize(numbers, experts), raw_dtype=experts)
        else:
            writer.add_tensor(stored, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif value is not None:
        writer.add_array(key, value)


def _metadata(config: transformers.PretrainedConfig, arch: str) -> dict[str, Any]:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    full = rope.get("full_attention", rope)
    said = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "rope.freq_base": full["rope_theta"],
        "rope.dimension_count": int(head_dim * full.get("partial_rotary_factor", 1.0)),
        "attention.layer_norm_rms_epsilon": _first(config, _RMS),
        "attention.layer_norm_epsilon": 1e-5 if arch == "olmo" else _first(config, _LAYER_NORM),
        "attention.clamp_kqv": getattr(config, "clip_qkv", None),
        "logit_scale": getattr(config, "logit_scale", getattr(config, "logits_scaling", None)),
        "attention.scale": getattr(config, "attention_multiplier", None),
        "embedding_scale": getattr(config, "embedding_multiplier", None),
        "residual_scale": getattr(config, "residual_multiplier", None),
        "use_parallel_residual": getattr(config, "use_parallel_residual", None),
        "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
        "final_logit_softcapping": getattr(config, "final_logit_softcapping", None),
        **_experts(config),
        **_scaling(full),
    }
    if "sliding_attention" in rope and arch == "gemma3":
        said["rope.freq_base_swa"] = rope["sliding_attention"]["rope_theta"]
    return said | _windows(config, arch)


def _first(config: transformers.PretrainedConfig, names: tuple[str, ...]) -> float | None:
    return next((getattr(config, name) for name in names if hasattr(config, name)), None)


def _experts(config: transformers.PretrainedConfig) -> dict[str, Any]:
    return {
        "expert_count": getattr(config, "num_experts", None) or getattr(config, "num_local_experts", None),
        "expert_used_count": getattr(config, "num_experts_per_tok", None),
        "expert_feed_forward_length": getattr(config, "moe_intermediate_size", None),
        "expert_shared_feed_forward_length": getattr(config, "shared_expert_intermediate_size", None),
    }


def _windows(config: transformers.PretrainedConfig, arch: str) -> dict[str, Any]:
    if arch not in ("gemma2", "gemma3", "olmo2", "cohere2", "exaone4", "phi3"):
        return {}
    window = getattr(config, "sliding_window", None)
    said = {"attention.sliding_window": window or (0 if arch == "phi3" else None)}
    if arch in ("olmo2", "exaone4") and window:
        said["attention.sliding_window_pattern"] = [kind == "sliding_attention" for kind in config.layer_types]
    return said


def _scaling(rope: dict[str, Any]) -> dict[str, Any]:
    kind, original = rope.get("rope_type"), rope.get("original_max_position_embeddings")
    if kind == "linear":
        return {"rope.scaling.type": "linear", "rope.scaling.factor": rope["factor"]}
    if kind == "yarn":
        return {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": rope["factor"],
            "rope.scaling.original_context_length": original,
            "rope.scaling.yarn_attn_factor": rope.get("attention_factor"),
            "rope.scaling.yarn_beta_fast": rope.get("beta_fast"),
            "rope.scaling.yarn_beta_slow": rope.get("beta_slow"),
        }
    return {"rope.scaling.original_context_length": original} if kind == "longrope" else {}


def _rope_factors(config: transformers.PretrainedConfig) -> Iterator[tuple[str, torch.Tensor]]:
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    if rope.get("rope_type") == "longrope":
        yield "rope_factors_long.weight", torch.tensor(rope["long_factor"])
        yield "rope_factors_short.weight", torch.tensor(rope["short_factor"])
    if rope.get("rope_type") == "llama3":
        yield "rope_freqs.weight", _llama3_factors(config, rope)


def _llama3_factors(config: transformers.PretrainedConfig, rope: dict[str, Any]) -> torch.Tensor:
    """What divides each frequency: 1 for those that turn often within the trained length, `factor` for slow ones."""
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    frequencies = 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    num_turns = rope["original_max_position_embeddings"] / (2 * torch.pi / frequencies)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = ((num_turns - low) / (high - low)).clamp(0, 1)
    return 1 / ((1 - smooth) / rope["factor"] + smooth)


def _tensors(theirs: transformers.PreTrainedModel, arch: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Under Hugging Face's names, of which the package has its own."""
    config, tensors = theirs.config, dict(theirs.state_dict())
    if arch in _HEADLESS or config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    for kind in ("q", "k"):
        for index in range(config.num_hidden_layers):
            norms = f"model.layers.{index}.self_attn.{kind}_layernorm.norms."
            rows = [tensors.pop(name) for name in sorted(tensors) if name.startswith(norms)]
            if rows:
                tensors[norms.replace("norms.", "weight")] = torch.stack(rows)
    for name, tensor in tensors.items():
        if arch in _WITH_ONE and name.endswith("norm.weight"):
            yield name, tensor + 1
        elif arch in _PERMUTED and ".q_proj." in name:
            yield name, _pairs(tensor, config.num_attention_heads)
        elif arch in _PERMUTED and ".k_proj." in name:
            yield name, _pairs(tensor, config.num_key_value_heads)
        elif "experts.gate_up_proj" in name:
            for part, half in zip(("gate_proj", "up_proj"), tensor.chunk(2, dim=1), strict=True):
                yield f"model.layers.{name.split('.')[2]}.mlp.experts.{part}.weight", half
        elif "experts.down_proj" in name:
            yield f"model.layers.{name.split('.')[2]}.mlp.experts.down_proj.weight", tensor
        else:
            yield name.replace("block_sparse_moe.router.weight", "block_sparse_moe.router.layer.weight"), tensor


def _pairs(tensor: torch.Tensor, num_heads: int) -> torch.Tensor:
    halves = tensor.reshape(num_heads, 2, tensor.shape[0] // num_heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """As the `gguf` package reads them."""
    return {tensor.name: np.asarray(tensor.data) for tensor in gguf.GGUFReader(path).tensors}
