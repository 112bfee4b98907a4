"""What a sentence says about its values: wanted, excluded, not needed; and which of them are one list."""

from __future__ import annotations

import re

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.polarity import Span, lists, roles
from pagoda.dialogue.reading.superlatives import superlatives

_MARKED = re.compile(r"\[([^\]]*)\]")


def marked(text: str) -> tuple[str, list[Span]]:
    """Text and spans of "no [seafood] please"."""
    plain, spans, last = "", list[Span](), 0
    for match in _MARKED.finditer(text):
        plain += text[last : match.start()]
        spans.append(("slot", len(plain), len(plain) + len(match[1])))
        plain, last = plain + match[1], match.end()
    return plain + text[last:], spans


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("不想吃[川菜]，琴台区有啥推荐", "e"),
        ("除了[火锅]都行", "e"),
        ("[too expensive]", "e"),
        ("[太贵]了", "e"),
        ("[太子酒店]", "w"),
        ("[Too Big to Fail]", "w"),
        ("[Songyue] is no problem", "w"),
        ("[Songyue] is out of the question", "e"),
        ("[Songyue] is out of town", "w"),
        ("skip to [Songyue]", "w"),
        ("skip [Songyue]", "e"),
        ("不必去掉[川菜]", "w"),
        ("少不了[川菜]", "w"),
        ("非[川菜]不吃", "w"),
        ("没有[川菜]不行", "w"),
        ("[Songyue] is not bad", "w"),
        ("[Songyue] is not for me", "e"),
        ("除了[川菜]还有什么", "e"),
        ("除了[泳池]，还要有[健身房]", "ww"),
        ("[川菜]以外的", "e"),
        ("[川菜]就算了，[粤菜]吧", "ew"),
        ("[川菜]不要太贵", "w"),
        ("不要[川菜]和[粤菜]", "ee"),
        ("不要[川菜]，要[粤菜]", "ew"),
        ("不是[川菜]是[粤菜]", "ew"),
        ("不看[喜剧]了，换[悬疑]", "ew"),
        ("只要不是[川菜]就行", "e"),
        ("别推荐[川菜]了", "e"),
        ("别的[川菜]馆", "w"),
        ("特别[便宜]的", "w"),
        ("不错的[川菜]馆", "w"),
        ("不如吃[川菜]", "w"),
        ("要不吃[川菜]吧", "w"),
        ("要不要吃[川菜]", "w"),
        ("能不能找个[川菜]馆", "w"),
        ("有没有[川菜]", "w"),
        ("没有[川菜]吗", "w"),
        ("如果没有[川菜]，[粤菜]也行", "ww"),
        ("不需要[早餐]", "u"),
        ("不，要[琴台区]的", "w"),
        ("anything but [Korean]", "e"),
        ("no [seafood] or [hot pot]", "ee"),
        ("not [cheap]", "e"),
        ("dont want [seafood]", "e"),
        ("somewhere other than [Luming]", "e"),
        ("not [horror], a [comedy]", "ew"),
        ("[Thai] instead of [Korean]", "we"),
        ("a hotel near the bus stop in [Jihong]", "w"),
        ("a restaurant by the metro stop near [Qintai]", "w"),
        ("one stop from [Qintai]", "w"),
        ("stop showing me [comedies]", "e"),
        ("quit offering [seafood]", "e"),
        ("neither [Korean] nor [Thai]", "ee"),
        ("why not [Korean]", "w"),
        ("not only [Korean]", "w"),
        ("no, in [Qintai]", "w"),
        ("no problem, [Korean]", "w"),
        ("I don't need [parking]", "u"),
    ],
)
def test_a_value_is_wanted_excluded_or_not_needed(text: str, told: str) -> None:
    assert "".join(role[0] for role in roles(*marked(text))) == told


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Korean in [Jihong] or [Yunxiu]", [[0, 1]]),
        ("in [Jihong] district or near [Luming]", [[0, 1]]),
        ("[川菜]馆或者[粤菜]", [[0, 1]]),
        ("[川菜]也行，[粤菜]也行", [[0, 1]]),
        ("[川菜]、[粤菜]", [[0, 1]]),
        ("[川菜]，[粤菜]都可以", [[0, 1]]),
        ("[Jihong], [Yunxiu] or [Luming]", [[0, 1, 2]]),
        ("[川菜]，[粤菜]", [[0], [1]]),
        ("[川菜]，不，[粤菜]", [[0], [1]]),
        ("[Sichuan], no wait, [Korean]", [[0], [1]]),
    ],
)
def test_values_of_one_list_belong_together(text: str, rows: list[list[int]]) -> None:
    assert lists(*marked(text)) == rows


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("最便宜的川菜馆", [("price", "lowest", "最便宜")]),
        ("the cheapest hotel", [("price", "lowest", "cheapest")]),
        ("价格最低的", [("price", "lowest", "价格最低")]),
        ("the lowest price", [("price", "lowest", "lowest price")]),
        ("口碑最高的酒店", [("rating", "highest", "口碑最高")]),
        ("find me the longest film", [("duration", "highest", "longest")]),
        ("最好是川菜", []),
        ("it would be best to be cheap", []),
        ("最近的餐馆", []),
    ],
)
def test_a_superlative_asks_for_an_order(text: str, found: list[tuple[str, str, str]]) -> None:
    read = superlatives(text, Domain.load())
    assert [(each.column, each.end_wanted, text[each.start : each.end]) for each in read] == found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I don't dislike Sichuan", "Sichuan"),
        ("not without parking", "parking"),
        ("我不讨厌川菜", "川菜"),
        ("不是不吃川菜", "川菜"),
        ("不能没有停车场", "停车场"),
    ],
)
def test_what_is_denied_twice_is_not_excluded(text: str, value: str) -> None:
    start = text.index(value)
    assert roles(text, [("slot", start, start + len(value))]) == ("wanted",)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("川菜和湘菜都不要", ("川菜", "湘菜")),
        ("anything except Thai, Korean or Japanese", ("Thai", "Korean", "Japanese")),
        ("neither Thai nor Korean", ("Thai", "Korean")),
    ],
)
def test_a_cue_before_or_behind_a_list_is_of_all_in_it(text: str, names: tuple[str, ...]) -> None:
    spans = [("cuisine", text.index(name), text.index(name) + len(name)) for name in names]
    assert set(roles(text, spans)) == {"excluded"}


def test_a_cue_behind_one_of_two_lists_is_of_that_alone() -> None:
    text = "要川菜，粤菜不要"
    spans = [("cuisine", text.index(name), text.index(name) + 2) for name in ("川菜", "粤菜")]
    assert roles(text, spans) == ("wanted", "excluded")
