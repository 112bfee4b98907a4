"""Further results and earlier bookings: closed classes, which leave alone what only looks like them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import acts_of, bare_choice
from pagoda.dialogue.reading.closed.wishes import (
    is_changing,
    is_more,
    is_undoing,
    keeps,
    new_value_in,
    wish_about_bookings,
    without_undoing,
)
from pagoda.dialogue.reading.questions.columns import columns_named
from pagoda.nlu.understanding import Act

CITY = Domain.load()


@pytest.mark.parametrize(
    "text",
    ["more", "show me more", "any others?", "next page", "anything else?", "the rest please", "what else is there",
     "还有吗", "还有别的吗", "换一批", "下一页", "再来几个", "有没有其他的", "其它的呢", "更多"],
)  # fmt: skip
def test_a_sentence_of_small_words_may_want_more(text: str) -> None:
    assert is_more(text)
    assert Act("more") in acts_of(text, CITY)


@pytest.mark.parametrize(
    "text",
    ["more people", "no more", "one more hour", "next week", "another cuisine", "something cheaper", "还有川菜吗",
     "多加一个人", "下一个周末", "别的区", "再便宜点", ""],
)  # fmt: skip
def test_what_wants_something_else_is_not_more(text: str) -> None:
    assert not is_more(text)


@pytest.mark.parametrize(
    ("text", "wish"),
    [("cancel my booking please", "cancel"), ("取消我的预订", "cancel"), ("我的订单不要了", "cancel"),
     ("change my reservation to 8pm", "change"), ("把我的预订改成八点", "change"), ("what did I book?", "list"),
     ("我订了什么", "list"), ("show my bookings", "list"), ("do I have any reservations", "list"),
     ("查一下订单", "list"),
     ("book a table", None), ("change the time to 8", None), ("有没有位子", None), ("谁订了青瓦小馆", None),
     ("book a table at my favourite place", None)],
)  # fmt: skip
def test_bookings_are_talked_of_by_the_words_of_the_domain(text: str, wish: str | None) -> None:
    assert wish_about_bookings(text, CITY) == wish


def test_a_domain_that_books_nothing_has_no_such_wishes() -> None:
    nothing = replace(CITY, intents={"find_hotel": CITY.intents["find_hotel"]})
    assert wish_about_bookings("cancel my booking", nothing) is None


def test_what_is_undone_or_changed_is_told_from_what_is_not() -> None:
    assert is_undoing("取消吧")
    assert not is_undoing("算了")
    assert without_undoing("yes, cancel it").strip() == "yes,"
    assert without_undoing("取消吧").strip() == ""
    assert is_changing("我想换一家")
    assert not is_changing("第二家")


@pytest.mark.parametrize(
    ("text", "words"),
    [("yes but at 8", "at 8"), ("ok make it 5 people", "5 people"), ("change my booking to 8pm", "8pm"),
     ("好的，不过改成八点", "八点"), ("yes", ""), ("四个人", "")],
)  # fmt: skip
def test_a_new_value_stands_behind_the_words_that_bring_it(text: str, words: str) -> None:
    assert new_value_in(text) == words


@pytest.mark.parametrize(
    ("text", "columns"),
    [("what is the phone number", ("phone",)), ("电话和地址是多少", ("phone", "address")),
     ("the address, the phone and the rating", ("address", "phone", "rating")), ("how late are they open", ("closes",)),
     ("第一部在哪个影院放", ("address", "cinemas")), ("hello", ())],
)  # fmt: skip
def test_several_properties_count_where_a_word_joins_them(text: str, columns: tuple[str, ...]) -> None:
    assert columns_named(text, CITY) == columns


def test_a_bare_number_answers_choices_but_not_where_a_number_is_wanted() -> None:
    assert [bare_choice("３.", kind) for kind in ("name", "time", "people", "price")] == [3, 3, None, None]
    assert bare_choice("3 people", "name") is None


@pytest.mark.parametrize(
    "text",
    [
        "不要取消我的预订",
        "算了还是不取消了",
        "先别订",
        "please do not cancel anything",
        "I never said to cancel it",
        "keep the table",
        "don't book it just yet",
    ],
)
def test_what_says_that_nothing_be_undone_undoes_nothing(text: str) -> None:
    assert keeps(text)
    assert not is_undoing(text)


@pytest.mark.parametrize("text", ["取消吧", "不好意思，取消预订", "no, cancel it", "cancel it, don't worry"])
def test_a_denial_beside_an_undoing_is_no_keeping(text: str) -> None:
    assert not keeps(text)
    assert is_undoing(text)
