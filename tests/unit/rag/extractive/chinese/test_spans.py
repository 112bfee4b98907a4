"""What is never a candidate: a part of a number, which is another number."""

from __future__ import annotations

import pytest

from pagoda.rag.extractive.chinese.spans import chinese_candidates
from pagoda.rag.extractive.chinese.words import read_text


def _candidates(sentence: str) -> set[str]:
    text = read_text(sentence)
    return {"".join(text.words[first : last + 1]) for first, last in chinese_candidates(text).tolist()}


@pytest.mark.parametrize(
    ("sentence", "whole", "parts"),
    [
        ("租车押金为三百八十元。", "三百八十元", ("百八十元", "八十元", "十元", "三百")),
        ("一九九八年夏天开馆。", "一九九八年", ("九八年", "一九九")),
        ("总长度为3万公里。", "3万公里", ("万公里", "3")),
    ],
)
def test_a_number_in_characters_is_taken_whole(sentence: str, whole: str, parts: tuple[str, ...]) -> None:
    found = _candidates(sentence)
    assert whole in found
    assert not found & {*parts}


def test_what_is_said_of_a_name_is_a_candidate_from_its_verb_on() -> None:
    assert "是芦荟科芦荟属的多年生草本植物" in _candidates("库拉索芦荟是芦荟科芦荟属的多年生草本植物。")
