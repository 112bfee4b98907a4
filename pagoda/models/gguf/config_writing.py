"""The metadata of a GGUF file from a model's configuration: the other way round than `architectures`.

Off the token's path, when a folder's model is written as a GGUF file. Keys are llama.cpp's
(`gguf-py/gguf/constants.py`). What is written here is read back by `architectures` before anything else is done, and a
model that does not come back as the one it was is refused: so a switch that no key can say is never lost in silence.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from pagoda.errors import CheckpointError
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.config import ModelConfig
from pagoda.models.families.windows import SLIDING
from pagoda.models.gguf.architectures import ARCHITECTURES
from pagoda.models.gguf.metadata import Value
from pagoda.models.gguf.positions import factors_of_pairs
from pagoda.models.gguf.tensor_names import LONG_FACTORS, ROPE_FACTORS, SHORT_FACTORS

Said = dict[str, Value]
_NAMES_ALONE = {"architecture", "model_type", "dtype", "initializer_range", "bos_token_id", "eos_token_ids"}
"""Fields that say nothing about what is computed from a token's id to logits."""
_FRACTIONS = {
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "rope.freq_base",
    "rope.freq_base_swa",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "attention.scale",
    "attention.clamp_kqv",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
}
"""Keys whose numbers are written as floats, whole or not."""
_POSITIONS = {"rope_theta", "rope_scaling", "sliding_rope_theta", "sliding_rope_scaling"}
"""Which are the same where they turn alike."""


def architecture_name(config: ModelConfig) -> str:
    """What llama.cpp calls the family. Raises CheckpointError for one that it has no name for."""
    for name, record in ARCHITECTURES.items():
        if config.model_type in record.families:
            return name
    raise CheckpointError(
        f"a {config.architecture} cannot be written as a GGUF file, since it has no architecture there that pagoda "
        f"knows: name a folder"
    )


def metadata_of(config: ModelConfig) -> Said:
    """Every key of the architecture that says something of this model."""
    name = architecture_name(config)
    is_centred = NORM_KINDS[config.norm].centred
    said: Said = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        f"attention.layer_norm{'' if is_centred else '_rms'}_epsilon": config.rms_norm_eps,
        "vocab_size": config.vocab_size,
        **_windows(config),
        **_positions(config),
        **_OWN.get(name, lambda _: {})(config),
    }
    # A config.json may say 12 where 12.0 is meant, and llama.cpp refuses a key of the other kind of number.
    said = {key: float(value) if key in _FRACTIONS and isinstance(value, int) else value for key, value in said.items()}
    return {"general.architecture": name, **{f"{name}.{key}": value for key, value in said.items()}}


def factor_tensors(config: ModelConfig) -> dict[str, np.ndarray]:
    """The small tensors that hold settings of RoPE, by their names."""
    scaling = config.rope_scaling or {}
    kind = scaling.get("rope_type")
    if kind == "longrope":
        found = {LONG_FACTORS: scaling["long_factor"], SHORT_FACTORS: scaling["short_factor"]}
    elif kind in ("llama3", "frequency_factors"):
        found = {ROPE_FACTORS: factors_of_pairs(scaling, config.rope_theta, config.rotary_dim or config.head_dim)}
    else:
        return {}
    return {name: np.asarray(factors, np.float32) for name, factors in found.items()}


def check_said(config: ModelConfig, read: ModelConfig) -> None:
    """Raises CheckpointError where `read`, which came back from the metadata, does not compute what `config` says."""
    names = [each.name for each in dataclasses.fields(config) if each.compare]
    lost = [
        name
        for name in names
        if name not in _NAMES_ALONE | _POSITIONS and not _same(getattr(config, name), getattr(read, name))
    ]
    if not (_turn_alike(config.rope, read.rope) and _turn_alike(config.sliding_rope, read.sliding_rope)):
        lost.append("rope_scaling")
    if lost:
        raise CheckpointError(
            f"a GGUF file of the architecture {architecture_name(config)!r} cannot say what this {config.architecture} "
            f"computes ({', '.join(f'{name}={getattr(config, name)!r:.60}' for name in lost)}): name a folder"
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)


