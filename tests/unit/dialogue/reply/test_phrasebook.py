"""Replies from rows, and the check that a rephrasing adds neither number nor name."""

from __future__ import annotations

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Order
from pagoda.dialogue.reply.check import check_rephrasing
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.slots.kinds import Band, Except, NodeValue, OneOf, Range, Value, When
from pagoda.dialogue.state.actions import Ask, LookUp

CITY = Domain.load()
SAYS = Phrasebook(CITY)
OFFICE = NodeValue("Landmark", "landmark-001", "青岚科技", "Qinglan Technology")
LUMING = NodeValue("District", "district-003", "鹿鸣区", "Luming")
SICHUAN = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
HUNAN = NodeValue("Cuisine", "cuisine-003", "湘菜", "Hunan")
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
ROW = {
    "key": "restaurant-001",
    "name_zh": "青瓦小馆",
    "name_en": "Green Tile Kitchen",
    "price": 19,
    "rating": 4.3,
    "cuisine_zh": ["北京菜", "川菜"],
    "cuisine_en": ["Beijing", "Sichuan"],
    "district_zh": "松月区",
    "district_en": "Songyue",
    "distance": 540,
}
OTHER = {**ROW, "key": "restaurant-002", "name_zh": "白鹿食府", "name_en": "White Deer House", "price": None}
KNOWN = ("青瓦小馆", "白鹿食府", "红鹤餐厅", "Green Tile Kitchen", "White Deer House", "Red Crane Restaurant")


def test_one_result_is_told_in_one_sentence_in_each_language() -> None:
    assert SAYS.found("find_restaurant", [ROW], "zh", filters={"location": OFFICE}) == (
        "找到一个（青岚科技附近）：青瓦小馆：人均19元，评分4.3，北京菜、川菜，松月区，离青岚科技540米"
    )
    assert SAYS.found("find_restaurant", [ROW], "en", filters={"location": OFFICE}) == (
        "I found one (near Qinglan Technology): Green Tile Kitchen — ¥19 a head, rated 4.3, Beijing, Sichuan, Songyue, "
        "540 m from Qinglan Technology"
    )


def test_results_are_numbered_and_what_is_missing_is_left_out() -> None:
    lines = SAYS.found("find_restaurant", [ROW, OTHER], "en").splitlines()
    assert lines[0] == "I found 2:"
    assert SAYS.found("find_restaurant", [ROW, OTHER], "en", has_more=True).splitlines() == [
        "Here are the first 2, there are more:",
        *lines[1:],
    ]
    assert SAYS.found("find_restaurant", [ROW], "zh", has_more=True).startswith("先列出1个，还有更多：\n1. 青瓦小馆")
    assert lines[1].startswith("1. Green Tile Kitchen — ¥19")
    assert lines[2].startswith("2. White Deer House — rated 4.3")


def test_what_was_given_up_is_said() -> None:
    assert "价格、评分" in SAYS.found("find_restaurant", [ROW], "zh", relaxed=["price", "rating"]).splitlines()[0]
    assert SAYS.found("find_restaurant", [], "en").startswith("I found nothing suitable")


def test_every_search_says_what_it_was_for() -> None:
    filters: dict[str, Value] = {
        "cuisine": Except((HUNAN,), SICHUAN),
        "price": Range(None, 60, is_below=True),
        "rating": Range(4.5, None),
        "location": OneOf((OFFICE, LUMING)),
    }
    by_price = LookUp("find_restaurant", filters, order=Order("price"))
    said = SAYS.found("find_restaurant", [ROW, OTHER], "en", filters=filters, asked=by_price).splitlines()[0]
    assert said == (
        "I found 2 (Sichuan, not Hunan, near Qinglan Technology or Luming, less than ¥60, rating at least 4.5, "
        "cheapest first):"
    )
    by_rating = LookUp("find_restaurant", filters, order=Order("rating", True))
    said = SAYS.found("find_restaurant", [ROW, OTHER], "zh", filters=filters, asked=by_rating).splitlines()[0]
    assert said == "找到2个（川菜，不要湘菜，青岚科技或鹿鸣区附近，低于60元，评分4.5分以上，评分最高在前）："
    nothing = SAYS.found("find_restaurant", [], "zh", filters={"cuisine": SICHUAN})
    assert nothing.startswith("没有找到合适的（川菜）。")
    by_year = LookUp("find_film", {}, order=Order("year"))
    assert SAYS.found("find_film", [ROW, OTHER], "zh", asked=by_year).startswith("找到2个（最老在前）")
    assert SAYS.wishes("find_hotel", {}, "en", Order("stars")) == " (lowest stars first)"
    assert SAYS.wishes("find_hotel", {}, "zh") == ""


