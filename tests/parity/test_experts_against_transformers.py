"""How transformers stores mixtures of experts: one tensor for each matrix of each, or all of a layer in two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import family_cases
from pagoda.errors import CheckpointError
from tiny_models import load

CASES = {name: family_cases.CASES[name][0] for name in ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe")}


@pytest.mark.parametrize("name", CASES)
def test_one_tensor_an_expert_or_all_in_two_are_the_same_model(name: str, tmp_path: Path) -> None:
    theirs = CASES[name].build()
    theirs.save_pretrained(tmp_path / "usual")
    theirs.save_pretrained(tmp_path / "in memory", save_original_format=False)
    assert _stored(tmp_path / "usual").keys() != _stored(tmp_path / "in memory").keys()
    usual, other = load(tmp_path / "usual"), load(tmp_path / "in memory")
    for (key, parameter), (_, others) in zip(usual.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(parameter, others), key


def _stored(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def _without_an_expert(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.layers.1.block_sparse_moe.experts.2.w3.weight"]


def _with_one_too_many(tensors: dict[str, torch.Tensor]) -> None:
    name = "model.layers.0.block_sparse_moe.experts.{}.w1.weight"
    tensors[name.format(4)] = tensors[name.format(3)].clone()


def _narrow(tensors: dict[str, torch.Tensor]) -> None:
    name = "model.layers.2.block_sparse_moe.experts.0.w2.weight"
    tensors[name] = tensors[name][:, :-1].contiguous()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_without_an_expert, "block_sparse_moe.experts.2.w3.weight"),
        (_with_one_too_many, "block_sparse_moe.experts.4.w1.weight"),
        (_narrow, r"experts.0.w2.weight has the shape \[64, 95\]"),
    ],
)
def test_a_missing_superfluous_or_narrow_expert_is_told_by_the_name_in_the_file(
    damage: Any, told: str, tmp_path: Path
) -> None:
    CASES["mixtral"].build().save_pretrained(tmp_path)
    tensors = _stored(tmp_path)
    damage(tensors)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=told):
        load(tmp_path)


def test_a_stack_of_another_number_of_experts_is_told(tmp_path: Path) -> None:
    CASES["olmoe"].build().save_pretrained(tmp_path, save_original_format=False)
    tensors = _stored(tmp_path)
    name = "model.layers.1.mlp.experts.gate_up_proj"
    tensors[name] = tensors[name][:4].contiguous()
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"gate_up_proj has the shape \[4, 192, 64\], but 5 experts"):
        load(tmp_path)