def _turn_alike(one: Any, other: Any) -> bool:
    """Whether two RoPEs turn positions near and far alike."""
    if one is None or other is None:
        return one is other
    if one.head_dim != other.head_dim:
        return False
    positions = torch.tensor([0, 1, 7, 100, one.max_position_embeddings - 1])
    lengths = torch.full_like(positions, one.max_position_embeddings)
    pairs = zip(RotaryEmbedding(one)(positions, lengths), RotaryEmbedding(other)(positions, lengths), strict=True)
    # An angle of thousands of turns is known to so many digits in fp32.
    return all(torch.allclose(mine, theirs, atol=1e-6 * one.max_position_embeddings) for mine, theirs in pairs)


def _windows(config: ModelConfig) -> Said:
    if config.sliding_window is None:
        return {}
    slides = np.array([kind == SLIDING for kind in config.layer_types])
    pattern = {} if slides.all() else {"attention.sliding_window_pattern": slides}
    return {"attention.sliding_window": config.sliding_window, **pattern}


def _positions(config: ModelConfig) -> Said:
    said: Said = {"rope.freq_base": config.rope_theta, "rope.dimension_count": config.rotary_dim or config.head_dim}
    if config.sliding_rope_theta is not None:
        said["rope.freq_base_swa"] = config.sliding_rope_theta
    scaling = config.rope_scaling or {}
    kind, original = scaling.get("rope_type"), scaling.get("original_max_position_embeddings")
    if original:
        said["rope.scaling.original_context_length"] = int(original)
    if kind == "longrope" and scaling.get("attention_factor"):
        said["rope.scaling.attn_factor"] = float(scaling["attention_factor"])
    if kind in ("linear", "yarn"):
        said |= {"rope.scaling.type": kind, "rope.scaling.factor": float(scaling["factor"])}
    return said | (_yarn(scaling) if kind == "yarn" else {})


def _yarn(scaling: Mapping[str, Any]) -> Said:
    names = {"attention_factor": "attn_factor", "beta_fast": "beta_fast", "beta_slow": "beta_slow"}
    said: Said = {
        f"rope.scaling.yarn_{theirs}": float(scaling[ours]) for ours, theirs in names.items() if scaling.get(ours)
    }
    if scaling.get("mscale_all_dim"):
        said["rope.scaling.yarn_log_multiplier"] = float(scaling["mscale_all_dim"])
    return said


def _softcaps(config: ModelConfig) -> Said:
    bounds = {"attn_logit_softcapping", "final_logit_softcapping"}
    said: Said = {name: value for name in sorted(bounds) if (value := getattr(config, name)) is not None}
    # Silence would be read as the bounds that the family has; 0 is none.
    return {"attn_logit_softcapping": 0.0, "final_logit_softcapping": 0.0, **said, **_attention_scale(config)}


def _gemma3(config: ModelConfig) -> Said:
    said = _softcaps(config)
    said.pop("attn_logit_softcapping")
    return said


def _attention_scale(config: ModelConfig) -> Said:
    return {} if config.attention_scale is None else {"attention.scale": config.attention_scale}


def _multipliers(config: ModelConfig) -> Said:
    return {
        "embedding_scale": config.embedding_multiplier,
        "residual_scale": config.residual_multiplier,
        "logit_scale": config.logits_scaling,
    }


def _granite(config: ModelConfig) -> Said:
    return {**_multipliers(config), **_attention_scale(config)}


def _cohere(config: ModelConfig) -> Said:
    return {"logit_scale": 1 / config.logits_scaling}


def _olmo(config: ModelConfig) -> Said:
    return {} if config.clip_qkv is None else {"attention.clamp_kqv": config.clip_qkv}


_OWN: dict[str, Callable[[ModelConfig], Said]] = {
    "gemma2": _softcaps,
    "gemma3": _gemma3,
    "granite": _granite,
    "minicpm": _multipliers,
    "command-r": _cohere,
    "cohere2": _cohere,
    "olmo": _olmo,
}
"""The keys that an architecture has besides those of all."""
