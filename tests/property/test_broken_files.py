"""Files of a checkpoint with anything in them: read, or refused by an error of ours, and never by a bare one of Python.

A config.json, tokenizer files and a generation_config.json that are right are changed in one to three places: a key is
gone, null, of another type, huge, negative, not a number, nested. A header of safetensors is cut or overwritten.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagoda.errors import PagodaError
from pagoda.models.checkpoint.reading import iterate_weights
from pagoda.models.config import ModelConfig
from pagoda.models.families.table import FAMILIES
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.quantization_config import QUANTISED
from pagoda.models.refusals import FACTS, SECOND_NAMES, VALUES
from pagoda.models.tokenizer.tokenizer import Tokenizer

SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
ROPES: list[dict[str, Any]] = [
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8},
    {"type": "linear", "factor": 2.0},
]
STRANGE = [
    None, True, False, 0, 1, -1, 3, 0.5, -2.5, 1 << 70, -(1 << 70), 1e308, float("inf"), float("nan"), "", "x", "gelu",
    "128", [], [None], [1, "a"], [[1]], ["full_attention"], {}, {"a": 1}, {"rope_type": {}}, {"content": []}, "\ud83d",
]  # fmt: skip
CONFIG_KEYS = sorted(
    {*SIZES, *VALUES, *FACTS, *QUANTISED, *SECOND_NAMES, "rope_scaling", "rope_parameters", "eos_token_id"}
    | {key for family in FAMILIES for key in (*family.aliases, *family.computes, *family.defaults)}
)
ROPE_KEYS = sorted({key for rope in ROPES for key in rope} | {"attention_factor", "mscale", "truncate", "rope_theta"})
TOKENIZER_KEYS = [
    "bos_token", "eos_token", "unk_token", "added_tokens_decoder", "extra_special_tokens", "additional_special_tokens",
    "chat_template", "tokenizer_class", "add_bos_token", "add_prefix_space", "legacy", "image_token",
    "split_special_tokens", "model_max_length",
]  # fmt: skip
GENERATION_KEYS = ["eos_token_id", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_new_tokens"]
_FILES = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def changes(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys), st.sampled_from([*STRANGE, "(gone)"]), min_size=1, max_size=3)


def changed(raw: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**raw, **said}.items() if value != "(gone)"}


@given(family=st.sampled_from(FAMILIES), said=changes(CONFIG_KEYS))
@settings(max_examples=500)
def test_any_config_is_read_or_refused(family: Any, said: dict[str, Any]) -> None:
    own = {"norm": "layer_norm", "norm_placement": "post"} if family.model_type == "pagoda" else {}
    raw = {"architectures": [family.architecture], "model_type": family.model_type, **SIZES, **own}
    _read_or_refused(changed(raw, said))


@given(rope=st.sampled_from(ROPES), said=changes(ROPE_KEYS), key=st.sampled_from(["rope_scaling", "rope_parameters"]))
@settings(max_examples=300)
def test_any_rope_is_read_or_refused(rope: dict[str, Any], said: dict[str, Any], key: str) -> None:
    _read_or_refused({"architectures": ["LlamaForCausalLM"], **SIZES, key: changed(rope, said)})


def refusal(read: Callable[[], object]) -> str | None:
    """The message of our error, None where there is none; any other error is raised."""
    try:
        read()
    except PagodaError as error:
        return str(error)
    return None


def _read_or_refused(raw: dict[str, Any]) -> None:
    if (message := refusal(lambda: ModelConfig.from_dict(raw))) is not None:
        assert "config.json" in message
        return
    config = ModelConfig.from_dict(raw)
    assert config.num_parameters > 0
    assert config.weight_bytes(2) > 0
    if config.head_dim < 1 << 16:
        rope = config.rope
        rope.kind.frequencies(rope, torch.arange(0, rope.head_dim, 2) / rope.head_dim)
        assert rope.attention_factor > 0
        assert rope.max_length > 0


@pytest.mark.parametrize("content", ["[" * 100_000, "\ufeff{}", '{"a": 1e999999}', "NaN", '"x"', "", "\x00", "{}"])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"])
def test_any_text_is_read_or_refused(name: str, content: str, tmp_path: Path, checkpoint: Callable[..., Path]) -> None:
    shutil.copytree(checkpoint(), tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_text(content, encoding="utf-8")
    readers = (ModelConfig.from_directory, GenerationDefaults.from_directory, Tokenizer.from_directory)
    for read in readers:
        assert name in (refusal(partial(read, tmp_path)) or name)
    (tmp_path / name).write_bytes(b"\xff\xfe{")
    assert any(name in (refusal(partial(read, tmp_path)) or "") for read in readers)


@given(said=changes(GENERATION_KEYS))
@_FILES
def test_any_generation_config_is_read_or_refused(said: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(changed({"temperature": 0.7, "top_p": 0.9}, said)))
    assert "generation_config.json has" in (
        refusal(lambda: GenerationDefaults.from_directory(tmp_path)) or "generation_config.json has"
    )


@given(said=changes(TOKENIZER_KEYS))
@_FILES
def test_any_tokenizer_config_is_read_or_refused(
    said: dict[str, Any], tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    shutil.copy(checkpoint() / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(changed({"eos_token": "<|endoftext|>"}, said)))
    message = refusal(lambda: Tokenizer.from_directory(tmp_path).encode("a fox"))
    assert "tokenizer_config.json" in (message or "tokenizer_config.json")


@given(part=st.sampled_from(["model", "pre_tokenizer", "decoder", "added_tokens", "post_processor", "normalizer"]),
       value=st.sampled_from(STRANGE))  # fmt: skip
@_FILES
def test_any_tokenizer_json_is_read_or_refused(
    part: str, value: Any, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    spec = json.loads((checkpoint() / "tokenizer.json").read_text(encoding="utf-8"))
    (tmp_path / "tokenizer.json").write_text(json.dumps({**spec, part: value}))
    message = refusal(lambda: Tokenizer.from_directory(tmp_path).encode("a fox"))
    assert "tokenizer.json" in (message or "tokenizer.json")


@given(cut=st.integers(0, 400), place=st.integers(0, 400), put=st.binary(max_size=12))
@_FILES
def test_any_header_of_safetensors_is_read_or_refused(
    cut: int, place: int, put: bytes, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    data = (checkpoint() / "model.safetensors").read_bytes()
    data = data[:place] + put + data[place + len(put) :]
    (tmp_path / "model.safetensors").write_bytes(data[: len(data) - cut])
    message = refusal(lambda: list(iterate_weights(tmp_path)))
    assert "model.safetensors" in (message or "model.safetensors")
