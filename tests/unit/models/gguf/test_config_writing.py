"""Metadata of a GGUF file from a configuration: numbers of the kind that readers ask for."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.models.config import ModelConfig
from pagoda.models.gguf.config_writing import metadata_of

PLAIN = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "rope_theta": 10000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "settings", "fractions"),
    [
        ("MiniCPM", {"scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256}, {"embedding_scale": 12.0}),
        ("Granite", {"logits_scaling": 8, "attention_multiplier": 1}, {"logit_scale": 8.0, "attention.scale": 1.0}),
        ("Olmo", {"clip_qkv": 8}, {"attention.clamp_kqv": 8.0, "rope.freq_base": 10000.0}),
        ("Gemma2", {"final_logit_softcapping": 30, "head_dim": 16}, {"final_logit_softcapping": 30.0}),
    ],
)
def test_whole_numbers_of_config_json_are_written_as_the_floats_they_stand_for(
    family: str, settings: dict[str, Any], fractions: dict[str, float]
) -> None:
    raw = {"architectures": [f"{family}ForCausalLM"], "model_type": family.lower(), **PLAIN, **settings}
    said = metadata_of(ModelConfig.from_dict(raw))
    for key, value in fractions.items():
        written = said[f"{said['general.architecture']}.{key}"]
        assert (type(written), written) == (float, value)