def test_what_emptied_the_result_is_named_with_its_value() -> None:
    asked: dict[str, Value] = {"cuisine": SICHUAN, "price": Range(None, 20)}
    given: dict[str, Value] = {"price": Range(None, 20)}
    said = SAYS.found(
        "find_restaurant",
        [ROW],
        "en",
        filters={"cuisine": SICHUAN},
        relaxed=["price"],
        asked=LookUp("find_restaurant", asked),
        given=given,
    ).splitlines()
    assert said[0] == "Nothing fits everything (Sichuan, at most ¥20), so I left out price (at most ¥20)."
    assert said[1].startswith("I found one (Sichuan): ")


def test_what_cannot_be_used_is_said_back() -> None:
    assert SAYS.ignored("find_restaurant", ["停车场", "泳池"], "zh") == "找餐馆用不上“停车场”、“泳池”。"
    assert SAYS.ignored("find_restaurant", ["parking"], "en") == "I cannot use “parking” to find a restaurant."
    assert SAYS.deferred(["tonight at 7", "for four"], "en") == "I keep “tonight at 7”, “for four” for the booking."
    unknown = SAYS.question("find_hotel", Ask("location", 1, (), False, "invalid", "Paris"), "en")
    assert unknown == "There is no “Paris” here that I know of. Whereabouts?"


def test_a_question_comes_in_two_wordings_and_then_with_choices() -> None:
    first, second = (SAYS.question("find_restaurant", Ask("cuisine", attempt), "zh") for attempt in (1, 2))
    assert first != second
    third = SAYS.question("find_restaurant", Ask("cuisine", 3, (), True), "en", [OFFICE, TILE])
    assert third.endswith("1. Qinglan Technology, 2. Green Tile Kitchen.")
    assert "“xx”" in SAYS.question("find_restaurant", Ask("cuisine", 1, (), False, "invalid", "xx"), "en")
    which = SAYS.question("book_restaurant", Ask("name", 1, (TILE,), False, "ambiguous"), "zh")
    assert which == "您说的是哪一个：1. 青瓦小馆？"


def test_a_slot_without_a_question_of_its_own_is_asked_by_its_title() -> None:
    assert SAYS.question("find_hotel", Ask("stars"), "zh") == "请问星级？"


def test_a_booking_is_read_out_whole() -> None:
    values: dict[str, Value] = {"name": TILE, "time": When("2026-11-21T19:00"), "people": 4}
    for language, parts in (
        ("zh", ("青瓦小馆", "11月21日（周六）19:00", "4位")),
        ("en", ("Green Tile", "19:00", "4 people")),
    ):
        said = SAYS.confirmation("book_restaurant", values, language)
        assert all(part in said for part in parts)
    assert "01234567" in SAYS.booked("book_restaurant", values, "0123456789abcdef", "zh")
    assert "89abcdef" not in SAYS.booked("book_restaurant", values, "0123456789abcdef", "zh")


def test_a_place_that_is_closed_says_when_it_is_open_and_asks_again() -> None:
    ask = Ask("time", reason="closed", surface="11:30-23:30")
    assert SAYS.closed("book_restaurant", ask, TILE, "en") == (
        "Green Tile Kitchen is closed at that time; it is open 11:30-23:30. What time?"
    )
    assert SAYS.closed("book_restaurant", ask, TILE, "zh") == (
        "那个时间青瓦小馆不营业，营业时间是11:30-23:30。什么时间？"
    )


