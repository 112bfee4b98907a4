"""Sentences with two wishes are divided where they surely are, and read one wish after the other."""

from __future__ import annotations

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.completing.division import Divider
from pagoda.dialogue.reading.completing.one_at_a_time import OneAtATime
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding

CITY = Domain.load()
LINKER = Linker(
    Named(node)
    for node in (
        NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan"),
        NodeValue("Cuisine", "cuisine-002", "泰国菜", "Thai"),
        NodeValue("Cuisine", "cuisine-003", "印度菜", "Indian"),
        NodeValue("Genre", "genre-001", "喜剧", "Comedy"),
        NodeValue("Facility", "facility-001", "停车场", "Parking"),
        NodeValue("District", "district-001", "鹿鸣区", "Luming"),
    )
)
INTENTS = {
    **dict.fromkeys(("restaurant", "thai", "sichuan", "eat", "餐", "川菜"), "find_restaurant"),
    **dict.fromkeys(("hotel", "stay", "酒店"), "find_hotel"),
    **dict.fromkeys(("film", "喜剧"), "find_film"),
    "table": "book_restaurant",
}


class ByWords:
    """Reads the intent of the first word that it knows, and "Luming" or 鹿鸣区 as a location."""

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        places = sorted((text.lower().index(word), INTENTS[word]) for word in INTENTS if word in text.lower())
        slots = [
            SlotValue("location", word, text.index(word), text.index(word) + len(word))
            for word in ("Luming", "鹿鸣区")
            if word in text
        ]
        slots += [SlotValue("people", "two", text.index("two"), text.index("two") + 3)] if "two" in text else []
        intent = places[0][1] if places else OUT_OF_SCOPE
        return Understanding(text, "en" if text.isascii() else "zh", intent, 0.95, tuple(slots))


READER = OneAtATime(ByWords(), CITY, LINKER)


@pytest.mark.parametrize(
    ("text", "first", "further"),
    [
        ("find me a cheap Thai place and also a film tonight", "find_restaurant", ("find_film", "a film tonight")),
        ("a table for two and find me a hotel nearby", "book_restaurant", ("find_hotel", "find me a hotel nearby")),
        ("I need a place to stay. I also want some Sichuan food", "find_hotel",
         ("find_restaurant", "I also want some Sichuan food")),
        ("a hotel in Luming, then a comedy", "find_hotel", ("find_film", "a comedy")),
        ("I need a restaurant and a hotel", "find_restaurant", ("find_hotel", "a hotel")),
        ("帮我找个川菜馆，顺便看看附近有什么酒店", "find_restaurant", ("find_hotel", "看看附近有什么酒店")),
        ("想找鹿鸣区的酒店，另外推荐一部喜剧片", "find_hotel", ("find_film", "推荐一部喜剧片")),
        ("我要找个酒店住，周边有什么餐馆？", "find_hotel", ("find_restaurant", "周边有什么餐馆？")),
        ("鹿鸣区有什么酒店和餐馆吗？", "find_hotel", ("find_restaurant", "鹿鸣区有什么餐馆吗？")),
        ("找个酒店，便宜一点的川菜馆也要", "find_hotel", ("find_restaurant", "便宜一点的川菜馆也要")),
        ("a hotel in Luming, what is its phone? And a film", "find_hotel", ("find_film", "a film")),
        ("I want to see a film and then eat Sichuan food", "find_film", ("find_restaurant", "eat Sichuan food")),
        ("找一家餐馆然后再找个酒店", "find_restaurant", ("find_hotel", "找个酒店")),
    ],
)  # fmt: skip
def test_a_second_wish_is_found_and_its_words_are_none_of_the_first(
    text: str, first: str, further: tuple[str, str]
) -> None:
    read = READER.parse(text)
    assert (read.intent, read.further) == (first, (further,))
    assert text.startswith(read.text)
    assert further[1] not in read.text


@pytest.mark.parametrize(
    "text",
    [
        "a hotel near a cinema",
        "dinner and a view",
        "thai and indian food",
        "a hotel with parking and a restaurant",
        "I need a hotel, it should have a restaurant",
        "find a restaurant, and I need parking",
        "find me a hotel, not a restaurant",
        "a restaurant in Luming, near the hotel",
        "a table for two, and the restaurant should be in Luming",
        "The hotel is fine. I need a film",
        "酒店附近的餐厅",
        "找个酒店，要有餐厅",
        "找个酒店，附近有餐馆的",
        "找个酒店，需要有中式餐厅和热水",
        "找好酒店，我想找个餐馆吃饭",
        "我想吃川菜，不要酒店里的餐馆",
        "这家酒店的周边有餐馆吗？",
        "我要从餐馆打车，再去酒店",
    ],
)
def test_one_wish_is_not_divided(text: str) -> None:
    assert READER.parse(text).further == ()


@pytest.mark.parametrize(("text", "lost"), [("any hotels or films?", ["films"]), ("a hotel in Luming", [])])
def test_what_is_named_beside_and_cannot_be_kept_is_said_back(text: str, lost: list[str]) -> None:
    read = READER.parse(text)
    assert ([each.value for each in read.unused], read.further) == (lost, ())


def test_names_that_only_one_task_takes_are_things_and_features_are_not() -> None:
    things = Divider(CITY, LINKER).things("Sichuan food, parking, a comedy in Luming and a movie")
    assert [each.label for each in things] == ["Restaurant", "Film", "Film"]


def waiting(is_idle: bool, asked: str = "", **words: str) -> TurnContext:
    return TurnContext("find_restaurant", asked, waiting=words, is_idle=is_idle)


def test_what_waits_is_read_when_it_is_wanted() -> None:
    context = waiting(True, find_film="a film tonight", find_hotel="a hotel in Luming")
    for text in ("next", "yes please", "下一个", "ok, go on"):
        assert (READER.parse(text, context).intent, READER.parse(text, context).text) == ("find_film", "a film tonight")
    asked = waiting(False, "location", find_film="a film tonight")
    assert READER.parse("yes", asked).intent == OUT_OF_SCOPE
    assert READER.parse("next", asked).intent == "find_film"
    read_out = waiting(False, find_film="a film tonight")
    assert READER.parse("go ahead", read_out).intent == OUT_OF_SCOPE


def test_a_third_wish_waits_behind_the_second() -> None:
    read = READER.parse("find a Thai place, a hotel in Luming and a comedy")
    assert read.further == (("find_hotel", "a hotel in Luming and a comedy"),)
    second = READER.parse("next", waiting(True, **dict(read.further)))
    assert (second.intent, second.text, second.further) == (
        "find_hotel",
        "a hotel in Luming",
        (("find_film", "a comedy"),),
    )


def test_what_waits_and_is_asked_for_in_other_words_keeps_what_was_said() -> None:
    read = READER.parse("now the hotel", waiting(False, find_hotel="a hotel in Luming and a comedy"))
    assert [(slot.slot, slot.value, slot.start) for slot in read.slots] == [("location", "Luming", -1)]
    assert read.further == (("find_film", "a comedy"),)


def test_what_waits_is_begun_by_its_name_and_no_other() -> None:
    context = waiting(True, find_film="a film tonight")
    assert READER.parse("the film, please", context).intent == "find_film"
    assert READER.parse("the hotel, please", context).intent == "find_hotel"


def test_an_answer_and_a_yes_are_done_before_the_wish_beside_them() -> None:
    booking = TurnContext("book_restaurant")
    assert READER.parse("Yes, please book it. I also need a hotel", booking).further == (
        ("find_hotel", "I also need a hotel"),
    )
    assert READER.parse("Thanks. I also need a hotel", booking).further == ()
