"""Sampling and end tokens as a GGUF file has them: in the words of generation_config.json, or told and left out."""

from __future__ import annotations

import logging
from pathlib import Path

import gguf
import numpy as np
import pytest

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.loading import has_vocabulary, load_generation
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.gguf.generation import metadata_of_sampling, sampling_of
from pagoda.models.gguf.header_writing import header


def _file(path: Path, *, tokens: list[str] | None, **sampling: float) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in sampling.items():
        add = writer.add_uint32 if isinstance(value, int) else writer.add_float32
        add(f"general.sampling.{key}", value)
    if tokens is not None:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_eos_token_id(0)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens or "x"), 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_the_authors_wrote_is_what_is_sampled(tmp_path: Path) -> None:
    path = _file(tmp_path / "m.gguf", tokens=["<|im_end|>", "a", "<|eot_id|>"], temp=0.6, top_k=20, top_p=0.95)
    assert load_generation(path) == GenerationDefaults((0, 2), temperature=0.6, top_k=20, top_p=0.95)
    assert has_vocabulary(path)


def test_a_file_without_a_vocabulary_ends_at_no_token(tmp_path: Path) -> None:
    path = _file(tmp_path / "m.gguf", tokens=None)
    assert load_generation(path) == GenerationDefaults()
    assert not has_vocabulary(path)


def test_a_value_that_no_request_may_have_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path / "m.gguf", tokens=["a"], top_p=3.0)
    with pytest.raises(CheckpointError, match=r"m\.gguf has top_p=3\.0"):
        load_generation(path)


def test_sampling_is_written_as_numbers_of_the_kind_that_is_read(tmp_path: Path) -> None:
    said = metadata_of_sampling({"temperature": 1, "top_p": 1, "top_k": -1, "max_tokens": 5})
    assert {key: type(value) for key, value in said.items()} == {
        "general.sampling.temp": float, "general.sampling.top_p": float, "general.sampling.top_k": int,
    }  # fmt: skip
    (tmp_path / "m.gguf").write_bytes(header(said, 0))
    assert sampling_of(GGUFFile.open(tmp_path / "m.gguf").metadata) == {"temperature": 1, "top_p": 1, "top_k": -1}


def test_samplers_that_are_not_here_are_told(caplog: pytest.LogCaptureFixture) -> None:
    said = {
        "general.sampling.mirostat": 2,
        "general.sampling.xtc_probability": 0.0,
        "general.sampling.penalty_repeat": 1.5,
    }
    with caplog.at_level(logging.WARNING, "pagoda"):
        assert sampling_of(said) == {"repetition_penalty": 1.5}
    assert "goes without: mirostat" in caplog.text
