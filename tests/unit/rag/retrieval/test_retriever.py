"""Retrieval over small pools: fusion, scripts, filters, ties."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.rag.documents.document import Chunk, Document
from pagoda.rag.evaluation.retrieval import ClosedPool, pool_snapshot
from pagoda.rag.index.snapshot import Snapshot, owners
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.retriever import Retriever

ENGLISH = ["Staff have leave of 15 days.", "Tickets need the approval of a lead.", "The office opens at nine."]
CHINESE = ["员工每年有十五天年假。", "机票须经主管审批。", "办公室九点开门。"]
QUESTIONS = [
    ("How many days of leave do staff have?", 0),
    ("Who gives approval for tickets?", 1),
    ("When opens the office?", 2),
]
FRAGEN = [("每年有几天年假？", 3), ("机票由谁审批？", 4), ("办公室几点开门？", 5)]


class ReversingReranker:
    """Likes the last candidate best."""

    name = "reversing"

    def __init__(self) -> None:
        self.num_read = 0

    def scores(self, question: str, texts: Any) -> np.ndarray:
        self.num_read = len(texts)
        return np.arange(len(texts), dtype=np.float32)


class MisleadingEmbedder:
    """Knows no Chinese, and finds the last text of all likest to whatever it is asked in Chinese."""

    name, dimension, max_tokens = "misleading", 2, 256

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.dimension = inner.dimension + 1

    def unknown_share(self, text: str) -> float:
        return self.inner.unknown_share(text)

    def embed(self, texts: Any, on_progress: Any = None) -> np.ndarray:
        vectors = np.hstack([self.inner.embed(texts), np.zeros((len(texts), 1), dtype=np.float32)])
        for row, text in enumerate(texts):
            if text == CHINESE[-1] or "？" in text:
                vectors[row] = [0] * self.inner.dimension + [1]
        return vectors


def chunks_of(texts: list[str], metadata: dict[str, Any] | None = None) -> list[Chunk]:
    return [
        Chunk(str(i), f"{i % 2}.txt", text, 0, len(text), 1, page=i, metadata=metadata or {"row": i})
        for i, text in enumerate(texts)
    ]


def make(embedder: Any, texts: list[str], **options: Any) -> Retriever:
    chunks = chunks_of(texts)
    vectors = embedder.embed([text for chunk in chunks for text in chunk.sentence_texts()])
    return Retriever(Snapshot(1, chunks, vectors, owners(chunks)), Bm25Index.build(texts), embedder, **options)


@pytest.mark.parametrize(("question", "row"), QUESTIONS + FRAGEN)
def test_both_languages_are_found_in_one_pool(embedder: Any, question: str, row: int) -> None:
    assert make(embedder, ENGLISH + CHINESE).retrieve(question, 1)[0].text == (ENGLISH + CHINESE)[row]


def test_an_embedder_that_cannot_read_a_question_is_not_asked(embedder: Any) -> None:
    retriever = make(embedder, ENGLISH + CHINESE)
    calls = len(embedder.calls)
    hits = retriever.retrieve("办公室几点开门？", 3)
    assert len(embedder.calls) == calls
    assert all("dense" not in hit.parts for hit in hits)


@pytest.mark.parametrize(("question", "row"), FRAGEN)
def test_noise_of_an_embedder_that_cannot_read_makes_no_chinese_answer_worse(
    embedder: Any, question: str, row: int
) -> None:
    pool = ENGLISH + CHINESE
    words = int(Bm25Index.build(pool).scores(question).argmax())
    assert words == row
    assert make(MisleadingEmbedder(embedder), pool).retrieve(question, 1)[0].text == pool[words]


def test_chinese_chunks_get_no_vector_score_for_an_english_question(embedder: Any) -> None:
    hits = make(embedder, ENGLISH + CHINESE).retrieve(QUESTIONS[0][0], 6)
    assert {hit.text for hit in hits if "dense" in hit.parts} == set(ENGLISH)


def test_a_sentence_is_found_by_the_title_of_its_document(embedder: Any) -> None:
    pool = ClosedPool("towers", tuple(Document(f"{t}.txt", "It has many floors.", t) for t in ("Drum", "Bell")), ())
    snapshot = pool_snapshot(pool, embedder)
    texts = [chunk.heading + chunk.text for chunk in snapshot.chunks]
    hits = Retriever(snapshot, Bm25Index.build(texts), embedder).retrieve("How many floors has the Bell tower?", 2)
    assert hits[0].source == "Bell.txt"
    assert hits[0].parts["dense"] > hits[1].parts["dense"]


def test_how_far_a_vector_score_stands_out_hangs_on_no_number_of_hits(embedder: Any) -> None:
    rooms = [
        "Soup is served at noon.",
        "Paper lies in the cellar.",
        "Ring twice at the gate.",
        "Bikes stand in the yard.",
    ]
    retriever = make(embedder, [*ENGLISH, *rooms, "Lamps go out by themselves."])
    hits = retriever.retrieve(QUESTIONS[0][0], 8)
    standing = [hit.parts["stands_out"] for hit in hits]
    assert sum(standing) == pytest.approx(0.0, abs=1e-6)
    (first,) = retriever.retrieve(QUESTIONS[0][0], 1)
    assert first.parts["stands_out"] == standing[0] > 0


def test_among_a_few_chunks_nothing_stands_out(embedder: Any) -> None:
    hits = make(embedder, ENGLISH + CHINESE).retrieve(QUESTIONS[0][0], 8)
    assert all("stands_out" not in hit.parts for hit in hits)


def test_a_chunk_counts_by_its_best_sentence(embedder: Any) -> None:
    text = "Nothing of use is said here. The office opens at nine. More of nothing."
    first, second = text.index("The"), text.index("More")
    chunk = Chunk(
        "0", "a.txt", text, 0, len(text), 1, sentences=((0, first - 1), (first, second - 1), (second, len(text)))
    )
    vectors = embedder.embed(chunk.sentence_texts())
    retriever = Retriever(Snapshot(1, [chunk], vectors, owners([chunk])), Bm25Index.build([text]), embedder)
    assert retriever.retrieve("The office opens at nine.")[0].parts["dense"] == pytest.approx(1.0, abs=1e-5)


def test_many_questions_get_the_hits_that_each_gets_alone_with_one_embedding_call(embedder: Any) -> None:
    rng = random.Random(0)
    words = "red blue tea coffee river lake stone paper lamp road".split()  # noqa: SIM905
    texts = [" ".join(rng.choices(words, k=8)) for _ in range(60)] + CHINESE
    retriever = make(embedder, texts)
    questions = [" ".join(rng.choices(words, k=3)) for _ in range(40)] + [question for question, _ in FRAGEN]
    calls = len(embedder.calls)
    together = retriever.retrieve_batch(questions, 7)
    assert len(embedder.calls) == calls + 1
    for question, hits in zip(questions, together, strict=True):
        alone = retriever.retrieve(question, 7)
        assert [hit.chunk.chunk_id for hit in alone] == [hit.chunk.chunk_id for hit in hits]
        assert [hit.score for hit in alone] == pytest.approx([hit.score for hit in hits], abs=1e-5)


def test_equal_chunks_keep_the_order_of_the_documents(embedder: Any) -> None:
    texts = ["same words here"] * 5 + ["other"]
    # Of one document: those of several would be copies.
    chunks = [replace(chunk, source="a.txt") for chunk in chunks_of(texts)]
    snapshot = Snapshot(1, chunks, embedder.embed(texts), owners(chunks))
    hits = Retriever(snapshot, Bm25Index.build(texts), embedder).retrieve("same words", 3)
    assert [hit.chunk.chunk_id for hit in hits] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"source": "1.txt"}, {"1", "3", "5"}),
        ({"row": [0, 4]}, {"0", "4"}),
        ({"row": 2, "source": "1.txt"}, set()),
        ({"page": 3}, {"3"}),
        ({"row": []}, set()),
        ({"team": "hr"}, set()),
        ({}, {"0", "1", "2", "3", "4", "5"}),
    ],
)
def test_a_filter_lets_only_matching_chunks_through(embedder: Any, where: dict[str, Any], found: set[str]) -> None:
    hits = make(embedder, ENGLISH + CHINESE).retrieve("office", 10, where)
    assert {hit.chunk.chunk_id for hit in hits} == found


def test_fewer_chunks_than_asked_for_are_all_given(embedder: Any) -> None:
    assert len(make(embedder, ENGLISH).retrieve("office", 50)) == 3


def test_no_hits_is_no_number_of_hits(embedder: Any) -> None:
    with pytest.raises(InvalidRequestError, match="at least 1"):
        make(embedder, ENGLISH).retrieve("office", 0)


def test_an_index_of_other_chunks_is_refused(embedder: Any) -> None:
    chunks = chunks_of(ENGLISH)
    snapshot = Snapshot(1, chunks, embedder.embed(ENGLISH), owners(chunks))
    with pytest.raises(ConfigError, match="build it anew"):
        Retriever(snapshot, Bm25Index.build(CHINESE + CHINESE), embedder)


def test_an_empty_pool_has_no_hits(embedder: Any) -> None:
    empty = Snapshot(1, [], np.zeros((0, embedder.dimension), dtype=np.float32), owners([]))
    assert Retriever(empty, Bm25Index.build([]), embedder).retrieve_batch(["office", "办公室"]) == [[], []]


def test_a_reranker_has_the_last_word_and_reads_more_than_is_asked_for(embedder: Any) -> None:
    reranker = ReversingReranker()
    texts = [f"office number {i}" for i in range(50)]
    hits = make(embedder, texts, reranker=reranker).retrieve("office", 6)
    assert reranker.num_read == 24
    assert [hit.score for hit in hits] == [23, 22, 21, 20, 19, 18]
    assert hits[0].parts["rerank"] == 23


class LastReader:
    """Finds that a passage answers the more, the later it stands; takes Chinese alone."""

    def __init__(self) -> None:
        self.read_passages: list[str] = []

    def takes(self, question: str) -> bool:
        return "？" in question

    def read(self, question: str, passages: Any) -> np.ndarray:
        self.read_passages = [passage.text for passage in passages]
        return np.arange(len(passages), dtype=np.float32) - 1


def test_a_reader_orders_the_best_of_the_questions_that_it_takes(embedder: Any) -> None:
    # Far enough from each other to be no versions of one text.
    texts = [f"{place * 9}的办公室开门。" for place in "山水田土金木火日月风云雨雪江海"] + ENGLISH
    reader = LastReader()
    retriever = make(embedder, texts, reader=reader)
    plain = make(embedder, texts).retrieve("办公室几点开门？", 15)

    hits = retriever.retrieve("办公室几点开门？", 15)
    assert reader.read_passages == [hit.text for hit in plain[:12]]
    assert [hit.text for hit in hits[:12]] == reader.read_passages[::-1]
    # Of the last, what it lacks to the best is taken off.
    assert hits[0].parts["answers"] == pytest.approx(10 + 0.15 * (plain[11].score - plain[0].score), abs=1e-3)
    # Whoever sorts by score has them in this order; what each was found by is told.
    assert [hit.score for hit in hits] == [hit.score for hit in plain]
    assert [hit.parts["fused"] for hit in hits[:12]] == [hit.score for hit in plain[11::-1]]
    # What was not read stands behind, and says nothing of itself.
    assert [hit.text for hit in hits[12:]] == [hit.text for hit in plain[12:]]
    assert all("answers" not in hit.parts for hit in hits[12:])

    reader.read_passages = []
    assert "answers" not in retriever.retrieve("When opens the office?", 1)[0].parts
    assert not reader.read_passages


def test_a_reranker_is_not_overruled_by_a_reader(embedder: Any) -> None:
    reader = LastReader()
    retriever = make(embedder, CHINESE + ENGLISH, reranker=ReversingReranker(), reader=reader)
    hits = retriever.retrieve("办公室几点开门？", 6)
    assert [hit.score for hit in hits] == [5, 4, 3, 2, 1, 0]
    assert not reader.read_passages