def test_a_property_is_told_or_owned_up_to_be_unknown() -> None:
    assert SAYS.property("find_restaurant", "price", ROW, "zh") == "青瓦小馆：人均19元。"
    assert SAYS.property("find_restaurant", "phone", {**ROW, "phone": "0990"}, "en") == (
        "The phone number of Green Tile Kitchen: 0990."
    )
    unknown = SAYS.say("property_unknown", "en")
    assert SAYS.property("find_restaurant", "price", OTHER, "en") == unknown
    assert SAYS.property("find_restaurant", "wine", ROW, "en") == unknown
    assert SAYS.property("find_restaurant", "price", None, "en") == unknown


def test_braces_in_a_name_do_nothing() -> None:
    row = {**ROW, "name_zh": "{details}{tasks}馆", "name_en": "{0.__class__}"}
    assert "{details}{tasks}馆" in SAYS.found("find_restaurant", [row], "zh")
    assert "{0.__class__}" in SAYS.found("find_restaurant", [row], "en")


def test_a_band_is_told_in_the_persons_words() -> None:
    assert SAYS.values({"price": Band("cheap")}, "zh") == "价格：便宜"
    assert SAYS.values({"price": Band("cheap")}, "en") == "price cheap"


def odd(text: str, language: str) -> tuple[str, ...]:
    original = SAYS.found("find_restaurant", [ROW], language, filters={"location": OFFICE})
    endings = CITY.name_endings["zh"]
    return check_rephrasing(
        text, [ROW], original, known_names=KNOWN, name_endings=endings, general_words=CITY.general_words["zh"]
    )


@pytest.mark.parametrize(
    "text",
    [
        "推荐您去青瓦小馆，人均19元，评分4.3，就在松月区。",
        "青瓦小馆不错：人均十九元，离青岚科技540米，这家餐厅做北京菜和川菜。",
        "有一家很合适：「青瓦小馆」。",
        "How about Green Tile Kitchen? It is 19 yuan a head, rated 4.3, and 540 m from Qinglan Technology.",
        "I recommend Green Tile Kitchen in Songyue. It does Beijing and Sichuan food. Enjoy your meal!",
    ],
)
def test_a_rephrasing_that_says_only_what_the_rows_say_may_be_said(text: str) -> None:
    assert odd(text, "zh" if "\u4e00" <= text[0] <= "\u9fff" else "en") == ()


@pytest.mark.parametrize(
    ("ask", "zh", "en"),
    [
        (Ask("time", 1, (When("2026-11-22T19:00"),), reason="over", surface="X"), "“X”已经过了，改成", "Shall it be"),
        (Ask("time", 1, reason="over", surface="X"), "“X”已经过了。", "“X” is over by now."),
        (Ask("people", 1, reason="limits", surface="X", instead=20), "界限是20", "the limit is 20 people"),
        (Ask("people", 1, reason="limits", surface="X"), "没听懂“X”", "make sense of “X”"),
        (Ask("time", 1, reason="partial", surface="X", instead=When("2026-11-22T19:00")), "“X”没听懂", "not “X”"),
        (Ask("time", 1, reason="several", surface="X"), "“X”可能有几种意思", "more than one thing"),
    ],
)
def test_a_question_says_what_was_wrong_with_the_last_answer(ask: Ask, zh: str, en: str) -> None:
    assert zh in SAYS.question("book_restaurant", ask, "zh")
    assert en in SAYS.question("book_restaurant", ask, "en")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("推荐青瓦小馆，人均20元", "20"),
        ("推荐青瓦小馆，人均二十元", "20"),
        ("推荐青瓦小馆，人均两百五", "250"),
        ("推荐青瓦小馆，评分４.８", "4.8"),
        ("推荐青瓦小馆和白鹿食府", "白鹿食府"),
        ("推荐您去老王饭庄", "老王饭庄"),
        ("推荐「天外天」", "天外天"),
        ("Green Tile Kitchen costs twenty yuan a head", "20"),
        ("Green Tile Kitchen is a hundred metres away", "100"),
        ("Try White Deer House, it is rated 4.3", "White Deer House"),
        ("Or go to Noodle Palace instead", "Noodle Palace"),
        ("Green Tile Kitchen in Songyue, run by chef Zhang", "Zhang"),
        ("", "(empty)"),
    ],
)
def test_a_rephrasing_with_a_number_or_name_of_its_own_is_rejected(text: str, found: str) -> None:
    assert found in odd(text, "en" if text.isascii() else "zh")
