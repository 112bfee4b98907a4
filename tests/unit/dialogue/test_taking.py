"""Which questions are for documents: those whose words a property of the graph does not wholly explain."""

from __future__ import annotations

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.turn.taking import beside_property
from pagoda.nlu.understanding import Act, Understanding

CITY = Domain.load()
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")


def is_about_more(text: str, column: str, requested: ev.Requested) -> bool:
    read = Understanding(text, "en", "ask_property", 0.9, acts=(Act("request", value=column),))
    return any(map(str.isalnum, beside_property(read, [requested], CITY)))


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("第一家的电话是多少", "phone"),
        ("它几点关门", "closes"),
        ("青瓦小馆人均多少钱", "price"),
        ("what is their phone number?", "phone"),
        ("how much is it", "price"),
        ("what time does Green Tile Kitchen close?", "closes"),
        ("where is the second one?", "address"),
        ("这家餐馆好吃吗", "rating"),
    ],
)
def test_a_property_explains_its_own_questions(text: str, column: str) -> None:
    assert not is_about_more(text, column, ev.Requested(column, None, TILE))


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("押金多少钱", "price"),
        ("取消要多少钱", "price"),
        ("how much is the deposit", "price"),
        ("is there a number for complaints", "phone"),
        ("how long are repairs guaranteed", "duration"),
        ("会员卡怎么打开", "opens"),
    ],
)
def test_what_asks_for_more_is_for_the_documents(text: str, column: str) -> None:
    assert is_about_more(text, column, ev.Requested(column))
