"""The normalisers: what people say of times, numbers, prices, people, ratings and stars, in both languages."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.slots.kinds import ANY, Band, Range, Value, When
from pagoda.dialogue.slots.normalise import normalise, offers
from pagoda.dialogue.slots.said import is_any
from pagoda.dialogue.slots.showing import show_value
from pagoda.dialogue.slots.times.moments import read_time

DOMAIN = Domain.load()
# A Saturday.
NOW = datetime(2026, 11, 21, 10, 0)


def read(slot: str, words: str, previous: Value | None = None) -> Value | None:
    return normalise(DOMAIN.slots[slot], words, NOW, previous=previous)


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("今晚七点", "2026-11-21T19:00"),
        ("明天中午12点半", "2026-11-22T12:30"),
        ("下周五晚上七点半", "2026-11-27T19:30"),
        ("周日晚8点", "2026-11-22T20:00"),
        ("晚上6点一刻", "2026-11-21T18:15"),
        ("下午两点二十", "2026-11-21T14:20"),
        ("大后天12点", "2026-11-24T12:00"),
        ("12月3号晚上七点", "2026-12-03T19:00"),
        ("两个半小时后", "2026-11-21T12:30"),
        ("晚上十二点", "2026-11-22T00:00"),
        ("tonight at 8", "2026-11-21T20:00"),
        ("next Friday 7:30pm", "2026-11-27T19:30"),
        ("in two hours", "2026-11-21T12:00"),
        ("in half an hour", "2026-11-21T10:30"),
        ("half past six", "2026-11-21T18:30"),
        ("quarter to eight", "2026-11-21T19:45"),
        ("tomorrow at noon", "2026-11-22T12:00"),
        ("friday at seven thirty", "2026-11-27T19:30"),
        ("Dec 3rd at 7pm", "2026-12-03T19:00"),
        ("at 5:45 pm on sunday", "2026-11-22T17:45"),
        ("19:30", "2026-11-21T19:30"),
        ("明天凌晨三点", "2026-11-22T03:00"),
        ("明天清晨六点", "2026-11-22T06:00"),
        ("明天早上八点", "2026-11-22T08:00"),
        ("明天上午十二点", "2026-11-22T12:00"),
        ("中午一点", "2026-11-21T13:00"),
        ("下午两点", "2026-11-21T14:00"),
        ("傍晚六点", "2026-11-21T18:00"),
        ("今晚一点", "2026-11-22T01:00"),
        ("夜里十一点", "2026-11-21T23:00"),
        ("半夜三点", "2026-11-22T03:00"),
        ("深夜十一点半", "2026-11-21T23:30"),
        ("午夜十二点", "2026-11-22T00:00"),
        ("tomorrow at 3 am", "2026-11-22T03:00"),
        ("tonight at 1 am", "2026-11-22T01:00"),
        ("1 pm", "2026-11-21T13:00"),
        ("周六十二点", "2026-11-21T12:00"),
    ],
)
def test_a_moment_is_read_relative_to_now(words: str, start: str) -> None:
    assert read("time", words) == When(start)


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("后天晚上", "2026-11-23T18:00", "2026-11-24T00:00"),
        ("周六", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("今天中午", "2026-11-21T11:00", "2026-11-21T14:00"),
        ("tomorrow", "2026-11-22T00:00", "2026-11-23T00:00"),
        ("tonight", "2026-11-21T18:00", "2026-11-22T00:00"),
    ],
)
def test_a_day_without_an_hour_is_a_stretch(words: str, start: str, end: str) -> None:
    assert read("time", words) == When(start, end)


@pytest.mark.parametrize("words", ["yesterday", "昨晚八点", "今早八点", "四位", "for 4 people", "川菜", ""])
def test_what_is_over_or_no_time_is_not_read_as_one(words: str) -> None:
    assert read("time", words) is None


@pytest.mark.parametrize(
    ("words", "previous", "start"),
    [
        ("改成八点", When("2026-11-22T19:00"), "2026-11-22T20:00"),
        ("七点", When("2026-11-22T18:00", "2026-11-23T00:00"), "2026-11-22T19:00"),
        ("周一吧", When("2026-11-22T19:30"), "2026-11-23T19:30"),
        ("at 8", When("2026-11-23T12:00"), "2026-11-23T20:00"),
    ],
)
def test_a_part_of_a_time_completes_what_was_known(words: str, previous: When, start: str) -> None:
    assert read_time(words, NOW, previous, 10).value == When(start)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("saturday morning", When("2026-11-28T06:00", "2026-11-28T12:00")),
        ("周六上午", When("2026-11-28T06:00", "2026-11-28T12:00")),
        ("Saturday at twelve", When("2026-11-28T12:00")),
        ("saturday at 7pm", When("2026-11-21T19:00")),
        ("saturday", When("2026-11-21T00:00", "2026-11-22T00:00")),
        ("this saturday morning", None),
        ("这周六上午", None),
        ("今天凌晨三点", None),
    ],
)
def test_a_weekday_that_is_over_today_is_next_weeks(words: str, found: When | None) -> None:
    assert read_time(words, datetime(2026, 11, 21, 12, 0), None, 10).value == found


def test_a_part_of_a_day_keeps_the_day_that_was_known() -> None:
    evening = When("2026-11-22T18:00", "2026-11-23T00:00")
    assert read_time("晚上吧", NOW, When("2026-11-22T09:00"), 10).value == evening
    assert read_time("in the afternoon", NOW, When("2026-11-28T06:00", "2026-11-28T12:00"), 10).value == When(
        "2026-11-28T13:00", "2026-11-28T18:00"
    )


def test_an_hour_past_midnight_is_of_the_night_that_is_under_way() -> None:
    assert read_time("夜里三点", datetime(2026, 11, 22, 1, 0)).value == When("2026-11-22T03:00")


def test_an_hour_that_is_over_today_is_tomorrows() -> None:
    assert read_time("七点", datetime(2026, 11, 21, 20, 0), None, 10).value == When("2026-11-22T19:00")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("150元以内", Range(None, 150)),
        ("人均一百左右", Range(80, 120)),
        ("不超过200", Range(None, 200)),
        ("不要超过两百", Range(None, 200)),
        ("100-150元", Range(100, 150)),
        ("150到100", Range(100, 150)),
        ("两三百", Range(200, 300)),
        ("一百五以下", Range(None, 150)),
        ("３００以内", Range(None, 300)),
        ("under 150", Range(None, 150, is_below=True)),
        ("低于一百五", Range(None, 150, is_below=True)),
        ("不到200", Range(None, 200, is_below=True)),
        ("two hundred or under", Range(None, 200)),
        ("no more than 200", Range(None, 200)),
        ("over 300", Range(300, None, is_above=True)),
        ("300 and above", Range(300, None)),
        ("around 100", Range(80, 120)),
        ("between 50 and a hundred", Range(50, 100)),
        ("two hundred or less", Range(None, 200)),
        ("1,200以上", Range(1200, None)),
        ("便宜点的", Band("cheap")),
        ("cheap", Band("cheap")),
        ("not too expensive", Band("cheap")),
        ("mid-range", Band("moderate")),
        ("高档一点", Band("expensive")),
        ("随便", ANY),
        ("doesn't matter", ANY),
    ],
)
def test_prices(words: str, value: Value) -> None:
    assert read("price", words) == value


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("四位", 4),
        ("我们仨", 3),
        ("俩人", 2),
        ("一家五口", 5),
        ("十二个人", 12),
        ("两大一小", 3),
        ("我和我老婆", 2),
        ("我和三个朋友", 4),
        ("三四个人", 4),
        ("就我一个", 1),
        ("four of us", 4),
        ("for 2", 2),
        ("a table for six", 6),
        ("me and my wife", 2),
        ("family of five", 5),
        ("2 adults and 1 child", 3),
        ("just me", 1),
        ("half a dozen", 6),
        ("me and two friends", 3),
    ],
)
def test_people_are_counted(words: str, count: int) -> None:
    assert read("people", words) == count


@pytest.mark.parametrize("words", ["一百个人", "0", "半个人", "3.5 people", "随便", "several"])
def test_a_number_of_people_out_of_bounds_is_refused(words: str) -> None:
    assert read("people", words) is None


@pytest.mark.parametrize(
    ("slot", "words", "value"),
    [
        ("rating", "4.5分以上", Range(4.5, None)),
        ("rating", "四点五分以上", Range(4.5, None)),
        ("rating", "at least 8", Range(8, None)),
        ("rating", "above 8", Range(8, None, is_above=True)),
        ("rating", "超过8分", Range(8, None, is_above=True)),
        ("rating", "不低于8分", Range(8, None)),
        ("rating", "8+", Range(8, None)),
        ("rating", "8分", Range(8, None)),
        ("rating", "highly rated", Band("high")),
        ("rating", "12分以上", None),
        ("stars", "五星", 5),
        ("stars", "4-star", 4),
        ("stars", "five-star", 5),
        ("stars", "三星级以上", Range(3, None)),
        ("stars", "four or five stars", Range(4, 5)),
        ("stars", "七星", None),
    ],
)
def test_ratings_and_stars(slot: str, words: str, value: Value | None) -> None:
    assert read(slot, words) == value


@pytest.mark.parametrize(
    ("words", "name"),
    [("我叫王芳", "王芳"), ("under the name of Smith", "Smith"), ("my name is Ann Lee", "Ann Lee"), ("李雷", "李雷")],
)
def test_the_name_of_a_booking_is_freed_of_the_words_around_it(words: str, name: str) -> None:
    found = normalise(Slot("contact", "person", {}), words, NOW)
    assert found is not None
    assert found == name


@pytest.mark.parametrize(
    ("words", "value"), [("有", True), ("yes", True), ("没有", False), ("不需要", False), ("否", False)]
)
def test_a_facility_is_wanted_or_not(words: str, value: bool) -> None:
    found = normalise(Slot("叫醒服务", "boolean", {}), words, NOW)
    assert found is not None
    assert found is value


def test_a_choice_is_found_by_its_longest_spelling() -> None:
    choices = {"舒适型": {"zh": ("舒适", "舒服")}, "高档型": {"zh": ("高档",)}}
    found = normalise(Slot("酒店类型", "choice", {}, choices=choices), "舒服一点的", NOW)
    assert found is not None
    assert found == "舒适型"


def test_not_minding_is_told_from_minding() -> None:
    assert all(map(is_any, ["都可以", "无所谓", "I don't mind", "anything is fine", "whatever"]))
    assert not any(map(is_any, ["便宜的", "四位", "Manyang Road", "company"]))


def test_offers_of_a_slot_are_values_of_it() -> None:
    assert offers(DOMAIN.slots["people"], "zh", NOW) == (2, 4, 6)
    assert offers(DOMAIN.slots["price"], "en", NOW) == (Band("cheap"), Band("moderate"), Band("expensive"))


def test_a_value_is_shown_in_the_persons_language() -> None:
    time, price = DOMAIN.slots["time"], DOMAIN.slots["price"]
    evening = normalise(time, "今晚七点", NOW)
    assert evening is not None
    shown = [show_value(time, evening, language) for language in ("zh", "en")]
    assert shown == [
        "11月21日（周六）19:00",
        "Sat 21 Nov, 19:00",
    ]
    ends = [normalise(price, words, NOW) for words in ("under 300", "at most 300", "over 300")]
    told = [show_value(price, end, "en") for end in ends if end is not None]
    assert told == [
        "less than ¥300",
        "at most ¥300",
        "more than ¥300",
    ]
