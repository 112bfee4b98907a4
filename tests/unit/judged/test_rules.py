"""The judge's rules, by small turns made up for each: what is right, what will do, what is wrong and what is silent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged.expected import Expected
from judged.labels import label_of
from judged.observed import Seen
from judged.rules import Verdict, judge
from judged.town import Town

SICHUAN = {"node": ["Cuisine", "cuisine-001", "川菜", "Sichuan"]}
LUMING = {"node": ["District", "district-003", "鹿鸣区", "Luming"]}
FOUND = Seen(
    text="I found 2:\n1. Green Tile Kitchen", task="find_restaurant", action="query", results=("restaurant-001",)
)
CONFIRM = Seen(
    text="Please confirm: Sat 28 Nov, 19:00, 4 people.", task="book_restaurant", action="confirm", open="confirm"
)


def verdict(town: Town, label: str, now: Seen, before: Seen | None = None, expected: Expected | None = None) -> Verdict:
    return judge(town, "", label_of(label, town), before or Seen(), now, expected or Expected())


def found(**values: Any) -> Seen:
    return replace(FOUND, values=values)


def booking(**values: Any) -> Seen:
    return replace(CONFIRM, values=values)


def test_a_wish_that_is_held_and_searched_is_right(town: Town) -> None:
    assert verdict(town, "R cuisine=川菜 location=鹿鸣区", found(cuisine=SICHUAN, location=LUMING)).grade == "right"


def test_a_wish_that_is_gone_without_a_word_is_silent(town: Town) -> None:
    ruled = verdict(town, "R cuisine=川菜 price=50..100", found(cuisine=SICHUAN))
    assert (ruled.grade, [fault.about for fault in ruled.faults]) == ("wrong in silence", ["price"])


def test_a_wish_that_is_gone_and_said_back_will_do(town: Town) -> None:
    seen = replace(found(cuisine=SICHUAN), text="I could not use “50 to 100”.\n1. Green Tile Kitchen")
    assert verdict(town, "R cuisine=川菜 price=50..100", seen).grade == "acceptable"


def test_a_number_in_a_listed_row_says_nothing_back(town: Town) -> None:
    seen = replace(found(cuisine=SICHUAN), text="I found one: Green Tile Kitchen, rated 4.5")
    assert verdict(town, "R cuisine=川菜 rating>=4.5", seen).grade == "wrong in silence"


def test_a_wish_without_a_slot_is_right_when_said_back_and_silent_when_not(town: Town) -> None:
    seen = replace(found(), task="find_film")
    silent = verdict(town, "F price=50..100", seen)
    told = verdict(town, "F price=50..100", replace(seen, text="I cannot search by a price of 50 to 100."))
    assert (silent.grade, told.grade) == ("wrong in silence", "right")


def test_a_wish_taken_the_other_way_round_is_not_said_back(town: Town) -> None:
    seen = replace(found(cuisine=SICHUAN), text="I found 1 (Sichuan):\n1. Green Tile Kitchen")
    assert verdict(town, "R cuisine!=川菜", seen).grade == "wrong"


def test_words_that_no_slot_takes_are_said_back(town: Town) -> None:
    seen = replace(found(), task="find_hotel")
    assert verdict(town, "H !3_nights", seen).grade == "wrong in silence"
    assert verdict(town, "H !3_nights", replace(seen, text="I leave out “3 nights”.")).grade == "right"


def test_a_value_that_nobody_said_is_silent_unless_read_out(town: Town) -> None:
    wrong = {"when": ["2026-11-28T20:00", ""]}
    assert verdict(town, "B time=T19:00", booking(time=wrong)).grade == "wrong in silence"
    read_out = replace(booking(time=wrong), text="Please confirm: Sat 28 Nov, 20:00.")
    assert verdict(town, "B time=T19:00", read_out).grade == "wrong"


def test_asking_again_for_what_was_said_will_do(town: Town) -> None:
    asks = Seen(
        text="For how many people?",
        task="book_restaurant",
        action="ask",
        detail="missing",
        asks="people",
        open="people",
    )
    assert verdict(town, "B people=4", asks).grade == "acceptable"


def test_a_day_without_its_hour_will_do_where_the_hour_is_asked_for(town: Town) -> None:
    asks = Seen(text="What time?", task="book_restaurant", action="ask", detail="missing", asks="time", open="time")
    day = {"when": ["2026-12-04T00:00", "2026-12-05T00:00"]}
    assert verdict(town, "B time=2026-12-04T19:00", replace(asks, values={"time": day})).grade == "acceptable"
    other = {"when": ["2026-12-03T00:00", "2026-12-04T00:00"]}
    assert verdict(town, "B time=2026-12-04T19:00", replace(asks, values={"time": other})).grade == "wrong in silence"


def test_not_understood_will_do_and_a_refusal_will_not(town: Town) -> None:
    fallback = Seen(text="Please tell me what you would like.", action="say", detail="fallback")
    refusal = Seen(text="Sorry, I cannot help with that.", action="say", detail="out_of_scope")
    assert verdict(town, "R cuisine=川菜", fallback).grade == "acceptable"
    assert verdict(town, "R cuisine=川菜", refusal).grade in ("wrong", "wrong in silence")


def test_a_wish_lost_before_is_told_as_that_and_counted_no_twice_as_new(town: Town) -> None:
    first = verdict(town, "R cuisine=川菜 price=50..100", found(cuisine=SICHUAN))
    second = verdict(
        town, ". location=鹿鸣区", found(cuisine=SICHUAN, location=LUMING), found(cuisine=SICHUAN), first.after
    )
    assert [fault.kind for fault in second.faults] == ["still missing from a turn before"]


def test_a_wish_that_was_told_to_be_unusable_is_let_go(town: Town) -> None:
    told = replace(found(cuisine=SICHUAN), text="I could not use 50 to 100.")
    first = verdict(town, "R cuisine=川菜 price=50..100", told)
    second = verdict(town, ". location=鹿鸣区", found(cuisine=SICHUAN, location=LUMING), told, first.after)
    assert second.grade == "right"


def test_an_excluded_node_is_found_wherever_the_task_says_no(town: Town) -> None:
    assert verdict(town, "R cuisine!=川菜", found(cuisine={"not": [SICHUAN]})).grade == "right"
    elsewhere = replace(found(), task_json='{"excluded": {"cuisine": [{"node": ["Cuisine", "cuisine-001", "", ""]}]}}')
    assert verdict(town, "R cuisine!=川菜", elsewhere).grade == "right"
    assert verdict(town, "R cuisine!=川菜", found(cuisine=SICHUAN)).grade == "wrong in silence"


@pytest.mark.parametrize(
    ("said", "value", "is_right"),
    [
        ("price=50..100", {"range": [50, 100]}, True),
        ("price=50..100", {"range": [None, 100]}, False),
        ("price=cheap", {"band": "cheap"}, True),
        ("price=cheap", {"range": [None, 60]}, True),
        ("price=moderate/expensive", {"range": [61, None]}, True),
        ("price=moderate/expensive", {"either": [{"band": "moderate"}, {"band": "expensive"}]}, True),
        ("price=moderate/expensive", {"band": "moderate"}, False),
        ("price=moderate", {"except": [[{"band": "cheap"}, {"band": "expensive"}], None]}, True),
        ("price=cheap", {"except": [[{"band": "cheap"}], None]}, False),
        ("cuisine=川菜", {"except": [[{"node": ["Cuisine", "cuisine-002", "", ""]}], SICHUAN]}, True),
        ("price=~100", {"range": [80, 120]}, True),
        ("rating>=4.5", {"range": [4.5, 5]}, True),
        ("rating>=4.5", {"range": [4, None]}, False),
        ("cuisine=川菜/粤菜", {"either": [SICHUAN, {"node": ["Cuisine", "cuisine-002", "", ""]}]}, True),
        ("cuisine=川菜/粤菜", SICHUAN, False),
        ("cuisine=*", None, True),
    ],
)
def test_values_mean_what_was_said(town: Town, said: str, value: Any, is_right: bool) -> None:
    slot = said.split("=")[0].rstrip("><")
    ruled = verdict(town, f"R {said}", found(**({slot: value} if value is not None else {})))
    assert (ruled.grade == "right") is is_right


@pytest.mark.parametrize(
    ("said", "value", "is_right"),
    [
        ("2026-12-04T19:00", ["2026-12-04T19:00", ""], True),
        ("2026-12-04T19:00", ["2026-12-05T19:00", ""], False),
        ("2026-12-04T19:00", ["2026-12-04T18:00", "2026-12-04T23:00"], False),
        ("2026-12-04", ["2026-12-04T00:00", "2026-12-05T00:00"], True),
        ("2026-12-04", ["2026-12-04T10:00", ""], False),
        ("T19:00", ["2026-11-28T19:00", ""], True),
        ("T19:00", ["2026-12-28T19:00", ""], False),
    ],
)
def test_moments_are_the_day_and_hour_that_were_said(town: Town, said: str, value: list[str], is_right: bool) -> None:
    ruled = verdict(town, f"B time={said}", booking(time={"when": value}))
    assert (ruled.grade == "right") is is_right


def test_a_booking_without_a_yes_is_silent_and_with_one_right(town: Town) -> None:
    written = Seen(text="Done.", action="book", bookings=("b1",))
    assert verdict(town, "no", written, CONFIRM).grade == "wrong in silence"
    assert verdict(town, "yes", written, CONFIRM).grade == "right"
    assert verdict(town, "yes", replace(CONFIRM, text="Is that right?"), CONFIRM).grade == "acceptable"
    assert verdict(town, "yes", Seen(text="Sorry", action="say", detail="out_of_scope"), CONFIRM).grade == "wrong"


def test_a_property_is_told_from_the_city(town: Town) -> None:
    told = Seen(text="The phone number of Green Tile Kitchen: 0990-0984212.", action="tell")
    assert verdict(town, ". ?phone@青瓦小馆", told).grade == "right"
    assert verdict(town, ". ?phone@青瓦小馆", replace(told, text="It is 1234.")).grade == "wrong"
    assert verdict(town, ". ?phone@青瓦小馆 ?address@青瓦小馆", told).grade == "wrong"


def test_which_one_is_right_to_ask_after_a_list_only(town: Town) -> None:
    asks = Seen(text="Which one?", action="say", detail="which_result")
    several = replace(FOUND, results=("restaurant-001", "restaurant-002"))
    assert verdict(town, ". ?phone@shown", asks, several).grade == "right"
    assert verdict(town, ". ?phone@shown", asks, FOUND).grade == "acceptable"


def test_a_property_that_nobody_knows_is_declined(town: Town) -> None:
    assert (
        verdict(town, ". ?!email@shown", Seen(text="I have no information about that.", action="say"), FOUND).grade
        == "right"
    )
    assert verdict(town, ". ?!email@shown", FOUND, FOUND).grade == "wrong"


def test_more_is_another_list_or_the_word_that_there_is_none(town: Town) -> None:
    assert verdict(town, ". more", replace(FOUND, results=("restaurant-009",)), FOUND).grade == "right"
    assert verdict(town, ". more", FOUND, FOUND).grade == "wrong"
    assert verdict(town, ". more", replace(FOUND, text="There are no more."), FOUND).grade == "right"


def test_thanks_change_nothing(town: Town) -> None:
    assert verdict(town, "thanks", Seen(text="You're welcome.", action="say", detail="thank"), FOUND).grade == "right"
    assert verdict(town, "thanks", FOUND, FOUND).grade == "wrong"


@given(st.text(max_size=40))
def test_no_reply_makes_a_booking_without_a_yes_right(town: Town, said: str) -> None:
    written = Seen(text=said, action="book", bookings=("b1",))
    assert verdict(town, "no", written, CONFIRM).grade == "wrong in silence"


@given(
    st.dictionaries(st.sampled_from(["price", "rating", "people"]), st.integers(0, 9), max_size=3), st.text(max_size=30)
)
def test_every_turn_gets_one_grade(town: Town, values: dict[str, int], said: str) -> None:
    ruled = verdict(town, "R cuisine=川菜 price=50..100", replace(FOUND, values=values, text=said))
    assert ruled.grade in ("right", "acceptable", "wrong", "wrong in silence")
    assert (ruled.grade in ("right", "acceptable")) is not bool(ruled.faults)
