"""Quantities of a sentence go to the slots whose units or words stand beside them."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.slots.normalise import normalise
from pagoda.dialogue.slots.quantities import quantities_in
from pagoda.dialogue.slots.said import folded

DOMAIN = Domain.load()
NOW = datetime(2026, 11, 21, 10, 0)


def found(text: str, intent: str, asked: str = "", **more: object) -> dict[str, str]:
    slots = [DOMAIN.slots[name] for name in DOMAIN.intents[intent].slots]
    return {each.slot: each.words for each in quantities_in(folded(text), slots, asked, **more)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "intent", "quantities"),
    [
        ("哪家人均80到120块、打分4.2分以上？", "find_restaurant", {"price": "80到120块", "rating": "4.2分以上"}),
        ("预算不超过三百的馆子", "find_restaurant", {"price": "不超过三百"}),
        ("两百以内的面馆", "find_restaurant", {"price": "两百以内"}),
        (
            "rated 4.4 or better, $15-$25 a head",
            "find_restaurant",
            {"price": "$15-$25 a head", "rating": "4.4 or better"},
        ),
        ("四星级，最低价格350-450元", "find_hotel", {"price": "350-450元", "stars": "四星级"}),
        ("3 stars under 400 yuan", "find_hotel", {"price": "under 400 yuan", "stars": "3 stars"}),
        ("电话是62341234的那家", "find_restaurant", {}),
        ("离地铁500米以内", "find_restaurant", {}),
        ("within 500 metres of the station", "find_restaurant", {}),
        ("步行10分钟以内", "find_restaurant", {}),
        ("at least 30 square metres", "find_hotel", {}),
        ("价格便宜的，30平米以上", "find_hotel", {}),
        ("a film under 120 minutes, rated 8", "find_film", {"rating": "8"}),
        ("一晚300元以内", "find_hotel", {"price": "300元以内"}),
        ("a film rated 8.25 or more", "find_film", {"rating": "8.25 or more"}),
        ("films after 2000", "find_film", {}),
        ("films rated 8 around 19.30", "find_film", {"time": "19.30", "rating": "8"}),
        ("第2家和第3家", "find_restaurant", {}),
    ],
)
def test_prices_and_ratings_by_their_units_and_words(text: str, intent: str, quantities: dict[str, str]) -> None:
    assert found(text, intent) == quantities


@pytest.mark.parametrize(
    ("text", "quantities"),
    [
        ("for 6 people at 11:30 on Tuesday", {"time": "at 11:30 on Tuesday", "people": "6 people"}),
        ("Tuesday , for 6 , at 11:30", {"time": "Tuesday at 11:30", "people": "6"}),
        ("后天晚上两大一小七点半", {"time": "后天晚上 七点半", "people": "两大一小"}),
        ("table for 3   at 19:15 tomorrow", {"time": "at 19:15 tomorrow", "people": "table for 3"}),
        ("a table at 8 or 9 tonight", {"time": "at 8 or 9 tonight"}),
        ("今晚八点或者九点，四位", {"time": "今晚八点或者九点", "people": "四位"}),
        ("make it for one in the afternoon", {"time": "one in the afternoon"}),
        ("table for 8 in the evening", {"time": "evening", "people": "table for 8"}),
    ],
)
def test_all_pieces_of_a_time_are_one_expression(text: str, quantities: dict[str, str]) -> None:
    told = found(text, "book_restaurant")
    assert {slot: words.replace("at 1", "1") for slot, words in told.items()} == {
        slot: words.replace("at 1", "1") for slot, words in quantities.items()
    }


@pytest.mark.parametrize(
    ("text", "asked", "quantities"),
    [
        ("8", "people", {"people": "8"}),
        ("8", "time", {"time": "8"}),
        ("八", "people", {"people": "八"}),
        ("about 8", "people", {"people": "8"}),
        ("about 8", "time", {"time": "about 8"}),
        ("8 please, outside", "people", {"people": "8"}),
        ("8", "", {}),
        ("8 of us", "time", {"people": "8 of us"}),
        ("at 8", "people", {"time": "at 8"}),
    ],
)
def test_a_bare_number_belongs_to_the_question_that_is_open(text: str, asked: str, quantities: dict[str, str]) -> None:
    assert found(text, "book_restaurant", asked) == quantities


def test_what_is_part_of_a_name_is_no_number() -> None:
    assert found("book 7 Bridges for 2", "book_restaurant", names=[(5, 14)]) == {"people": "2"}


def test_one_more_is_found_where_there_is_a_number_to_add_to() -> None:
    assert found("one more", "book_restaurant", known={"people"}) == {"people": "one more"}
    assert found("one more", "book_restaurant") == {}


def test_units_of_the_domain_find_its_numbers() -> None:
    pages = Slot("pages", "number", {"en": "pages"}, plain="at_most", units={"zh": ("页",), "en": ("pages",)})
    assert [each.words for each in quantities_in("under 300 pages, at 7", [pages])] == ["under 300 pages"]


@pytest.mark.parametrize(
    "words", ["500米", "within 2 km", "10分钟以内", "30平米以上", "25度", "80%", "a 10-minute walk", "3岁"]
)
def test_an_amount_of_another_quantity_is_no_answer_to_what_the_budget_is(words: str) -> None:
    assert found(words, "find_restaurant", "price") == {}
    assert normalise(DOMAIN.slots["price"], words, NOW) is None
