"""What a config.json leaves out, or says null of, means here what transformers' config class makes of it.

And every key that such a class has is read, refused or harmless here: none is passed over because nobody thought of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from transformers import CONFIG_MAPPING

from pagoda.errors import CheckpointError
from pagoda.models.config import ModelConfig
from pagoda.models.families.family import Family
from pagoda.models.families.table import FAMILIES
from pagoda.models.keys import kind_of_key

SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
IN_TRANSFORMERS = [family for family in FAMILIES if family.model_type in CONFIG_MAPPING]


def theirs(family: Family, **said: Any) -> dict[str, Any]:
    """The `config.json` that transformers writes for a model of which only `said` is known."""
    written = json.loads(CONFIG_MAPPING[family.model_type](**SIZES, **said).to_json_string(use_diff=False))
    return {**written, "architectures": [family.architecture]}


def ours(family: Family, **said: Any) -> dict[str, Any]:
    return {"architectures": [family.architecture], "model_type": family.model_type, **SIZES, **said}


@pytest.fixture(params=IN_TRANSFORMERS, ids=lambda family: family.model_type)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


def test_most_families_are_compared() -> None:
    assert len(IN_TRANSFORMERS) >= 4
    assert {"llama", "mistral", "qwen2", "qwen3"} <= {family.model_type for family in IN_TRANSFORMERS}


def test_what_config_json_leaves_out_is_what_transformers_has(family: Family) -> None:
    assert ModelConfig.from_dict(ours(family)) == ModelConfig.from_dict(theirs(family))


def test_null_means_what_transformers_makes_of_it_or_is_refused(family: Family) -> None:
    for key in theirs(family):
        # A GLM without end ids gets the default ones in transformers; a checkpoint that says null has none here.
        if key in ("architectures", "model_type") or (key == "eos_token_id" and family.model_type.startswith("glm")):
            continue
        read, expected = _read(lambda key=key: ours(family, **{key: None})), _read(lambda key=key: _nulled(family, key))
        # Refused by either: by name here, and there what it would mean nobody knows.
        assert read is None or expected is None or read == expected, key


def _nulled(family: Family, key: str) -> dict[str, Any]:
    return {**theirs(family), key: None} if key in SIZES else theirs(family, **{key: None})


def _read(write: Callable[[], dict[str, Any]]) -> ModelConfig | None:
    try:
        raw = write()
    except Exception:
        return None
    try:
        return ModelConfig.from_dict(raw)
    except CheckpointError:
        return None


def test_every_key_of_the_config_class_is_known(family: Family) -> None:
    assert [key for key in theirs(family) if kind_of_key(key, family) is None] == []


_YARN = {"rope_type": "yarn", "factor": 4.0}
_LONGROPE = {"rope_type": "longrope", "long_factor": [2.0] * 8, "short_factor": [1.0] * 8}


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "phi3"])
@pytest.mark.parametrize("beside", [{}, {"original_max_position_embeddings": 16}])
@pytest.mark.parametrize("at_the_top", [{}, {"original_max_position_embeddings": 32}])
def test_of_two_original_lengths_transformers_and_pagoda_take_the_same(
    model_type: str, beside: dict[str, int], at_the_top: dict[str, int]
) -> None:
    scaling = {**_LONGROPE, **beside} if model_type == "phi3" else {**_YARN, **beside}
    said = {**SIZES, "head_dim": 16, "max_position_embeddings": 64, "rope_scaling": scaling, **at_the_top}
    expected = CONFIG_MAPPING[model_type](**said)
    expected.standardize_rope_params()  # as its network does, when keys at the top are known
    read = ModelConfig.from_dict({"model_type": model_type, **said})
    assert read.rope.original == expected.rope_parameters["original_max_position_embeddings"]


@pytest.mark.parametrize("key", ["rope_pct", "rotary_pct", "rope_percent"])
def test_the_rotated_share_may_stand_under_a_second_name_that_says_the_same(key: str) -> None:
    stablelm = {"model_type": "stablelm", **SIZES, "head_dim": 16}
    for said in ({}, {"partial_rotary_factor": 0.5}, {"rope_parameters": {"partial_rotary_factor": 0.75}}):
        share = {"partial_rotary_factor": 0.25, **said, **said.get("rope_parameters", {})}["partial_rotary_factor"]
        config = ModelConfig.from_dict({**stablelm, **said, key: share})
        assert config.rotary_dim == 16 * share
        with pytest.raises(CheckpointError, match=rf"{key}=0.125.*partial_rotary_factor \({share}\)"):
            ModelConfig.from_dict({**stablelm, **said, key: 0.125})
    assert ModelConfig.from_dict({"model_type": "llama", **SIZES, key: 1.0}).rotary_dim is None


@pytest.mark.parametrize("activation", [None, "gelu", "gelu_pytorch_tanh", "relu"])
@pytest.mark.parametrize("act", [None, "gelu", "gelu_pytorch_tanh", "relu"])
def test_a_gemma_with_two_activations_is_refused_unless_both_mean_the_same(
    act: str | None, activation: str | None
) -> None:
    said = {"model_type": "gemma", **SIZES, "hidden_activation": activation} | ({"hidden_act": act} if act else {})
    meant = {"gelu_pytorch_tanh" if "gelu" in name else name for name in (act or "gelu", activation) if name}
    if len(meant) == 1:
        assert ModelConfig.from_dict(said).hidden_act == CONFIG_MAPPING["gemma"](**said).hidden_act == meant.pop()
    else:
        with pytest.raises(CheckpointError, match=r"hidden_act=.* and hidden_activation="):
            ModelConfig.from_dict(said)
