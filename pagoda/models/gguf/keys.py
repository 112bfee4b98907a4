"""Every key of an architecture that GGUF metadata may have: read, refused unless it changes nothing, or harmless.

Beside `architectures`, as `models/keys` and `models/refusals` for `config.json`. A test takes the `gguf` package's own
list of keys, gives each a value, and sees that none is passed in silence that is not listed here as harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pagoda.models.gguf.facts import GGUFFacts

HARMLESS = frozenset({
    "tensor_data_layout", "rope.scaling.finetuned", "decoder_start_token_id", "token_type_count",
    "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow", "rope.scaling.yarn_log_multiplier",
})  # fmt: skip
"""Notes of other programs, and settings of YaRN where nobody has read them: there is none."""
_GROUPS = (
    "ssm.", "wkv.", "kda.", "posnet.", "convnext.", "shortconv.", "altup.", "laurel.", "attention.indexer.",
    "hyper_connection.", "vision.", "audio.",
)  # fmt: skip
"""What begins so belongs to networks of another kind."""
_OFF_ONLY = (
    "attention.clamp_kqv", "attention.decay_lora_rank", "attention.gate_lora_rank", "attention.iclr_lora_rank",
    "attention.key_length_mla", "attention.kv_lora_rank", "attention.max_alibi_bias", "attention.output_scale",
    "attention.q_lora_rank", "attention.shared_kv_layers", "attention.sliding_window",
    "attention.sliding_window_pattern", "attention.temperature_length", "attention.temperature_scale",
    "attention.value_length_mla", "attention.value_residual_mix_lora_rank", "attention.group_norm_groups",
    "attention.relative_buckets_count", "attn_logit_softcapping", "final_logit_softcapping",
    "router_logit_softcapping", "activation_sparsity_scale", "classifier.output_labels",
    "embedding_length_per_layer_input", "expert_count", "expert_used_count", "expert_shared_count",
    "expert_feed_forward_length", "expert_shared_feed_forward_length", "expert_chunk_feed_forward_length",
    "expert_group_scale", "experts_per_group", "full_attention_interval", "interleave_moe_layer_step",
    "leading_dense_block_count", "moe_every_n_layers", "moe_latent_size", "n_deepstack_layers",
    "nextn_predict_layers", "num_loops", "decoder_block_count", "rescale_every_n_layers", "swiglu_clamp_exp",
    "swiglu_clamp_shexp", "swin_norm", "time_decay_extra_dim", "time_mix_extra_dim", "token_shift_count",
    "features_length", "rope.dimension_sections", "rope.scaling.alpha", "use_parallel_residual",
)  # fmt: skip


def _is_off(value: Any) -> bool:
    """Nothing, false, zero or empty, in a list as well."""
    return not np.any(value) if isinstance(value, np.ndarray) else not value


def _is_neutral(value: Any) -> bool:
    """A factor that changes nothing; 0 is how files say none."""
    return value in (0, 1)


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_OFF_ONLY, (_is_off, "none (0)")),
    "attention.causal": (lambda value: value is True, "true"),
    **dict.fromkeys(
        ("embedding_scale", "residual_scale", "logit_scale", "expert_weights_scale", "expert_group_count"),
        (_is_neutral, "1"),
    ),
    "expert_group_used_count": (_is_neutral, "1"),
    "expert_gating_func": (_is_neutral, "1 (softmax)"),
    "expert_weights_norm": (_is_off, "false"),
    "pooling_type": (lambda value: value in (0, 3), "0 (none) or 3 (the last token)"),
}
"""Key -> whether a value leaves the computation as it is here, and those values in words."""


def check_unread(facts: GGUFFacts, config: Mapping[str, Any]) -> list[str]:
    """The keys that nobody has read and nobody knows.

    config: what was read. Raises CheckpointError where one that is known says something else than this network does.
    """
    same = {
        "attention.scale": config["head_dim"] ** -0.5,
        "attention.key_length_swa": config["head_dim"],
        "attention.value_length_swa": config["head_dim"],
        "embedding_length_out": config["hidden_size"],
        "rope.freq_base_swa": config["rope_theta"],
        "rope.dimension_count_swa": config["head_dim"] * config.get("partial_rotary_factor", 1),
    }
    unknown = []
    for key, value in facts.unread.items():
        if key in same:
            if not _is_off(value) and not np.allclose(value, same[key], rtol=1e-5):
                raise facts.error(key, value, f"{same[key]:.6g}, or nothing,")
        elif key in _RULES or key.startswith(_GROUPS):
            accepts, known = _RULES.get(key, (_is_off, "nothing"))
            if not accepts(value):
                raise facts.error(key, value, f"{known} for this architecture: pagoda computes nothing else, so it")
        elif key not in HARMLESS:
            unknown.append(f"{facts.architecture}.{key}")
    return sorted(unknown)
