"""GGUF files that pagoda writes of folders, beside those that follow llama.cpp's converter, tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from gguf_cases import GGUF_CASES
from gguf_files import write_gguf
from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.gguf_saving import GGUFDraft
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.config_writing import architecture_name
from pagoda.models.quantise.streamed import StreamedNetwork
from tiny_models import Case

_JOINED = {"phi3", "chatglm", "glm4", "qwen2moe", "qwen3moe", "olmoe", "granitemoe"}
"""Whose files hold several matrices as one tensor."""
CASES = [
    pytest.param(arch, each, id=f"{arch}-{number}")
    for arch, cases in GGUF_CASES.items()
    for number, each in enumerate(cases)
    if arch not in _JOINED and each.case.family != "Mixtral"
]


def _draft(folder: Path) -> tuple[GGUFDraft, ModelConfig]:
    config = load_config(folder)
    network = StreamedNetwork(folder, config)
    return GGUFDraft(config, network.shapes, {}, network.tensor), config


def _numbers(path: Path) -> dict[str, np.ndarray]:
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize(("arch", "given"), CASES)
def test_a_folder_becomes_the_tensors_that_the_converter_writes(arch: str, given: Any, tmp_path: Path) -> None:
    theirs = given.case.build()
    theirs.save_pretrained(tmp_path / "folder")
    draft, config = _draft(tmp_path / "folder")
    draft.save({}, lambda _: pytest.fail("nothing is in codes"), tmp_path / "ours.gguf")
    name = architecture_name(config)
    write_gguf(theirs, tmp_path / "theirs.gguf", name, **(given.extra if name == arch else {}))
    ours, expected = _numbers(tmp_path / "ours.gguf"), _numbers(tmp_path / "theirs.gguf")
    assert ours.keys() == expected.keys()
    for tensor, values in expected.items():
        assert np.allclose(ours[tensor], values, rtol=1e-3, atol=1e-6), tensor


@pytest.mark.parametrize("arch", sorted(_JOINED))
def test_what_joins_matrices_is_refused(arch: str, tmp_path: Path) -> None:
    GGUF_CASES[arch][0].case.build().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"as one tensor .*: name a folder"):
        _draft(tmp_path)


def test_a_switch_that_no_key_says_is_refused(tmp_path: Path) -> None:
    Case(settings={"hidden_act": "gelu"}).build().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot say what this LlamaForCausalLM computes .*hidden_act='gelu'"):
        _draft(tmp_path)
