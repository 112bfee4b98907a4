"""A cross-encoder by its folder: a tiny random one stands for those that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.retrieval.reranker import load_reranker

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "office", "opens", "at", "nine", "tea"]


def save_cross_encoder(folder: Path, num_labels: int) -> Path:
    transformers = pytest.importorskip("transformers")
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=num_labels,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_each_text_has_one_score_whatever_stands_beside_it(tmp_path: Path, no_sockets: None) -> None:
    reranker = load_reranker(str(save_cross_encoder(tmp_path / "tiny", 1)))
    texts = ["office opens at nine", "tea", "at nine tea office"]
    scores = reranker.scores("office opens", texts)
    assert (scores.shape, scores.dtype, reranker.name) == ((3,), np.float32, "tiny")
    assert reranker.scores("office opens", texts[1:2])[0] == pytest.approx(scores[1], abs=1e-5)
    assert reranker.scores("office opens", []).shape == (0,)


def test_a_classifier_of_several_labels_is_refused(tmp_path: Path, no_sockets: None) -> None:
    reranker = load_reranker(str(save_cross_encoder(tmp_path / "three", 3)))
    with pytest.raises(ConfigError, match="single label"):
        reranker.scores("office", ["tea", "nine"])


def test_a_folder_without_a_model_is_refused_in_words(tmp_path: Path, no_sockets: None) -> None:
    with pytest.raises(ConfigError, match="no cross-encoder"):
        load_reranker(str(tmp_path))
