"""The network against transformers: every family and every RoPE kind, on tiny random checkpoints in fp32.

transformers writes the checkpoint, our loader reads it, so that configuration, loading and network are held to the
same standard at once. Logits agree to 1e-5: two correct fp32 implementations differ by the order of their sums, which
over these sizes comes to 3e-6 to 6e-6 on logits of up to 5; the last test here shows what a wrong setting comes to.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from llama_cases import CASES, LLAMA3, LONGROPE, ORIGINAL
from pagoda.models.checkpoint.saving import save_checkpoint
from tiny_models import TOLERANCE, Case, greedy, load, logits, token_ids_of


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
