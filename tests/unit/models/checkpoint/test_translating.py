"""Checkpoints of other families: errors in the names that their files have, and nothing left over or left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.loading import load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

Build = Callable[..., LlamaForCausalLM]
Tensors = dict[str, torch.Tensor]
SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
}
QKV = "model.layers.1.self_attn.qkv_proj.weight"
GATE_UP = "model.layers.0.mlp.gate_up_proj.weight"
NORM = "model.layers.0.self_attn.k_layernorm.norms.1.weight"


def _config(architecture: str, **settings: object) -> ModelConfig:
    return ModelConfig.from_dict({**SIZES, **settings, "architectures": [architecture]})


PHI3 = _config("Phi3ForCausalLM")
STABLELM = _config("StableLmForCausalLM", qk_layernorm=True, partial_rotary_factor=0.5)
GLM = _config("GlmForCausalLM", head_dim=4)


def _damaged(config: ModelConfig, build: Build, directory: Path, damage: Callable[[Tensors], object]) -> str:
    """What loading says of a checkpoint of `config` whose tensors were changed."""
    save_checkpoint(build(config, seed=0), config, directory)
    tensors = load_file(directory / "model.safetensors")
    damage(tensors)
    save_file(tensors, directory / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_weights(build(config), directory)
    return str(caught.value)


def test_a_missing_fused_tensor_is_told_by_its_own_name(build: Build, tmp_path: Path) -> None:
    said = _damaged(PHI3, build, tmp_path, lambda tensors: tensors.pop(QKV))
    assert f"3 tensors of the model are missing: {QKV} (self_attn.q_proj of it) [16, 16]" in said


def test_a_part_that_is_stored_apart_has_no_place(build: Build, tmp_path: Path) -> None:
    stray = "model.layers.1.self_attn.q_proj.weight"
    said = _damaged(PHI3, build, tmp_path, lambda tensors: tensors.update({stray: torch.zeros(16, 16)}))
    assert f"1 tensors have no place in the model: {stray}" in said
    assert "model.safetensors" in said


def test_a_fused_tensor_of_another_size_is_told_with_rows_and_file(build: Build, tmp_path: Path) -> None:
    said = _damaged(PHI3, build, tmp_path, lambda tensors: tensors.update({GATE_UP: torch.zeros(50, 16)}))
    assert "model.safetensors" in said
    assert f"tensor {GATE_UP} has 50 rows, but 48 of mlp.gate_proj, mlp.up_proj are expected" in said


def test_a_fused_tensor_of_another_width_is_told_with_its_part(build: Build, tmp_path: Path) -> None:
    said = _damaged(PHI3, build, tmp_path, lambda tensors: tensors.update({GATE_UP: torch.zeros(48, 8)}))
    assert f"tensor {GATE_UP} (mlp.gate_proj of it) has the shape [24, 8], the model expects [24, 16]" in said


def test_one_of_the_norms_of_heads_missing_is_the_whole_missing(build: Build, tmp_path: Path) -> None:
    said = _damaged(STABLELM, build, tmp_path, lambda tensors: tensors.pop(NORM))
    assert "1 tensors of the model are missing: model.layers.0.self_attn.k_layernorm.norms.0.weight to " + NORM in said


def test_rows_that_make_no_heads_are_told_with_their_shape(build: Build, tmp_path: Path) -> None:
    name = "model.layers.0.self_attn.k_proj.weight"
    said = _damaged(GLM, build, tmp_path, lambda tensors: tensors.update({name: torch.zeros(7, 16)}))
    assert f"tensor {name} has the shape [7, 16], the model expects [8, 16]" in said


@pytest.mark.parametrize("config", [PHI3, STABLELM, GLM], ids=lambda config: config.model_type)
def test_what_is_trained_is_read_again(config: ModelConfig, build: Build, tmp_path: Path) -> None:
    model = build(config, seed=0)
    save_checkpoint(model, config, tmp_path)
    loaded = build(config)
    load_weights(loaded, tmp_path)
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


def test_switches_that_no_config_json_can_say_are_not_saved(small_config: ModelConfig) -> None:
    for switches in ({"norm_placement": "post"}, {"mlp_gated": False}, {"logits_scaling": 2.0}, {"rotary_dim": 2}):
        with pytest.raises(CheckpointError, match="cannot say what this model computes"):
            replace(small_config, **switches).to_dict()
    assert ModelConfig.from_dict(replace(small_config, hidden_act="relu2").to_dict()).hidden_act == "relu2"
