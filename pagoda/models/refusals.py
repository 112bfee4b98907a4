"""What a `config.json` may say that this network cannot do: refused by name, never read as something else.

First station of loading, beside `config`, and so of `pagoda plan` and before weights are downloaded. Most keys of a
`config.json` change nothing here (dropout, caches, versions, names) and pass unread. Some change what is computed:
those have a row below, with the values under which they change nothing. Without a row, a scaled or capped logit, an
expert or another activation would be left out in silence, and the answers would be wrong and fluent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pagoda.errors import CheckpointError
from pagoda.kernels.activations import ACTIVATIONS
from pagoda.layers.rope_rules import scaling_fault
from pagoda.models.families.family import Family
from pagoda.parameter_rules import (
    FLAG,
    STRING,
    Rule,
    is_number,
    is_token_id,
    is_whole,
    list_of,
    optional,
    positive,
    whole_number,
)

_Accepts = Callable[[Any], bool]


def _is_off(value: Any) -> bool:
    """Nothing, false, zero or empty."""
    return not value


def _is_one(value: Any) -> bool:
    return value is None or value == 1


def _is_on(value: Any) -> bool:
    return value is None or value is True


def _is_activation(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in ACTIVATIONS)


def _are_known_layers(value: Any) -> bool:
    known = ("full_attention", "sliding_attention")
    return value is None or (isinstance(value, list | tuple) and all(kind in known for kind in value))


def _is_pattern(value: Any) -> bool:
    # 0 is what transformers writes where no layer slides.
    return is_whole(value, 0) or (isinstance(value, str) and value != "" and {*value} <= {"L", "G"})


def _all_rotate(value: Any) -> bool:
    return not value or (isinstance(value, list) and all(rotates == 1 for rotates in value))


def _is_token_id(value: Any) -> bool:
    """Some checkpoints say -1 for none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= -1


def _are_token_ids(value: Any) -> bool:
    return _is_token_id(value) or (isinstance(value, list) and all(map(_is_token_id, value)))


def _are_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))


