"""Recall over closed pools: loading, counting, and the figures of the Chinese sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.evaluation.retrieval import evaluate_retrieval, load_pool, pool_snapshot, rank_of
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.retriever import Retriever

ROWS = [
    {"title": "a", "context": "Tea is\u2028green.", "qas": [{"question": "Which is green?"}]},
    {
        "title": "b",
        "context": "Coffee is black.",
        "qas": [{"question": "Black?"}, {"question": "?", "impossible": True}],
    },
    {"title": "a", "context": "Tea is\u2028green.", "qas": [{"question": "What is tea?"}]},
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def hits(*sources: str) -> list[Hit]:
    return [Hit(Chunk(str(i), source, "", 0, 0, 1), 1.0) for i, source in enumerate(sources)]


def test_equal_paragraphs_are_one_document_and_questions_without_answer_are_left_out(tmp_path: Path) -> None:
    pool = load_pool(write(tmp_path / "set.jsonl", ROWS))
    assert [document.text for document in pool.documents] == ["Tea is\u2028green.", "Coffee is black."]
    assert [entry.source for entry in pool.questions] == ["00000.txt", "00001.txt", "00000.txt"]
    assert len(load_pool(tmp_path / "set.jsonl", max_questions=1).questions) == 1


@pytest.mark.parametrize("line", ["{", "[]", '{"context": 3, "qas": []}', '{"context": "x", "qas": [{"q": "y"}]}'])
def test_a_line_that_is_no_paragraph_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + line, encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2"):
        load_pool(tmp_path / "set.jsonl")


def test_a_set_without_questions_or_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no question"):
        load_pool(write(tmp_path / "set.jsonl", [{"context": "x", "qas": []}]))
    with pytest.raises(ConfigError, match="cannot read"):
        load_pool(tmp_path / "nowhere.jsonl")


def test_recall_counts_the_first_hit_of_the_right_source(tmp_path: Path) -> None:
    pool = load_pool(write(tmp_path / "set.jsonl", ROWS))
    found = {"Which is green?": hits("00000.txt"), "Black?": hits("x", "00001.txt"), "What is tea?": hits("x", "y")}
    scores = evaluate_retrieval(pool, lambda questions, k: [found[q] for q in questions], ks=(1, 2))
    assert scores.recall == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}
    assert scores.mrr == pytest.approx((1 + 0.5) / 3)
    assert rank_of("b", hits("a", "b", "b")) == 2


def test_no_number_of_hits_is_refused(tmp_path: Path) -> None:
    pool = load_pool(write(tmp_path / "set.jsonl", ROWS))
    with pytest.raises(ConfigError, match="1 or more"):
        evaluate_retrieval(pool, lambda questions, k: [], ks=(0,))


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "at_1", "at_5"), [("cmrc2018", 0.975, 0.995), ("drcd_zh", 0.96, 0.995)])
def test_the_right_chinese_paragraph_is_found(
    name: str, at_1: float, at_5: float, shared_data: Path, embedder: Any
) -> None:
    pool = load_pool(shared_data / "dev" / f"{name}.jsonl", max_questions=700)
    snapshot = pool_snapshot(pool, embedder)
    retriever = Retriever(snapshot, Bm25Index.build([chunk.text for chunk in snapshot.chunks]), embedder)
    scores = evaluate_retrieval(pool, retriever.retrieve_batch)
    assert scores.recall[1] >= at_1
    assert scores.recall[5] >= at_5
