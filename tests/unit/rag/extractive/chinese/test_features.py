"""Names of words: a span's edge has another name beside another word, however their last characters agree."""

from __future__ import annotations

import numpy as np
import pytest

from pagoda.rag.extractive.chinese.features import NUM_CHINESE_BUCKETS, NUM_EDGE_NAMES, NUM_SPAN_NAMES, read_chinese
from pagoda.rag.extractive.chinese.words import read_question, read_text


@pytest.mark.parametrize(
    ("question", "before", "after"),
    [("他担任什么职务？", "担任", "职务"), ("什么时候出生？", "", "出生"), ("作者是谁？", "是", "")],
)
def test_the_words_beside_the_question_word(question: str, before: str, after: str) -> None:
    read = read_question(question)
    assert (read.before, read.after) == (before, after)


def test_a_token_knows_the_word_that_it_stands_in() -> None:
    text = read_text("他在北京大学学习Python。")
    assert [text.whole[text.words.index(word)] for word in ("北", "学", "python", "。")] == [
        "北京大学", "北京大学", "python", "。",
    ]  # fmt: skip


def test_names_are_buckets_of_every_edge_and_every_span() -> None:
    passage = read_chinese("他担任什么职务？", "一九九八年他担任校长。")
    assert passage.starts.shape == passage.ends.shape == (len(passage.tokens), NUM_EDGE_NAMES)
    assert passage.names is not None
    assert passage.names.shape == (len(passage.spans), NUM_SPAN_NAMES)
    every = np.concatenate([each.ravel() for each in (passage.starts, passage.ends, passage.names)])
    assert 0 <= every.min() <= every.max() < NUM_CHINESE_BUCKETS


def test_the_verb_that_is_asked_with_is_part_of_a_name() -> None:
    text = "一九九八年他担任校长。"
    one, other = (read_chinese(question, text) for question in ("他担任什么职务？", "他获得什么职务？"))
    at = [token.text for token in one.tokens].index("校")
    assert one.starts[at].tolist() != other.starts[at].tolist()
    asked_alike = read_chinese("你担任什么职务？", text)
    assert one.starts[at][-2:].tolist() == asked_alike.starts[at][-2:].tolist()


@pytest.mark.parametrize(
    ("question", "text", "kept", "left"),
    [
        ("他哪一年出生？", "他1881年生于绍兴。", "1881", "绍兴"),
        ("山上有几座桥？", "山上有三座石桥。", "三", "石桥"),
        ("书写于哪个年份？", "书写于光绪年间，印于上海。", "光绪年间", "上海"),
    ],
)
def test_a_span_without_a_number_is_told_where_one_is_asked_for(question: str, text: str, kept: str, left: str) -> None:
    passage = read_chinese(question, text)
    spans = ["".join(token.text for token in passage.tokens[first : last + 1]) for first, last in passage.spans]
    assert passage.numberless is not None
    assert not passage.numberless[next(at for at, span in enumerate(spans) if kept in span)]
    assert passage.numberless[spans.index(left)]


def test_no_number_is_missed_where_an_event_may_answer() -> None:
    assert read_chinese("他什么时候回国？", "战争结束后他回国。").numberless is None