FACTS: dict[str, tuple[_Accepts, str]] = {
    **dict.fromkeys(("audio_config", "text_config", "vision_config"), (_is_off, "text alone (null)")),
    "hidden_act": (_is_activation, ", ".join(ACTIVATIONS)),
    "layer_types": (_are_known_layers, "'full_attention' and 'sliding_attention'"),
    "is_causal": (_is_on, "true"),
    "use_bidirectional_attention": (_is_off, "false"),
    "parallel_attn": (_is_off, "false"),
    "use_parallel_residual": (_is_off, "false"),
    # Attention
    "alibi": (_is_off, "false"),
    "attention_chunk_size": (_is_off, "null"),
    "attention_out_bias": (_is_off, "false"),
    "attention_sink": (_is_off, "false"),
    "attn_logit_softcapping": (_is_off, "null"),
    "attn_output_gate": (_is_off, "false"),
    "attn_temperature_tuning": (_is_off, "false"),
    "clip_qkv": (_is_off, "null"),
    "dual_chunk_attention_config": (_is_off, "null"),
    "kv_lora_rank": (_is_off, "null"),
    "sliding_window_pattern": (_is_off, "null"),
    "sparse_config": (_is_off, "null"),
    "use_cla": (_is_off, "false"),
    "use_logn_attn": (_is_off, "false"),
    # Positions
    "no_rope_layer_interval": (_is_off, "null"),
    "no_rope_layers": (_all_rotate, "null, or 1 for every layer"),
    "partial_rotary_factor": (_is_one, "1.0"),
    "rope_interleave": (_is_off, "false"),
    "rope_interleaved": (_is_off, "false"),
    "use_mrope": (_is_off, "false"),
    # Scales between and after the layers
    "embedding_multiplier": (_is_one, "1.0"),
    "dim_model_base": (_is_off, "null"),
    "final_logit_softcapping": (_is_off, "null"),
    "logit_scale": (_is_one, "1.0"),
    "logits_scaling": (_is_one, "1.0"),
    "residual_multiplier": (_is_one, "1.0"),
    "scale_depth": (_is_off, "null"),
    "scale_emb": (_is_one, "1"),
    "scale_embedding": (_is_off, "false"),
    # Mixtures of experts
    "mlp_only_layers": (_is_off, "[]"),
    "moe_intermediate_size": (_is_off, "null"),
    "n_routed_experts": (_is_off, "null"),
    "num_experts": (_is_off, "null"),
    "num_local_experts": (_is_off, "null"),
}
"""Key -> whether a value leaves the computation as it is here, and those values in words. An absent key does."""
_NORMED = ("qk_norm", "use_qk_norm", "qk_layernorm")
_ROTATED_SHARE = ("rope_pct", "rotary_pct", "rope_percent")
SECOND_NAMES = (*_NORMED, *_ROTATED_SHARE)
VALUES: dict[str, Rule] = {
    **dict.fromkeys(
        ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads"), whole_number(1, 1 << 31)
    ),
    "num_hidden_layers": whole_number(1, 1 << 16),
    "max_position_embeddings": whole_number(1),
    **dict.fromkeys(("num_key_value_heads", "head_dim"), optional(whole_number(1, 1 << 31))),
    # transformers writes 0 for a Qwen2-MoE whose windows are off.
    **dict.fromkeys(("sliding_window", "attention_chunk_size"), optional(whole_number(0, 1 << 31))),
    "num_experts": optional(whole_number(0, 1 << 16)),
    **dict.fromkeys(("num_experts_per_tok", "decoder_sparse_step"), whole_number(1)),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), optional(whole_number(0, 1 << 31))),
    "mlp_only_layers": optional(list_of(is_token_id, "a list of numbers of layers")),
    "rms_norm_eps": positive(),
    "rope_theta": optional(positive()),
    **dict.fromkeys(
        (
            "attention_bias",
            "attention_out_bias",
            "mlp_bias",
            "norm_topk_prob",
            "qkv_bias",
            "tie_word_embeddings",
            "use_sliding_window",
        ),
        optional(FLAG),
    ),
    **dict.fromkeys(("max_window_layers", "original_max_position_embeddings"), optional(whole_number(0))),
    "bos_token_id": optional(Rule(_is_token_id, "a token id")),
    "eos_token_id": optional(Rule(_are_token_ids, "a token id, or a list of some")),
    **dict.fromkeys(("dtype", "torch_dtype", "model_type"), optional(STRING)),
    "architectures": optional(Rule(_are_names, "a list of names")),
    "initializer_range": optional(positive()),
    "rope_local_base_freq": optional(positive()),
}
"""What the keys that are read must hold, so that no text passes for a number or for true."""
_COMPUTED: dict[str, Rule] = {
    **dict.fromkeys(
        ("query_pre_attn_scalar", "attention_multiplier", "logit_scale", "logits_scaling", "dim_model_base"), positive()
    ),
    **dict.fromkeys(("embedding_multiplier", "residual_multiplier", "scale_emb", "scale_depth"), positive()),
    **dict.fromkeys(("attn_logit_softcapping", "final_logit_softcapping", "clip_qkv"), optional(positive())),
    **dict.fromkeys(("use_parallel_residual", "qk_layernorm", "use_qk_norm"), optional(FLAG)),
    "no_rope_layer_interval": whole_number(1),
    "no_rope_layers": optional(list_of(lambda rotates: rotates in (0, 1), "a list of 0 and 1")),
    "sliding_window_pattern": optional(Rule(_is_pattern, "a whole number or letters L and G")),
}
"""The same for keys that only some families read."""


def check_names(raw: Mapping[str, Any]) -> None:
    """Refuse an architecture that is no name, before a family is looked for. Raises CheckpointError."""
    for key in ("architectures", "model_type"):
        if not VALUES[key].accepts(raw.get(key)):
            raise CheckpointError(f"config.json has {key}={raw[key]!r}, but {VALUES[key].expected} is expected")


def check_values(raw: Mapping[str, Any], family: Family) -> None:
    """Refuse values of another kind than their keys have. Raises CheckpointError."""
    for key, value in raw.items():
        ours = family.aliases.get(key, key)
        rule = VALUES.get(ours) or (_COMPUTED.get(ours) if key in family.computes else None)
        if rule is not None and not rule.accepts(value):
            raise CheckpointError(f"config.json has {key}={value!r}, but {rule.expected} is expected")


