"""EXAONE 3 and 4 (arXiv 2408.03541, 2507.11407) and SmolLM3: the latter two leave RoPE out on some layers.

Layers without positions ("NoPE") are Kazemnejad et al. 2023 (arXiv 2305.19466).
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family, Windows
from pagoda.models.families.olmo import BEHIND
from pagoda.models.families.weight_names import WeightNames
from pagoda.models.families.windows import FULL, SLIDING, every_nth_is_full

_exaone4_windows = every_nth_is_full(4, key="sliding_window_pattern")


def _exaone4(facts: Facts) -> dict[str, Any]:
    window, layer_types = _exaone4_windows(facts)
    rotating = () if window is None else tuple(kind == SLIDING for kind in layer_types)
    return {
        "norm_placement": "post",
        "qk_norm": True,
        "attention_bias": False,
        "attention_output_bias": False,
        "rotating_layers": rotating,
    }


def _rotating(facts: Facts) -> tuple[bool, ...]:
    """SmolLM3: by layer, whether it has RoPE. The key says 1 for those that do, whatever its name."""
    num_layers = facts["num_hidden_layers"]
    if (given := facts.get("no_rope_layers")) is not None:
        return tuple(bool(rotates) for rotates in given[:num_layers])
    return tuple((index + 1) % facts["no_rope_layer_interval"] != 0 for index in range(num_layers))


def _smollm3(facts: Facts) -> dict[str, Any]:
    return {"rotating_layers": _rotating(facts)}


def _unrotated_slide(facts: Facts) -> Windows:
    window = facts.get("sliding_window")
    if window is None or not facts.get("use_sliding_window", False):
        return None, ()
    derived = [FULL if rotates else SLIDING for rotates in _rotating(facts)]
    return window, tuple(facts.get("layer_types") or derived)


EXAONE = Family(
    "ExaoneForCausalLM",
    "exaone",
    differs="",
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
    },
    aliases={
        "num_layers": "num_hidden_layers",
        "layer_norm_epsilon": "rms_norm_eps",
        "activation_function": "hidden_act",
    },
    weights=WeightNames(
        renamed={
            "model.embed_tokens": "transformer.wte",
            "model.layers": "transformer.h",
            "model.norm": "transformer.ln_f",
            "self_attn.o_proj": "attn.attention.out_proj",
            "self_attn": "attn.attention",
            "input_layernorm": "ln_1",
            "post_attention_layernorm": "ln_2",
            "mlp.gate_proj": "mlp.c_fc_0",
            "mlp.up_proj": "mlp.c_fc_1",
            "mlp.down_proj": "mlp.c_proj",
        }
    ),
)
EXAONE4 = Family(
    "Exaone4ForCausalLM",
    "exaone4",
    differs="norms behind the blocks and on q and k; where layers slide, three of four do, and the fourth has no RoPE",
    defaults={"rms_norm_eps": 1e-5, "sliding_window": 4096},
    computes=frozenset({"sliding_window_pattern"}),
    switches=_exaone4,
    windows=_exaone4_windows,
    weights=BEHIND,
)
SMOLLM3 = Family(
    "SmolLM3ForCausalLM",
    "smollm3",
    differs="every fourth layer has no RoPE; tied",
    defaults={
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rope_theta": 2000000.0,
        "tie_word_embeddings": True,
        "no_rope_layer_interval": 4,
    },
    computes=frozenset({"no_rope_layers", "no_rope_layer_interval"}),
    switches=_smollm3,
    windows=_unrotated_slide,
)
