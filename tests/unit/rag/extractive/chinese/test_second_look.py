"""A second look at the passage of a Chinese manual: its numbers, its weights, and that what is not told lowers it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import ANSWERS, Chunk, Hit
from pagoda.rag.extractive.chinese.second_look import (
    READ_WEIGHTS,
    USUALLY_APART,
    USUALLY_MET,
    ChineseFirstLook,
    ChineseLook,
    ChineseReadLook,
    chinese_confidence,
    load_chinese_look,
    look_at_chinese,
    passage_probability,
    read_look,
)
from pagoda.rag.extractive.showing.second_look import read_second_look
from pagoda.rag.extractive.spans import sentence_bounds

RECIPE = "牛奶加糖煮开。酸奶装瓶后放进冰箱，可以保存七天。吃的时候撒上坚果。"


def hit(text: str, bm25: float | None = None) -> Hit:
    return Hit(Chunk("a.md", "a.md", text, 0, len(text), 1), 1.0, {} if bm25 is None else {"bm25": bm25})


def look(question: str, text: str = RECIPE, known: ChineseFirstLook | None = None) -> ChineseLook:
    return look_at_chinese(question, hit(text), sentence_bounds(text), known or ChineseFirstLook(0.5, 2.0, 0.0))


def test_what_is_sought_near_the_words_of_the_question_is_told() -> None:
    told = look("酸奶放进冰箱可以保存几天？")
    assert (told.told_near, told.untold, told.no_count) == (1.0, 0.0, 0.0)
    assert (told.first, told.margin) == (0.0, 2.0)


def test_a_price_and_a_reason_that_are_not_there() -> None:
    assert look("一瓶酸奶多少钱？").untold == 1.0
    assert look("牛奶为什么要煮开？").told_near == 0.0
    assert look("牛奶为什么要煮开？", "牛奶要煮开，以免变质。").told_near == 1.0


def test_what_is_counted_counts_and_not_any_number() -> None:
    assert look("撒上几颗坚果？").no_count == 1.0
    assert look("撒上几颗坚果？", "吃的时候撒上十颗坚果。").no_count == 0.0


def test_the_reader_counts_up_to_a_point() -> None:
    assert look("谁？", known=ChineseFirstLook(0.5, 99.0, 0.0)).margin == 8.0
    assert look_at_chinese("谁？", hit(RECIPE), [], ChineseFirstLook(1.0, -99.0, 0.0)).margin == -8.0


def test_how_much_is_met_counts_up_to_a_point_and_beside_the_other_passages() -> None:
    known = ChineseFirstLook(0.5, 2.0, 1.0, others=(hit("糖。", 9.0), hit("盐。", 4.0)))
    told = look_at_chinese("加糖吗？", hit(RECIPE, 12.0), sentence_bounds(RECIPE), known)
    assert (told.met, told.ahead, told.names_missing) == (12.0, 3.0, 1.0)
    assert look_at_chinese("加糖吗？", hit(RECIPE, 99.0), [], known).met == 30.0
    alone = look("加糖吗？")
    assert (alone.met, alone.ahead) == (USUALLY_MET, 0.0)


def test_the_packaged_weights_believe_what_is_told_more() -> None:
    second = load_chinese_look()
    told = second.probability(look("酸奶放进冰箱可以保存几天？"))
    untold = second.probability(look("冰箱里的酸奶多久要换一次瓶子？"))
    assert 0 < untold < told < 1


def test_weights_of_other_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"least": 0.5, "weights": {"first": 1.0}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="other numbers"):
        load_chinese_look(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="no weights"):
        load_chinese_look(path)


def test_a_passage_that_was_read_with_the_question_is_believed_by_that() -> None:
    def confidence(joint: float | None, beside: float = -3.0) -> tuple[float, float]:
        parts = {} if joint is None else {ANSWERS: joint}
        chunk = Chunk("a.md", "a.md", RECIPE, 0, len(RECIPE), 1)
        other = Hit(chunk, 0.5, {} if joint is None else {ANSWERS: beside})
        known = ChineseFirstLook(0.5, 2.0, 0.0, others=(other,))
        return chinese_confidence("酸奶放几天会坏？", Hit(chunk, 1.0, parts), sentence_bounds(RECIPE), known)

    assert confidence(2.0)[0] > confidence(0.0)[0] > confidence(-4.0)[0]
    # Beyond some odds it says no more.
    assert confidence(8.0) == confidence(80.0)
    plain = load_chinese_look()
    own = look("酸奶放几天会坏？", known=ChineseFirstLook(0.5, 2.0, 0.0))
    assert confidence(None) == (pytest.approx(plain.probability(own)), plain.least)


def read(**parts: float) -> Hit:
    """A passage that was read with the question."""
    return Hit(Chunk("a.md", "a.md", RECIPE, 0, len(RECIPE), 1), 1.0, {ANSWERS: 0.0, **parts})


def test_what_stands_out_by_meaning_is_believed_more() -> None:
    def confidence(**parts: float) -> float:
        known = ChineseFirstLook(0.5, 2.0, 0.0, others=(read(),))
        return chinese_confidence("酸奶放几天会坏？", read(**parts), sentence_bounds(RECIPE), known)[0]

    assert confidence(stands_out=0.2) > confidence(stands_out=0.0)


def test_among_a_few_passages_none_stands_out_and_the_one_that_speaks_of_it_is_believed() -> None:
    own = look("酸奶放几天会坏？", known=ChineseFirstLook(0.5, 2.0, 0.0))
    few, many = read_look(own, read(bm25=2.0), ()), read_look(own, read(bm25=2.0, stands_out=USUALLY_APART), ())
    assert (few.few, many.few) == (1.0, 0.0)
    assert few.stands_out == many.stands_out == USUALLY_APART
    weights = read_second_look(READ_WEIGHTS, ChineseReadLook)
    assert weights.probability(few) > weights.probability(many)


def test_passages_are_ordered_by_reading_more_than_by_words() -> None:
    assert passage_probability(0.3, 1.0) > passage_probability(0.6, -2.0)
    assert passage_probability(0.6, 0.0) > passage_probability(0.2, 0.0)
