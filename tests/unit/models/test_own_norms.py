"""Networks with other norms than their families: a line in a recipe, a name of its own in a file, served so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pagoda.errors import CheckpointError, ConfigError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.llm import LLM
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from pagoda.sampling_params import SamplingParams
from pagoda.train.config import Recipe
from pagoda.train.trainer import Trainer

OTHERS = [kind for kind in NORM_KINDS if kind != "rms_norm"]
MODEL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "bos_token_id": 0,
    "eos_token_ids": [0],
}


def recipe(folder: Path, **model: Any) -> Recipe:
    (folder / "corpus.txt").write_text("\n<|endoftext|>\n".join(["The moon looked at the fox."] * 60), "utf-8")
    train = {
        "tokens": 4 * 64, "tokens_per_step": 64, "micro_batch_tokens": 64, "length_schedule": [[0.0, 16]],
        "warmup_steps": 1, "save_every": 2, "eval_every": 100, "eval_tokens": 32, "held_back": 20, "precision": "fp32",
    }  # fmt: skip
    raw = {
        "model": MODEL | model,
        "tokenizer": {"vocab_size": 270},
        "train": train,
        "sources": [{"path": "corpus.txt"}],
    }
    return Recipe.from_dict(raw, folder)


def _logits(model: LlamaForCausalLM, token_ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        hidden = model(token_ids, torch.arange(len(token_ids)), DenseAttention(1, model.config.layer_windows))
        return model.compute_logits(hidden)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_norm_is_a_line_in_a_recipe_and_its_checkpoint_says_so(kind: str, tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path, norm=kind), tmp_path / "run", device="cpu")
    reports = list(trainer.run())
    assert reports[-1].loss < reports[0].loss
    saved = tmp_path / "run" / "step-0000004"
    raw = json.loads((saved / "config.json").read_text())
    assert (raw["architectures"], raw["model_type"], raw["norm"]) == (["PagodaForCausalLM"], "pagoda", kind)
    read = LlamaForCausalLM(load_config(saved), ReferenceKernels())
    load_weights(read, saved)
    token_ids = torch.randint(0, 270, (12,))
    assert torch.equal(_logits(read, token_ids), _logits(trainer.model, token_ids))
    assert read.config.num_parameters == sum(parameter.numel() for parameter in read.parameters())


def test_a_gain_that_follows_training_stands_in_each_checkpoint_as_it_was(tmp_path: Path) -> None:
    for _ in Trainer(recipe(tmp_path, norm="rms_norm_scheduled"), tmp_path / "run", device="cpu").run():
        pass
    for step, progress in (("0000002", 0.5), ("0000004", 1.0)):
        tensors = load_file(tmp_path / "run" / f"step-{step}" / "model.safetensors")
        assert {float(each) for name, each in tensors.items() if name.endswith("norm.progress")} == {progress}


def test_a_model_that_llama_can_say_stays_a_llama(tmp_path: Path) -> None:
    assert recipe(tmp_path, norm="rms_norm").model.architecture == "LlamaForCausalLM"
    behind = recipe(tmp_path, norm_placement="post").model
    assert (behind.architecture, behind.norm_placement) == ("PagodaForCausalLM", "post")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"norm": "layernorm"}, "norm='layernorm'"),
        ({"norm": "layer_norm", "model_type": "llama"}, "config.json of LlamaForCausalLM cannot say.*norm"),
        ({"norm": "none", "qk_norm": True}, "cannot say"),
    ],
)
def test_what_no_config_json_could_say_is_not_trained(said: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, CheckpointError), match=told):
        recipe(tmp_path, **said)


@pytest.mark.parametrize("kind", ["rms_norm_partial", "rms_norm_adaptive", "rms_norm_scheduled", "layer_norm", "none"])
def test_the_engine_gives_the_same_bits_to_a_request_alone_and_in_a_batch(
    kind: str, changed_checkpoint: Callable[..., Path]
) -> None:
    own = {"architectures": ["PagodaForCausalLM"], "model_type": "pagoda", "norm_placement": "pre"}
    folder = changed_checkpoint(**own, norm=kind)
    config = ModelConfig.from_directory(folder)
    model = LlamaForCausalLM(config, ReferenceKernels())
    model.initialize(0)
    save_checkpoint(model, config, folder)
    llm = LLM(folder, num_gpu_blocks_override=64, disable_log_stats=True, dtype="float32")
    params = SamplingParams(temperature=0, max_tokens=6, logprobs=1)
    prompts = [f"The fox number {index} looked at the moon" for index in range(5)]
    together = [output.outputs[0].logprobs for output in llm.generate(prompts, params, use_tqdm=False)]
    alone = [llm.generate(prompt, params, use_tqdm=False)[0].outputs[0].logprobs for prompt in prompts]
    assert together == alone


@pytest.mark.parametrize("key", ["norm", "norm_placement"])
def test_a_network_of_our_own_whose_norms_are_not_told_is_refused(
    key: str, changed_checkpoint: Callable[..., Path]
) -> None:
    own = {"architectures": ["PagodaForCausalLM"], "model_type": "pagoda", "norm": "rms_norm", "norm_placement": "pre"}
    folder = changed_checkpoint(**own)
    assert ModelConfig.from_directory(folder).norm == "rms_norm"
    raw = json.loads((folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match=f"has no '{key}', which a PagodaForCausalLM needs"):
        ModelConfig.from_dict({name: value for name, value in raw.items() if name != key})
    with pytest.raises(CheckpointError, match=f"{key}=None"):
        ModelConfig.from_dict({**raw, key: None})


@pytest.mark.parametrize(
    ("family", "facts", "computed"),
    [
        ("LlamaForCausalLM", {"norm": "layer_norm"}, "'rms_norm' for llama"),
        ("LlamaForCausalLM", {"norm": ["rms_norm"]}, "'rms_norm' for llama"),
        ("LlamaForCausalLM", {"norm_placement": "post"}, "'pre' for llama"),
        ("GemmaForCausalLM", {"norm": "rms_norm"}, "'rms_norm_1p' for gemma"),
        ("Olmo2ForCausalLM", {"norm_placement": "pre"}, "'post' for olmo2"),
    ],
)
def test_another_family_does_not_take_the_keys_for_another_network(
    family: str, facts: dict[str, Any], computed: str, changed_checkpoint: Callable[..., Path]
) -> None:
    raw = json.loads((changed_checkpoint() / "config.json").read_text())
    raw = {**raw, "architectures": [family], "model_type": None}
    read = ModelConfig.from_dict(raw)
    same = {"norm": read.norm, "norm_placement": read.norm_placement}
    assert ModelConfig.from_dict({**raw, **same}) == read
    with pytest.raises(CheckpointError, match=f"{next(iter(facts))}=.*{computed}"):
        ModelConfig.from_dict({**raw, **facts})


def test_other_programs_do_not_take_it_for_a_llama() -> None:
    transformers = pytest.importorskip("transformers")
    assert "pagoda" not in transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES
