"""Every other family against transformers, on tiny random checkpoints in fp32: its switches, one by one.

transformers writes the checkpoint and our loader reads it, fused and renamed tensors included. The last tests hold the
table of docs/network.md to what is tried here.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from family_cases import CASES, REWRITTEN
from llama_cases import CASES as LLAMA_CASES
from pagoda.kernels.activations import ACTIVATIONS
from pagoda.llm import LLM
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.families.family import Family
from pagoda.models.families.table import FAMILIES
from pagoda.models.llama import LlamaForCausalLM
from pagoda.sampling_params import SamplingParams
from tiny_models import TOLERANCE, Case, greedy, load, logits, token_ids_of


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _check(ours: LlamaForCausalLM, theirs: transformers.PreTrainedModel, num_tokens: int) -> None:
    """Eight greedy tokens after a prompt, and logits of a longer sequence."""
    prompt = token_ids_of(num_tokens - 12, seed=1)
    text = theirs.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0].tolist()
    assert greedy(ours, prompt, 8) == text
    token_ids = token_ids_of(num_tokens)
    with torch.no_grad():
        expected = theirs(torch.tensor([token_ids])).logits[0]
    assert expected.abs().max() > 0.5, "logits too small to tell right from wrong"
    torch.testing.assert_close(logits(ours, token_ids), expected, atol=TOLERANCE, rtol=TOLERANCE)
    assert ours.config.num_parameters == sum(parameter.numel() for parameter in ours.parameters())


def _all(cases: Mapping[str, Sequence[object]]) -> list[tuple[str, int]]:
    return [(model_type, index) for model_type in cases for index in range(len(cases[model_type]))]


@pytest.mark.parametrize(("model_type", "index"), _all(CASES))
def test_logits_and_greedy_text_are_those_of_transformers(model_type: str, index: int, tmp_path: Path) -> None:
    case = CASES[model_type][index]
    theirs = case.build()
    theirs.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == model_type
    _check(load(tmp_path), theirs, case.num_tokens)


@pytest.mark.parametrize(
    ("model_type", "index"), [(name, i) for name in REWRITTEN for i in range(len(REWRITTEN[name]))]
)
def test_families_whose_code_transformers_lacks_are_the_models_that_they_come_to(
    model_type: str, index: int, tmp_path: Path
) -> None:
    rewritten = REWRITTEN[model_type][index]
    theirs = rewritten.write(tmp_path)
    _check(load(tmp_path), theirs, rewritten.case.num_tokens)


def _write(model_type: str, directory: Path) -> None:
    if model_type in CASES:
        CASES[model_type][-1].build().save_pretrained(directory)
    else:
        REWRITTEN[model_type][0].write(directory)


@pytest.mark.parametrize("model_type", [*CASES, *REWRITTEN])
def test_what_is_saved_is_what_was_read_tensor_by_tensor(model_type: str, tmp_path: Path) -> None:
    theirs, saved = tmp_path / "theirs", tmp_path / "saved"
    theirs.mkdir()
    _write(model_type, theirs)
    ours = load(theirs)
    save_checkpoint(ours, ours.config, saved)
    expected, written = (load_file(directory / "model.safetensors") for directory in (theirs, saved))
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())
    raw, rewritten = (json.loads((directory / "config.json").read_text()) for directory in (theirs, saved))
    assert {**raw, "dtype": 0, "torch_dtype": 0} == {**rewritten, "dtype": 0, "torch_dtype": 0}
    assert load(saved).config == ours.config


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_of_config_json_is_the_one_that_transformers_means(name: str, tmp_path: Path) -> None:
    theirs = Case(settings={"hidden_act": name}).build()
    theirs.save_pretrained(tmp_path)
    _check(load(tmp_path), theirs, num_tokens=20)


ENGINE = [
    ("phi3", 5),
    ("gemma2", 1),
    ("gemma3_text", 1),
    ("smollm3", 2),
    ("olmo3", 1),
    ("granite", 0),
    ("glm4", 0),
    ("stablelm", 2),
    ("nemotron", 1),
    ("hunyuan_v1_dense", 1),
    ("exaone4", 0),
    ("cohere", 1),
    ("mixtral", 1),
    ("qwen2_moe", 2),
    ("qwen3_moe", 1),
    ("olmoe", 1),
    ("granitemoe", 0),
]


@pytest.mark.parametrize(("model_type", "index"), ENGINE)
def test_the_engine_gives_the_greedy_tokens_of_generate(model_type: str, index: int, tmp_path: Path) -> None:
    """Through chunks, a batch and prefixes that the cache holds already; windows and trained lengths are crossed."""
    theirs = CASES[model_type][index].build()
    theirs.save_pretrained(tmp_path)
    opening = token_ids_of(33, seed=2)
    prompts = [opening + token_ids_of(length, seed=length) for length in (1, 9, 20)]
    settings = {"dtype": "float32", "num_gpu_blocks_override": 64, "max_model_len": 64, "disable_log_stats": True}
    llm = LLM(tmp_path, max_num_seqs=4, max_num_batched_tokens=16, **settings)
    works = [{"prompt_token_ids": ids} for ids in prompts]
    params = SamplingParams(temperature=0, max_tokens=10, detokenize=False)
    for _ in range(2):  # the second time out of the prefix cache
        for prompt, output in zip(prompts, llm.generate(works, params), strict=True):
            expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=10, do_sample=False)[0, len(prompt) :]
            assert list(output.outputs[0].token_ids) == expected.tolist()


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family.model_type in CASES], ids=lambda family: family.model_type
)
def test_what_a_config_leaves_out_is_what_transformers_says(family: Family) -> None:
    theirs = transformers.AutoConfig.for_model(family.model_type)
    ours = family.facts({})
    rope = theirs.rope_parameters
    rope = rope.get("full_attention", rope)
    assert rope["rope_theta"] == ours["rope_theta"]
    assert rope.get("partial_rotary_factor", 1.0) == ours.get("partial_rotary_factor", 1.0)
    told = {family.aliases.get(key, key): value for key, value in theirs.to_dict().items()}
    known = ours.keys() & told.keys()
    assert {key: ours[key] for key in known} == {key: told[key] for key in known}


def _as_version_4(raw: dict[str, Any]) -> dict[str, Any]:
    """What transformers 4 wrote: RoPE at the top, no names of layers where a pattern tells them."""
    raw = copy.deepcopy(raw)
    rope = raw.pop("rope_parameters")
    if "full_attention" in rope:
        raw["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    raw["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        raw["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    raw["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    raw["torch_dtype"] = raw.pop("dtype")
    return raw


@pytest.mark.parametrize(("model_type", "index"), _all(CASES))
def test_a_config_written_by_transformers_4_is_read_alike(model_type: str, index: int) -> None:
    raw = {**CASES[model_type][index].config().to_dict(), "dtype": "float32"}
    assert ModelConfig.from_dict(_as_version_4(raw)) == ModelConfig.from_dict(raw)


@pytest.mark.parametrize("model_type", ["llama", "gemma", "glm4", "mixtral"])
@pytest.mark.parametrize("differs", [True, False])
def test_a_stored_head_that_differs_from_the_embedding_counts_though_the_config_says_tied(
    model_type: str, differs: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = Case("Llama") if model_type == "llama" else CASES[model_type][0]
    case = dataclasses.replace(case, settings={**case.settings, "tie_word_embeddings": False})
    case.build().save_pretrained(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**raw, "tie_word_embeddings": True}))
    if not differs:
        tensors = load_file(tmp_path / "model.safetensors")
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours = load(tmp_path)
    _check(ours, transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval(), case.num_tokens)
    assert ours.config.tie_word_embeddings is not differs
    assert ("are both stored and differ" in caplog.text) is differs
    save_checkpoint(ours, ours.config, tmp_path / "saved")
    assert load(tmp_path / "saved").config == ours.config


PAGE = Path(__file__).parents[2] / "docs" / "network.md"
LLAMA_LIKE = {"llama", "mistral", "qwen2", "qwen3"}
OUR_OWN = {"pagoda"}  # nobody else computes it: tests/unit/models/test_own_norms.py


def parity_table() -> str:
    """The table of docs/network.md: what is computed, and how much of it is tried here."""
    lines = [
        "| family | `model_type` | what differs from Llama | configurations | logits agree within |",
        "|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        if family.model_type in OUR_OWN:
            continue
        tried = len(CASES.get(family.model_type, ())) + len(REWRITTEN.get(family.model_type, ()))
        if family.model_type in LLAMA_LIKE:
            tried = sum(case.family == family.architecture.removesuffix("ForCausalLM") for case in LLAMA_CASES.values())
        name = family.architecture.removesuffix("ForCausalLM")
        lines.append(f"| {name} | `{family.model_type}` | {family.differs} | {tried} | {TOLERANCE:.0e} |")
    return "\n".join(lines)


def test_the_page_has_the_table_of_what_is_tried_here() -> None:
    assert parity_table() in PAGE.read_text(encoding="utf-8"), f"docs/network.md should hold:\n{parity_table()}"


def test_every_family_is_tried() -> None:
    assert {*CASES, *REWRITTEN, *LLAMA_LIKE, *OUR_OWN} == {family.model_type for family in FAMILIES}
