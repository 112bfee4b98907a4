"""Times as people say them: every word is understood, or the reading says which were not and what the others mean."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.slots.kinds import When
from pagoda.dialogue.slots.readings import NOTHING, ValueReading
from pagoda.dialogue.slots.said import folded
from pagoda.dialogue.slots.times.moments import read_time, time_places

# A Saturday.
NOW = datetime(2026, 11, 28, 10, 0)


def read(words: str, previous: When | None = None, now: datetime = NOW) -> ValueReading:
    return read_time(folded(words), now, previous, 10)


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("friday after next at eight", "2026-12-11T20:00"),
        ("a week on Tuesday, noon", "2026-12-08T12:00"),
        ("Tuesday next week at 6", "2026-12-01T18:00"),
        ("three weeks from Monday at half past seven", "2026-12-21T19:30"),
        ("in 10 days at quarter to 8", "2026-12-08T19:45"),
        ("the last Monday of this month at 9pm", "2026-11-30T21:00"),
        ("the second Tuesday in March, 12:15", "2027-03-09T12:15"),
        ("on the 3rd of next month at 7", "2026-12-03T19:00"),
        ("3 Jan 2027, 6.30pm", "2027-01-03T18:30"),
        ("19/12/2026 at 1830", "2026-12-19T18:30"),
        ("01/02/2027 7pm", "2027-01-02T19:00"),
        ("New Year's Eve at 10 pm", "2026-12-31T22:00"),
        ("Valentine's Day, seven", "2027-02-14T19:00"),
        ("20 minutes before noon tomorrow", "2026-11-29T11:40"),
        ("twenty past 8", "2026-11-28T20:20"),
        ("half nine tonight", "2026-11-28T21:30"),
        ("nine fifteen p.m.", "2026-11-28T21:15"),
        ("in an hour and a half", "2026-11-28T11:30"),
        ("2 hours from now", "2026-11-28T12:00"),
        ("20 hrs", "2026-11-28T20:00"),
        ("下下周三中午十二点", "2026-12-09T12:00"),
        ("三天后下午三点一刻", "2026-12-01T15:15"),
        ("国庆节晚上六点半", "2027-10-01T18:30"),
        ("下个月8号19点", "2026-12-08T19:00"),
        ("二〇二七年一月三日晚七点", "2027-01-03T19:00"),
        ("1月2日 １８：３０", "2027-01-02T18:30"),
        ("12.25晚上7点", "2026-12-25T19:00"),
        ("七点差五分", "2026-11-28T18:55"),
        ("三月第二个周六晚上六点", "2027-03-13T18:00"),
        ("再过四十分钟", "2026-11-28T10:40"),
        ("8pm, not 9pm", "2026-11-28T20:00"),
        ("any time past 8", "2026-11-28T20:00"),
        ("Or anytime after 3 p.m. Would work.", "2026-11-28T15:00"),
        ("not tonight, tomorrow at 8", "2026-11-29T20:00"),
        ("不是七点，是八点", "2026-11-28T20:00"),
        ("It's at 7:45.", "2026-11-28T19:45"),
    ],
)
def test_a_day_and_an_hour_in_any_words_and_order(words: str, start: str) -> None:
    assert read(words) == ValueReading(When(start))


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("from 5pm to 6pm", "2026-11-28T17:00", "2026-11-28T18:00"),
        ("tomorrow 12:30-14:00", "2026-11-29T12:30", "2026-11-29T14:00"),
        ("7 to 9pm on monday", "2026-11-30T19:00", "2026-11-30T21:00"),
        ("11am to 1pm tomorrow", "2026-11-29T11:00", "2026-11-29T13:00"),
        ("明晚六点到八点半之间", "2026-11-29T18:00", "2026-11-29T20:30"),
        ("周日上午十点到下午两点", "2026-11-29T10:00", "2026-11-29T14:00"),
    ],
)
def test_two_ends_are_one_stretch(words: str, start: str, end: str) -> None:
    assert read(words).value == When(start, end)


@pytest.mark.parametrize(
    ("words", "leftover", "instead"),
    [
        ("tomorrow at sevn", "sevn", When("2026-11-29T00:00", "2026-11-30T00:00")),
        ("火把节晚上七点", "火把节", When("2026-11-28T19:00")),
        ("除了周五", "除", When("2026-12-04T00:00", "2026-12-05T00:00")),
        ("nicht tonight at 8", "nicht", When("2026-11-28T20:00")),
        ("not tonight", "not", When("2026-11-28T18:00", "2026-11-29T00:00")),
        ("2026-13-45", "2026-13-45", None),
        ("30 February", "30 february", None),
        ("25:00", "25:00", None),
    ],
)
def test_a_word_that_was_not_understood_is_told_with_what_was(words: str, leftover: str, instead: When | None) -> None:
    assert read(words) == ValueReading(None, "partial", leftover, instead)


@pytest.mark.parametrize(
    "words",
    [
        "this weekend",
        "next week",
        "月底晚上七点",
        "before 6 tomorrow",
        "六点之前",
        "Friday at 7, Saturday at 8",
        "7pm, 8pm",
        "Friday 5 December",
        "12am tomorrow",
        "the same day at 7",
        "过两天",
    ],
)
def test_what_may_be_one_of_several_moments_is_no_value(words: str) -> None:
    reading = read(words)
    assert (reading.value, reading.why) == (None, "ambiguous")


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        ("tonight at seven", When("2026-11-29T19:00")),
        ("今晚七点", When("2026-11-29T19:00")),
        ("this Saturday at 9am", When("2026-12-05T09:00")),
        ("2020-01-01 19:00", None),
        ("the last Friday of this month at 9pm", None),
        ("yesterday", None),
    ],
)
def test_what_is_over_is_understood_and_comes_with_the_next_such_moment(words: str, instead: When | None) -> None:
    assert read(words, now=datetime(2026, 11, 28, 19, 50)) == ValueReading(None, "past", "", instead)


@pytest.mark.parametrize(
    "words", ["", "四位", "for 4 people", "有一点辣", "便宜一点", "3 nights", "once upon a time", "地点"]
)
def test_what_is_about_no_time_is_nothing(words: str) -> None:
    assert read(words) == NOTHING


@pytest.mark.parametrize(
    ("earliest", "words", "hour"),
    [(10, "at 7", 19), (7, "at 7", 7), (7, "at 6", 18), (7, "七点", 7), (0, "at 3", 3), (7, "7 in the evening", 19)],
)
def test_a_bare_hour_is_the_first_that_the_slot_allows(earliest: int, words: str, hour: int) -> None:
    found = read_time(words, datetime(2026, 11, 28, 0, 0), None, earliest).value
    assert isinstance(found, When)
    assert datetime.fromisoformat(found.start).hour == hour


def test_an_hour_after_a_day_that_was_known_keeps_the_day_and_after_a_weekend_keeps_none() -> None:
    assert read("8", When("2026-12-03T00:00", "2026-12-04T00:00")).value == When("2026-12-03T20:00")
    assert read("the same day at 9", When("2026-12-03T19:00")).value == When("2026-12-03T21:00")
    weekend = When("2026-12-05T00:00", "2026-12-07T00:00")
    assert read("next weekend") == read("8", weekend) == ValueReading(why="ambiguous", instead=weekend)
    assert read("Sunday next week at 8", weekend).value == When("2026-12-06T20:00")


@pytest.mark.parametrize(
    ("words", "day"), [("除夕", "2027-02-05"), ("中秋节", "2027-09-15"), ("Lunar New Year", "2027-02-06")]
)
def test_festivals_of_the_moon_are_reckoned(words: str, day: str) -> None:
    pytest.importorskip("borax")
    found = read(words).value
    assert isinstance(found, When)
    assert found.start == f"{day}T00:00"


def test_a_festival_that_cannot_be_reckoned_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "borax.calendars.lunardate", None)
    assert read("除夕晚上七点").why == "partial"


def test_the_pieces_of_a_sentence_that_speak_of_times() -> None:
    text = "book for 6 at 11:30 please, on tuesday, not before noon"
    pieces = [text[start:end].strip() for start, end in time_places(text)]
    assert pieces == ["11:30", "tuesday, not before noon"]
    assert time_places("cheap sichuan food") == []
    assert [*time_places("maybe 7")] == [(0, 7)]
    assert time_places("about 7", is_loose=False) == []
