"""The network against transformers: every family and every RoPE kind, on tiny random checkpoints in fp32.

transformers writes the checkpoint, our loader reads it, so that configuration, loading and network are held to the
same standard at once. Logits agree to 1e-5: two correct fp32 implementations differ by the order of their sums, which
over these sizes comes to 3e-6 to 6e-6 on logits of up to 5; the last test here shows what a wrong setting comes to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from pagoda.models.checkpoint.saving import save_checkpoint
from tiny_models import TOLERANCE, Case, greedy, load, logits, token_ids_of

HALF = 8  # frequencies of a head of 16
ORIGINAL = {"original_max_position_embeddings": 32}


def rope(rope_type: str, **parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 10000.0, **parameters}}


def _without_factor(settings: dict[str, Any]) -> dict[str, Any]:
    return {"rope_parameters": {k: v for k, v in settings["rope_parameters"].items() if k != "factor"}}


LONGROPE = rope(
    "longrope",
    factor=4.0,
    short_factor=[1.0 + 0.05 * i for i in range(HALF)],
    long_factor=[1.5 + 0.5 * i for i in range(HALF)],
    **ORIGINAL,
)
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, **ORIGINAL)
SLIDING_QWEN = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}

CASES = {
    "llama": Case(),
    "multi-head": Case(settings={"num_key_value_heads": 4}),
    "multi-query": Case(settings={"num_key_value_heads": 1}),
    "tied embeddings": Case(settings={"tie_word_embeddings": True}),
    "attention bias": Case(settings={"attention_bias": True}),
    "mlp bias": Case(settings={"mlp_bias": True}),
    "head_dim 24": Case(settings={"head_dim": 24}),
    "head_dim 10, 6 heads, 3 kv heads": Case(
        settings={"head_dim": 10, "num_attention_heads": 6, "num_key_value_heads": 3, "hidden_size": 54}
    ),
    "rms_norm_eps 1e-3": Case(settings={"rms_norm_eps": 1e-3}),
    "rope_theta 500000": Case(settings={"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    "mistral with a window": Case("Mistral", {"sliding_window": 8}),
    "mistral with a window of one": Case("Mistral", {"sliding_window": 1}),
    "mistral with a window of two": Case("Mistral", {"sliding_window": 2}),
    "mistral without a window": Case("Mistral", {"sliding_window": None}),
    "mistral, own head_dim": Case("Mistral", {"sliding_window": 16, "head_dim": 24}),
    "qwen2": Case("Qwen2"),
    "qwen2, tied": Case("Qwen2", {"tie_word_embeddings": True}),
    "qwen2, windows above layer 1": Case("Qwen2", SLIDING_QWEN),
    "qwen3": Case("Qwen3", {"head_dim": 16}),
    "qwen3, own head_dim": Case("Qwen3", {"head_dim": 24, "tie_word_embeddings": True}),
    "qwen3 with attention bias": Case("Qwen3", {"head_dim": 16, "attention_bias": True}),
    "qwen3, windows above layer 1": Case("Qwen3", {"head_dim": 16, **SLIDING_QWEN}),
    "linear": Case(settings=rope("linear", factor=2.0)),
    "dynamic, within": Case(settings=rope("dynamic", factor=2.0)),
    "dynamic, beyond": Case(settings=rope("dynamic", factor=2.0), num_tokens=100),
    "yarn": Case(settings=rope("yarn", factor=2.0, **ORIGINAL), num_tokens=60),
    "yarn, mscale": Case(settings=rope("yarn", factor=2.0, mscale=1.2, mscale_all_dim=0.8, **ORIGINAL)),
    "yarn, attention_factor": Case(settings=rope("yarn", factor=2.0, attention_factor=1.3, **ORIGINAL)),
    "yarn, betas": Case(settings=rope("yarn", factor=4.0, beta_fast=1.0, beta_slow=0.1, **ORIGINAL)),
    "yarn, not truncated": Case(settings=rope("yarn", factor=2.0, truncate=False, **ORIGINAL)),
    "llama3": Case(settings=LLAMA3, num_tokens=60),
    "longrope, short factors": Case(settings=LONGROPE, num_tokens=32),
    "longrope, long factors": Case(settings=LONGROPE, num_tokens=33),
    "longrope, factor from the lengths": Case(settings=_without_factor(LONGROPE)),
    "yarn, factor from the lengths": Case(settings=rope("yarn", factor=None, **ORIGINAL)),
    "qwen2 with yarn": Case("Qwen2", rope("yarn", factor=4.0, **ORIGINAL)),
    "mistral with linear": Case("Mistral", {**rope("linear", factor=4.0), "sliding_window": 16}),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_logits_equal_those_of_transformers(case: Case, tmp_path: Path) -> None:
    theirs = case.build()
    theirs.save_pretrained(tmp_path)
    token_ids = token_ids_of(case.num_tokens)
    with torch.no_grad():
        expected = theirs(torch.tensor([token_ids])).logits[0]
    actual = logits(load(tmp_path), token_ids)
    assert expected.abs().max() > 0.5, "logits too small to tell right from wrong"
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


# Prompt and text cross max_position_embeddings (64) or original_max_position_embeddings (32) where that matters.
GREEDY_PROMPT_LENGTHS = {"dynamic, within": 56, "dynamic, beyond": 70, "longrope, short factors": 24}


# transformers' cache keeps the last window - 1 positions by slicing [-(window - 1):], which for a window of one is all.
GREEDY_CASES = [name for name in CASES if name != "mistral with a window of one"]


@pytest.mark.parametrize("name", GREEDY_CASES)
def test_greedy_text_equals_generate(name: str, tmp_path: Path) -> None:
    theirs = CASES[name].build()
    theirs.save_pretrained(tmp_path)
    prompt = token_ids_of(GREEDY_PROMPT_LENGTHS.get(name, 12), seed=1)
    expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()
    assert greedy(load(tmp_path), prompt, 20) == expected


@pytest.mark.parametrize("name", ["llama", "llama3", "yarn", "longrope, long factors", "dynamic, beyond"])
def test_a_config_written_by_transformers_4_gives_the_samelogits(name: str, tmp_path: Path) -> None:
    theirs = CASES[name].build()
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")
    (tmp_path / "config.json").write_text(json.dumps(config))
    token_ids = token_ids_of(CASES[name].num_tokens)
    with torch.no_grad():
        expected = theirs(torch.tensor([token_ids])).logits[0]
    torch.testing.assert_close(logits(load(tmp_path), token_ids), expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("name", list(CASES))
def test_what_we_save_loads_in_transformers_with_the_samelogits(name: str, tmp_path: Path) -> None:
    CASES[name].build().save_pretrained(tmp_path / "theirs")
    ours = load(tmp_path / "theirs")
    save_checkpoint(ours, ours.config, tmp_path / "ours")
    loaded, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True, attn_implementation="eager"
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    token_ids = token_ids_of(CASES[name].num_tokens)
    with torch.no_grad():
        actual = loaded(torch.tensor([token_ids])).logits[0]
    torch.testing.assert_close(actual, logits(ours, token_ids), atol=TOLERANCE, rtol=TOLERANCE)


def test_a_sharded_checkpoint_gives_the_same_logits_as_a_whole_one(tmp_path: Path) -> None:
    theirs = CASES["llama"].build()
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="50KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    token_ids = token_ids_of(20)
    whole, sharded = (logits(load(tmp_path / kind), token_ids) for kind in ("whole", "sharded"))
    assert torch.equal(whole, sharded)


# One setting changed in config.json, under the same weights.
MUTATIONS = {
    "rms_norm_eps 1e-3": {"rms_norm_eps": 1e-5},
    "mistral with a window": {"sliding_window": 9},
    "qwen2, windows above layer 1": {"layer_types": ["full_attention"] * 3},
    "linear": {"rope_parameters": {"rope_type": "linear", "factor": 2.02}},
    "dynamic, beyond": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.02}},
    "yarn": {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "truncate": False, **ORIGINAL}},
    "yarn, betas": {
        "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 1.0, "beta_slow": 0.5, **ORIGINAL}
    },
    "yarn, mscale": {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "mscale": 1.2, **ORIGINAL}},
    "llama3": {"rope_parameters": {**LLAMA3["rope_parameters"], "high_freq_factor": 4.1}},
    "longrope, long factors": {"rope_parameters": {**LONGROPE["rope_parameters"], "factor": 4.1}},
}


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_a_slightly_wrong_setting_is_far_outside_the_tolerance(name: str, tmp_path: Path) -> None:
    CASES[name].build().save_pretrained(tmp_path)
    token_ids = token_ids_of(CASES[name].num_tokens)
    right = logits(load(tmp_path), token_ids)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **MUTATIONS[name]}))
    wrong = logits(load(tmp_path), token_ids)
    assert (wrong - right).abs().max() > 20 * TOLERANCE