def check_facts(raw: Mapping[str, Any], family: Family, head_dim: int, *, slides: bool, qk_norm: bool) -> None:
    """Refuse what the network of `family` does not do. Raises CheckpointError: key, value and what is known.

    slides, qk_norm: whether the network as it was read has layers that slide, and norms on q and k
    """
    rope = rope_settings(raw)
    # transformers 5 keeps the rotated share beside RoPE's other settings.
    for facts, keys in ((raw, FACTS), (rope, ["partial_rotary_factor"])):
        for key in keys:
            accepts, known = FACTS[key]
            if key in facts and key not in family.computes and not accepts(facts[key]):
                _refuse(key, facts[key], known)
    _check_logit_scale(raw, family, head_dim)
    _check_windows(raw, family, slides=slides)
    _check_second_names(raw, family, qk_norm=qk_norm)


def _check_second_names(raw: Mapping[str, Any], family: Family, *, qk_norm: bool) -> None:
    """Keys that say again what the family says already: they may not say otherwise."""
    act = raw.get("hidden_act") or family.facts({})["hidden_act"]
    if "hidden_activation" not in family.computes | {*family.aliases} and raw.get("hidden_activation") not in (
        None,
        act,
    ):
        _refuse("hidden_activation", raw["hidden_activation"], f"hidden_act ({act!r}) for {family.model_type}")
    share = {"partial_rotary_factor": 1.0, **family.facts(raw), **rope_settings(raw)}["partial_rotary_factor"]
    for key in _ROTATED_SHARE:
        if raw.get(key) not in (None, share):
            _refuse(key, raw[key], f"partial_rotary_factor ({share!r}) for {family.model_type}")
    for key in _NORMED:
        if raw.get(key) is not None and bool(raw[key]) != qk_norm:
            _refuse(key, raw[key], f"{str(qk_norm).lower()} for {family.model_type}")


def check_own_keys(raw: Mapping[str, Any], family: Family, computed: Mapping[str, Any]) -> None:
    """Refuse keys of our own family that say another thing than the network of `family` does. Raises CheckpointError.

    computed: those keys, with what the network that was read computes
    """
    for key, value in computed.items():
        if raw.get(key) not in (None, value):
            _refuse(key, raw[key], f"{value!r} for {family.model_type}")


def rope_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of RoPE: of version 5 (`rope_parameters`), under what is added by hand (`rope_scaling`).

    Model cards tell to add `rope_scaling` for longer contexts, which then goes before. Raises CheckpointError.
    """
    settings: dict[str, Any] = {}
    for key in ("rope_parameters", "rope_scaling"):
        given = raw.get(key) or {}
        if not isinstance(given, dict):
            raise CheckpointError(f"config.json has {key}={given!r}, but an object with a rope_type is expected")
        # Older checkpoints say `type`.
        settings |= {("rope_type" if name == "type" else name): value for name, value in given.items()}
    return settings


def _check_windows(raw: Mapping[str, Any], family: Family, *, slides: bool) -> None:
    """Refuse layers that are said to slide where the family's network does not let them."""
    if "sliding_attention" in (raw.get("layer_types") or ()) and not slides:
        known = f"'full_attention' for {family.model_type} without a sliding_window that is in use"
        _refuse("layer_types", raw["layer_types"], known)


def _check_logit_scale(raw: Mapping[str, Any], family: Family, head_dim: int) -> None:
    """Else the logits of attention are scaled by 1 / sqrt(head_dim), under whatever name that is said."""
    for key, power in (("attention_multiplier", -0.5), ("query_pre_attn_scalar", 1)):
        if (value := raw.get(key)) is not None and key not in family.computes:
            expected = head_dim**power
            if not (is_number(value) and math.isclose(value, expected, rel_tol=1e-4)):
                _refuse(key, value, f"{expected:.6g} at head_dim={head_dim}")


def check_rope(scaling: Mapping[str, Any], num_pairs: int | None = None) -> None:
    """Refuse an unknown kind of RoPE, a key that its kind does not read, and values that it cannot read.

    num_pairs: of dimensions that rotate, for kinds that have a number for each. Raises CheckpointError.
    """
    if (fault := scaling_fault(scaling, num_pairs)) is not None:
        raise CheckpointError(f"config.json has {fault}")


def _refuse(key: str, value: Any, known: str) -> None:
    raise CheckpointError(
        f"config.json has {key}={value!r}, but pagoda computes {known} only, and would answer wrongly: take another "
        f"checkpoint, or take the key out where you know that the weights do without"
    )
