"""Terms of both languages, and BM25 over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pagoda.rag.english import stem
from pagoda.rag.errors import RagError
from pagoda.rag.retrieval.lexical import Bm25Index, tokenize

TEXTS = ["Staff have 15 days of leave.", "住宿标准每晚五百元。", "Tickets need approval.", "機票須經審批。"]


@pytest.mark.parametrize(
    "words",
    [
        ("stop", "stopped", "stopping"),
        ("city", "cities", "city's"),
        ("move", "moved", "moving"),
        ("act", "acts"),
        ("feed", "fed", "feeding"),
        ("take", "took", "taken", "taking"),
        ("bring", "brought"),
        ("keep", "kept"),
        ("write", "wrote", "written"),
    ],
)
def test_forms_of_a_word_are_one_term(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1


def test_what_looks_like_a_form_of_an_irregular_verb_and_is_a_word_of_its_own_stays() -> None:
    assert {stem(word) for word in ("left", "ground", "rose", "saw")}.isdisjoint(
        map(stem, ("leave", "grind", "rise", "see"))
    )


@pytest.mark.parametrize("word", ["bit", "led", "shot", "spoke", "rung", "felt", "thought"])
def test_a_noun_that_a_verb_has_as_a_form_meets_its_plural(word: str) -> None:
    assert stem(word) == stem(f"{word}s")


def test_chinese_words_are_found_by_characters_and_their_pairs() -> None:
    assert tokenize("北京大学") == ["北", "京", "大", "学", "北京", "京大", "大学"]


def test_words_that_only_build_a_question_are_no_terms() -> None:
    assert tokenize("What is the") == []
    assert tokenize("是什么") == []


def test_numbers_and_names_are_kept_and_full_width_ones_are_the_same() -> None:
    assert tokenize("GB-2312 costs 1,200.50") == ["gb", "2312", "cost", "1200.50"]
    assert tokenize("ＧＢ２３１２") == tokenize("gb2312")
    assert tokenize("café") == tokenize("cafe")


@pytest.mark.parametrize(
    ("query", "row"), [("days of leave", 0), ("住宿每晚多少钱？", 1), ("approved ticket", 2), ("機票", 3)]
)
def test_the_text_that_shares_words_has_the_highest_score(query: str, row: int) -> None:
    scores = Bm25Index.build(TEXTS).scores(query)
    assert scores.dtype == np.float32
    assert int(scores.argmax()) == row


def test_a_query_without_known_words_scores_nothing() -> None:
    assert Bm25Index.build(TEXTS).scores("zzz ???").tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("texts", [[], ["", "。"], TEXTS])
def test_a_saved_index_scores_as_before(texts: list[str], tmp_path: Path) -> None:
    index = Bm25Index.build(texts)
    index.save(tmp_path / "bm25")
    loaded = Bm25Index.load(tmp_path / "bm25")
    assert len(loaded) == len(texts)
    assert loaded.scores("leave 住宿").tolist() == index.scores("leave 住宿").tolist()


def test_an_index_that_was_not_saved_to_its_end_is_refused(tmp_path: Path) -> None:
    Bm25Index.build(TEXTS).save(tmp_path)
    next(tmp_path.glob("*.npy")).unlink()
    with pytest.raises(RagError, match="build it anew"):
        Bm25Index.load(tmp_path)
    with pytest.raises(RagError, match="build it anew"):
        Bm25Index.load(tmp_path / "nowhere")


def test_simplified_and_traditional_chinese_find_each_other() -> None:
    index = Bm25Index.build(["圖書館九點開門。", "体育馆八点开门。", "Nothing."])
    assert index.scores("图书馆几点开门？").argmax() == 0
    assert index.scores("體育館").argmax() == 1
