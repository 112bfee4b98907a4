"""Mixtures of experts against transformers beyond one forward pass: how they are stored, and through the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from pagoda.errors import CheckpointError
from pagoda.llm import LLM
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.sampling_params import SamplingParams
from tiny_models import TOLERANCE, Case, load, logits, token_ids_of

_EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
CASES = {
    "mixtral": Case("Mixtral", {"num_local_experts": 4, "sliding_window": 24}),
    "qwen2_moe": Case("Qwen2Moe", {**_EXPERTS, "shared_expert_intermediate_size": 56, "mlp_only_layers": [0]}),
    "qwen3_moe": Case("Qwen3Moe", {**_EXPERTS, "head_dim": 16, "norm_topk_prob": True, "decoder_sparse_step": 2}),
    "olmoe": Case("Olmoe", {"num_experts": 5, "num_experts_per_tok": 3}),
    "granitemoe": Case("GraniteMoe", {"num_local_experts": 4, "attention_multiplier": 0.25, "logits_scaling": 0.5}),
}


@pytest.mark.parametrize("name", CASES)
def test_one_tensor_an_expert_or_all_in_two_are_the_same_model(name: str, tmp_path: Path) -> None:
    theirs = CASES[name].build()
    theirs.save_pretrained(tmp_path / "usual")
    theirs.save_pretrained(tmp_path / "in memory", save_original_format=False)
    assert load_file(tmp_path / "usual/model.safetensors").keys() != _stored(tmp_path / "in memory").keys()
    usual, other = load(tmp_path / "usual"), load(tmp_path / "in memory")
    for (key, parameter), (_, others) in zip(usual.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(parameter, others), key


@pytest.mark.parametrize("name", CASES)
def test_what_we_save_loads_in_transformers_with_the_same_logits(name: str, tmp_path: Path) -> None:
    CASES[name].build().save_pretrained(tmp_path / "theirs")
    ours = load(tmp_path / "theirs")
    save_checkpoint(ours, ours.config, tmp_path / "ours")
    assert _stored(tmp_path / "ours").keys() == _stored(tmp_path / "theirs").keys()
    loaded, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True, attn_implementation="eager"
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    token_ids = token_ids_of(40)
    with torch.no_grad():
        actual = loaded(torch.tensor([token_ids])).logits[0]
    torch.testing.assert_close(actual, logits(ours, token_ids), atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_the_engine_writes_what_generate_writes(name: str, tmp_path: Path) -> None:
    """Prompts that share an opening, in chunks, several at a time; then all again from the prefix cache."""
    theirs = CASES[name].build()
    theirs.save_pretrained(tmp_path)
    opening = token_ids_of(18)
    prompts = [opening + token_ids_of(5 + 4 * index, seed=1 + index) for index in range(4)]
    expected = [_greedy(theirs, prompt) for prompt in prompts]
    llm = LLM(
        tmp_path, num_gpu_blocks_override=32, block_size=8, max_num_batched_tokens=13, max_num_seqs=3, device="cpu",
        disable_log_stats=True,
    )  # fmt: skip
    params = SamplingParams(temperature=0, max_tokens=10, detokenize=False)
    for _ in range(2):
        outputs = llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
        assert [list(output.outputs[0].token_ids) for output in outputs] == expected
    assert llm.llm_engine.core.scheduler.stats.prefix_cache_hits > 40


def _greedy(model: transformers.PreTrainedModel, prompt: list[int]) -> list[int]:
    text = model.generate(torch.tensor([prompt]), max_new_tokens=10, do_sample=False)[0].tolist()
    return text[len(prompt) :]


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
