"""The bilingual embedder: which of its two networks reads a text, and that the two leave each other alone."""

from __future__ import annotations

import numpy as np
import pytest

from multilingual_file import write_model
from pagoda.minilm.multilingual import FILE
from pagoda.rag.documents.document import Chunk
from pagoda.rag.embedding import bilingual
from pagoda.rag.embedding.bilingual import BilingualEmbedder
from pagoda.rag.embedding.minilm import MiniLmEmbedder
from pagoda.rag.embedding.token_vectors import embed_headed
from pagoda.rag.embedding.vectors import PassageEmbedder, TokenEmbedder, reads
from pagoda.rag.index.snapshot import seen_by, vector_ids

CHARACTERS = sorted(set("怎么卸载这个软件打开设置点击删除应用付款方式有哪些"))
QUESTION, PASSAGE, ENGLISH = "怎么卸载这个软件", "打开设置点击删除应用", "How do I remove the app?"
THAI = "วิธีลบแอปออกจากเครื่องของคุณ"
"""One word to MiniLM."""


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> BilingualEmbedder:
    file = tmp_path_factory.mktemp("model") / FILE
    write_model(file, ["<s>", "<pad>", "</s>", "<unk>", "▁", *CHARACTERS, *sorted(set(THAI)), *"querypasg:"], {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bilingual, "packaged_file", lambda *_: file)
        return BilingualEmbedder()


def test_english_is_read_as_by_the_packaged_model(embedder: BilingualEmbedder) -> None:
    texts = [ENGLISH, QUESTION, "Payment"]
    vectors, tokens = embedder.embed_tokens(texts)
    own, own_tokens = MiniLmEmbedder().embed_tokens([ENGLISH, "Payment"])
    assert np.allclose(vectors[[0, 2]], own, atol=1e-5)
    assert [len(each.ids) for each in tokens] == [len(own_tokens[0].ids), 0, len(own_tokens[1].ids)]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_chinese_is_readable_and_wanted_whole(embedder: BilingualEmbedder) -> None:
    assert isinstance(embedder, TokenEmbedder)
    assert isinstance(embedder, PassageEmbedder)
    assert reads(embedder, QUESTION)
    assert not reads(MiniLmEmbedder(), QUESTION)
    # A script that neither has.
    assert not reads(embedder, "ᚠᚢᚦᚨᚱᚲ" * 5)
    assert embedder.wants_whole(PASSAGE)
    assert not embedder.wants_whole(ENGLISH)


def test_questions_and_passages_are_told_apart_by_their_headings(embedder: BilingualEmbedder) -> None:
    (asked,), (told,) = embedder.embed([PASSAGE]), embedder.embed_tokens([PASSAGE], [""])[0]
    assert not np.allclose(asked, told, atol=1e-3)


def test_a_text_has_the_same_vector_whatever_stands_beside_it(embedder: BilingualEmbedder) -> None:
    alone = embedder.embed([QUESTION])[0]
    among = embedder.embed([PASSAGE * 9, QUESTION, ENGLISH, PASSAGE])[1]
    # Products of bfloat16 in another order.
    assert alone @ among > 0.999


def test_a_chinese_chunk_has_one_vector_and_an_english_one_its_sentences(embedder: BilingualEmbedder) -> None:
    text = PASSAGE + "。" + QUESTION + "。"
    chinese = Chunk("c", "a.md", text, 0, len(text), 1, sentences=((0, 11), (11, len(text))))
    english = Chunk("e", "a.md", "One. Two.", 0, 9, 1, sentences=((0, 4), (5, 9)))
    assert vector_ids(seen_by(embedder, chinese)) == [f"c#0-{len(text)}"]
    assert vector_ids(seen_by(embedder, english)) == ["e#0-4", "e#5-9"]
    assert vector_ids(seen_by(MiniLmEmbedder(), chinese)) == []


def test_the_body_decides_who_reads_it_whatever_heading_it_stands_under(embedder: BilingualEmbedder) -> None:
    vectors, tokens = embed_headed(embedder, [("怎么卸载这个软件: ", ENGLISH), ("Settings of the app: " * 9, PASSAGE)])
    own, own_tokens = embed_headed(MiniLmEmbedder(), [("怎么卸载这个软件: ", ENGLISH)])
    assert vectors[0] @ own[0] > 0.999
    assert np.array_equal(tokens[0].ids, own_tokens[0].ids)
    assert len(tokens[0].ids)
    # What is wanted whole is read by the network that reads wholes, which tells no words.
    assert embedder.wants_whole(PASSAGE)
    assert len(tokens[1].ids) == 0
    other = MiniLmEmbedder().embed(["Settings of the app: " * 9 + PASSAGE])[0]
    assert abs(vectors[1] @ other) < 0.9


def test_progress_counts_all_texts_that_are_done(embedder: BilingualEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bilingual, "_PIECES_PER_BATCH", 12)
    told: list[int] = []
    embedder.embed([ENGLISH, QUESTION, PASSAGE, QUESTION * 2, PASSAGE * 2], on_progress=told.append)
    assert told == [1, 2, 3, 4, 5]


def test_texts_are_counted_as_whoever_reads_them_has_them(embedder: BilingualEmbedder) -> None:
    by_minilm = MiniLmEmbedder().num_tokens_batch([THAI, ENGLISH])
    assert by_minilm[0] < 5
    thai, english = embedder.num_tokens_batch([THAI, ENGLISH])
    # The made vocabulary has each character as a piece.
    assert thai >= len(THAI)
    assert english == by_minilm[1]
    assert embedder.num_tokens_batch([]) == []
