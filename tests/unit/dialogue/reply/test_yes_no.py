"""Whether what was asked about is so, by the row that answers it."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.reply.yes_no import is_so
from pagoda.dialogue.slots.kinds import Band, NodeValue, Range, Value, When

CITY = Domain.load()
POOL = NodeValue("Facility", "facility-003", "游泳池", "Swimming pool")
ROW: dict[str, Any] = {
    "key": "hotel-001", "name_zh": "新湖客栈", "name_en": "New Lake Guesthouse", "stars": 2, "price": 91,
    "facilities_zh": ["停车场", "洗衣"], "facilities_en": ["Parking", "Laundry"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("facilities", POOL, False), ("facilities", NodeValue("Facility", "f", "停车场", "Parking"), True),
        ("price", Range(50, 91), True), ("price", Range(50, 91, is_below=True), False),
        ("price", Range(100, None), False),
        ("price", Band("cheap"), True), ("price", Band("expensive"), False), ("stars", 2, True), ("stars", 3, False),
        ("rating", Range(4, None), None), ("price", When("2026-11-22T19:00"), None),
    ],
)  # fmt: skip
def test_what_was_asked_about_is_held_against_the_row(column: str, value: Value, told: bool | None) -> None:
    query = CITY.intents["find_hotel"].query
    assert query is not None
    wanted = query.column(column)
    assert wanted is not None
    assert is_so(query, wanted, value, ROW) is told


def test_a_list_that_may_be_cut_short_proves_nothing_by_what_it_lacks() -> None:
    query = CITY.intents["find_hotel"].query
    wanted = query.column("facilities") if query is not None else None
    assert query is not None
    assert wanted is not None
    full = {"facilities_zh": ["停车场"] * wanted.limit, "facilities_en": ["Parking"] * wanted.limit}
    assert is_so(query, wanted, POOL, full) is None


def test_the_answer_comes_before_what_is_known() -> None:
    said = Phrasebook(CITY).property("find_hotel", "facilities", ROW, "en", asked=[POOL])
    assert said == "Swimming pool: no. The facilities of New Lake Guesthouse: Parking, Laundry."
    assert (
        Phrasebook(CITY)
        .property("find_hotel", "price", ROW, "zh", asked=[Range(None, 100)])
        .startswith("100元以内：是。")
    )
