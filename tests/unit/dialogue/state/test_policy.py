"""What is done next: one question for each slot, choices, a person, a look-up, a booking read out, a reply to talk."""

from __future__ import annotations

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import ANY, Band, NodeValue, When
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.actions import (
    Action,
    Ask,
    AskWhich,
    Book,
    Confirm,
    ConfirmCancel,
    HandOff,
    LookUp,
    Say,
    Show,
    Tell,
    TellBookings,
    Unbook,
)
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import State
from pagoda.dialogue.state.policy import after, next_action, open_question

CITY = Domain.load()
SICHUAN = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
HUNAN = NodeValue("Cuisine", "cuisine-003", "湘菜", "Hunan")
OFFICE = NodeValue("Landmark", "landmark-001", "青岚科技", "Qinglan Technology")
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
DEER = NodeValue("Restaurant", "restaurant-002", "白鹿食府", "White Deer House")
SEVEN = When("2026-11-21T19:00")


def said(intent: str = "") -> ev.UserSaid:
    return ev.UserSaid("...", "zh", intent)


FIND = (
    said("find_restaurant"),
    ev.Switched("find_restaurant"),
    ev.Informed("cuisine", SICHUAN),
    ev.Informed("location", OFFICE),
)
OFFERED = (*FIND, ev.Offered((TILE, DEER)))
BOOK = (
    said("book_restaurant"),
    ev.Switched("book_restaurant"),
    ev.Informed("name", TILE),
    ev.Informed("time", SEVEN),
    ev.Informed("people", 4),
)


def state(*events: ev.Event) -> State:
    return fold(events, CITY)


def action(*events: ev.Event) -> Action:
    return next_action(state(*events), CITY)


def test_a_missing_slot_is_asked_twice_then_with_choices_then_a_person_comes() -> None:
    events = [*FIND[:3]]
    seen = []
    for _ in range(4):
        taken = action(*events)
        seen.append(taken)
        events += [ev.Asked("location"), said("find_restaurant")]
    assert seen == [
        Ask("location", 1),
        Ask("location", 2),
        Ask("location", 3, needs_choices=True),
        HandOff("slot:location"),
    ]


def test_slots_are_asked_for_in_the_order_of_the_domain() -> None:
    assert action(said(), ev.Switched("book_restaurant")) == Ask("name")
    assert action(said(), ev.Switched("book_restaurant"), ev.Informed("name", TILE)) == Ask("time")


def test_words_that_are_no_value_are_told_so() -> None:
    asked = action(*BOOK[:4], ev.Informed("people", None, "一百个"))
    assert asked == Ask("people", 1, reason="invalid", surface="一百个")


@pytest.mark.parametrize(
    ("refused", "asked"),
    [
        (
            ev.Declined("time", "tonight at 7", "past", "", When("2026-11-22T19:00")),
            Ask("time", 1, (When("2026-11-22T19:00"),), reason="over", surface="tonight at 7"),
        ),
        (ev.Declined("time", "yesterday", "past"), Ask("time", 1, reason="over", surface="yesterday")),
        (
            ev.Declined("people", "99", "limits", "", 20),
            Ask("people", 1, reason="limits", surface="99", instead=20),
        ),
        (
            ev.Declined("time", "Friday or so at 7", "partial", "or so", When("2026-11-27T19:00")),
            Ask("time", 1, reason="partial", surface="or so", instead=When("2026-11-27T19:00")),
        ),
        (ev.Declined("time", "12 am", "ambiguous"), Ask("time", 1, reason="several", surface="12 am")),
    ],
)
def test_words_that_were_understood_and_are_no_value_are_told_so(refused: ev.Declined, asked: Ask) -> None:
    assert action(*BOOK[:4], refused) == asked


def test_a_question_for_what_was_refused_is_not_asked_without_end() -> None:
    turns = [said(), ev.Declined("people", "99", "limits", "", 20), ev.Asked("people")]
    assert action(*BOOK[:4], *turns * 3, *turns[:2]) == HandOff("slot:people")


def test_words_that_may_mean_several_are_asked_about() -> None:
    asked = action(*FIND[:2], ev.Doubted("cuisine", "菜", (SICHUAN, HUNAN)))
    assert asked == Ask("cuisine", 1, (SICHUAN, HUNAN), reason="ambiguous")


def test_what_does_not_matter_is_no_filter() -> None:
    events = (*FIND[:3], ev.SetAny("location"), ev.Informed("price", Band("cheap")))
    assert action(*events) == LookUp("find_restaurant", {"cuisine": SICHUAN, "price": Band("cheap")})
    assert state(*events).task.values["location"] == ANY  # type: ignore[union-attr]


def test_changed_filters_are_looked_up_again() -> None:
    again = action(*OFFERED, said("find_restaurant"), ev.Informed("price", Band("cheap")))
    assert isinstance(again, LookUp)
    assert again.filters["price"] == Band("cheap")


def test_a_booking_is_read_out_and_written_only_after_a_yes() -> None:
    assert action(*BOOK) == Confirm("book_restaurant", {"name": TILE, "time": SEVEN, "people": 4})
    confirmed = action(*BOOK, ev.Proposed(), said("confirm"), ev.Confirmed())
    assert confirmed == Book("book_restaurant", {"name": TILE, "time": SEVEN, "people": 4}, 1)


def test_a_correction_before_the_yes_is_read_out_again() -> None:
    again = action(*BOOK, ev.Proposed(), said("book_restaurant"), ev.Denied(), ev.Corrected("people", 6))
    assert again == Confirm("book_restaurant", {"name": TILE, "time": SEVEN, "people": 6})


def test_a_bare_no_is_asked_what_to_change() -> None:
    assert action(*BOOK, ev.Proposed(), said("deny"), ev.Denied()) == Say("ask_change")


def test_after_a_booking_the_task_that_was_left_open_goes_on() -> None:
    done = (ev.Proposed(), said("confirm"), ev.Confirmed(), ev.Booked("k"))
    assert after(state(*FIND[:3], *BOOK, *done), CITY) == Ask("location")
    assert after(state(*BOOK, *done), CITY) is None


def test_talk_is_answered_and_the_open_question_repeated() -> None:
    events = (*FIND[:3], ev.Asked("location"))
    assert action(*events, said("greet")) == Say("greet", Ask("location"))
    assert action(*events, said("help")) == Say("help", Ask("location"))
    assert action(*events, said("out_of_scope")) == Say("out_of_scope", Ask("location"))
    assert action(said("thank")) == Say("thank")


def test_three_sentences_in_a_row_that_nobody_understands_bring_a_person() -> None:
    assert action(*[said("out_of_scope")] * 2) == Say("out_of_scope")
    assert action(*[said("out_of_scope")] * 3) == HandOff("not_understood")


def test_a_person_is_called_when_asked_for_and_a_new_task_ends_the_wait() -> None:
    assert action(said("hand_off")) == HandOff("asked_for")
    waiting = (said("hand_off"), ev.HandedOff("asked_for"))
    assert action(*waiting, said("greet")) == Say("handed_off")
    assert action(*waiting, *FIND[:2]) == Ask("cuisine")


def test_a_property_is_told_of_the_result_that_is_meant() -> None:
    asked = (*OFFERED, said("ask_property"))
    assert action(*asked, ev.Requested("phone", 1)) == Tell("find_restaurant", ("phone",), DEER)
    assert action(*asked, ev.Requested("phone", -1)) == Tell("find_restaurant", ("phone",), DEER)
    assert action(*asked, ev.Requested("phone")) == Say("which_result")
    assert action(*asked, ev.Chosen(0), said(), ev.Requested("phone")) == Tell("find_restaurant", ("phone",), TILE)


@pytest.mark.parametrize(
    ("events", "template"),
    [
        ((*OFFERED, said(), ev.Requested("phone", 7)), "no_such_choice"),
        ((*OFFERED, said(), ev.Requested("stars", 0)), "property_unknown"),
        ((said(), ev.Requested("phone", 0)), "nothing_to_ask"),
        ((*OFFERED, said(), ev.Chosen(9)), "no_such_choice"),
        ((said("choose"), ev.Chosen(2)), "nothing_to_ask"),
        ((*FIND[:2], ev.Asked("cuisine", (SICHUAN, HUNAN)), said("choose"), ev.Chosen(2)), "no_such_choice"),
        ((said("cancel"), ev.Cancelled()), "nothing_to_cancel"),
        ((*FIND, ev.Cancelled(), said("cancel"), ev.Cancelled()), "nothing_to_cancel"),
        ((*FIND, said("cancel"), ev.Cancelled()), "cancelled"),
        ((*FIND, ev.GraphFailed("GraphUnavailableError")), "apology"),
        ((said(),), "fallback"),
    ],
)
def test_what_cannot_be_done_is_said(events: tuple[ev.Event, ...], template: str) -> None:
    taken = action(*events)
    assert isinstance(taken, Say)
    assert taken.template == template
    assert CITY.template(template, "zh")
    assert CITY.template(template, "en")


def test_a_chosen_result_is_shown() -> None:
    assert action(*OFFERED, said("choose"), ev.Chosen(1)) == Show("find_restaurant", DEER)


def test_a_cancelled_booking_returns_to_the_question_that_was_open() -> None:
    assert action(*FIND[:3], *BOOK[:3], said("cancel"), ev.Cancelled()) == Say("cancelled", Ask("location"))


def test_there_is_no_open_question_where_nothing_is_missing() -> None:
    assert open_question(state(*FIND), CITY) is None
    assert open_question(state(), CITY) is None


def test_what_was_read_out_is_read_out_again_behind_anything_else() -> None:
    pending = Confirm("book_restaurant", {"name": TILE, "time": SEVEN, "people": 4})
    proposed = (*BOOK, ev.Proposed())
    assert action(*proposed, said("thank")) == Say("thank", pending)
    assert action(*proposed, said("out_of_scope")) == Say("not_a_yes", pending)
    assert action(*proposed, said(ev.UNCLEAR)) == Say("not_a_yes", pending)
    assert action(*proposed, said(), ev.Requested("phone")) == Tell("find_restaurant", ("phone",), TILE, pending)
    assert action(*proposed, said(), ev.Confirmed(), ev.GraphFailed("x")) == Say("apology", pending)
    assert action(*proposed, said("confirm")) == Say("not_a_yes", pending)


def test_a_yes_that_does_not_stand_right_behind_the_read_out_reads_out_anew() -> None:
    late = (*BOOK, ev.Proposed(), said("thank"), said("confirm"), ev.Confirmed())
    assert action(*late) == Confirm("book_restaurant", {"name": TILE, "time": SEVEN, "people": 4})
    handed = (*BOOK, ev.Proposed(), said("hand_off"), ev.HandedOff("asked_for"), said("confirm"), ev.Confirmed())
    assert isinstance(action(*handed), Confirm)


def test_a_yes_has_the_minutes_that_the_domain_gives() -> None:
    def booked_after(minutes: str) -> Action:
        begun = (ev.UserSaid("...", "zh", "book_restaurant", "2026-11-21T12:00"), *BOOK[1:], ev.Proposed())
        return action(*begun, ev.UserSaid("对", "zh", "confirm", f"2026-11-21T{minutes}"), ev.Confirmed())

    assert isinstance(booked_after("12:30"), Book)
    assert isinstance(booked_after("12:31"), Confirm)
    assert booked_after("19:01") == Ask("time", 1, reason="past")


DONE = (*BOOK, ev.Proposed(), said("confirm"), ev.Confirmed(), ev.Booked("k1"))
TWICE = (*DONE, *BOOK, ev.Proposed(), said("confirm"), ev.Confirmed(), ev.Booked("k2"))


def test_a_booking_is_undone_only_as_it_was_read_out() -> None:
    asked = (*DONE, said("cancel"), ev.AskedToCancel("k1"))
    assert action(*asked) == ConfirmCancel("k1")
    assert action(*asked, ev.ProposedToCancel("k1"), said("confirm"), ev.Confirmed()) == Unbook("k1")
    assert action(*asked, ev.ProposedToCancel("k1"), said("deny"), ev.Denied()) == Say("kept")
    thanked = (*asked, ev.ProposedToCancel("k1"), said("thank"))
    assert action(*thanked) == ConfirmCancel("k1")
    assert state(*thanked, said("confirm"), ev.Confirmed()).withdrawal is None
    assert action(*DONE, said("cancel"), ev.AskedToCancel("of another")) != ConfirmCancel("of another")


def test_of_several_bookings_it_is_asked_which() -> None:
    asked = (*TWICE, said("cancel"), ev.AskedToCancel())
    assert action(*asked) == AskWhich()
    assert action(*asked, ev.ProposedToCancel(), said("choose"), ev.Chosen(0)) == ConfirmCancel("k1")
    assert action(*asked, ev.ProposedToCancel(), said("choose"), ev.Chosen(7)) == AskWhich()
    assert action(*TWICE, said(), ev.AskedForBookings()) == TellBookings()


def test_a_change_replaces_the_booking_and_is_read_out() -> None:
    asked = (*DONE, said("book_restaurant"), ev.AskedToChange("k1"))
    assert action(*asked) == Say("ask_change")
    changed = (*asked, ev.Corrected("people", 6))
    values = {"name": TILE, "time": SEVEN, "people": 6}
    assert action(*changed) == Confirm("book_restaurant", values, "k1")
    agreed = (*changed, ev.Proposed(), said("confirm"), ev.Confirmed())
    assert action(*agreed) == Book("book_restaurant", values, 2, "k1")
    (record,) = state(*agreed, ev.Booked("k1")).bookings
    assert (record.id, record.values) == ("k1", values)


def test_further_results_begin_behind_those_that_were_shown() -> None:
    filters = {"cuisine": SICHUAN, "location": OFFICE}
    more = (*OFFERED, said(), ev.AskedForMore())
    assert action(*more) == LookUp("find_restaurant", filters, skip=2)
    assert action(*more, ev.Offered((TILE,), (), 2), said(), ev.AskedForMore()) == LookUp(
        "find_restaurant", filters, skip=3
    )


def test_the_same_question_is_answered_again() -> None:
    again = (*OFFERED, said("find_restaurant"), ev.Informed("cuisine", SICHUAN))
    assert action(*again) == LookUp("find_restaurant", {"cuisine": SICHUAN, "location": OFFICE})


def test_a_property_is_of_a_named_node_of_what_is_booked_or_was_booked_last() -> None:
    named = (said("ask_property"), ev.Requested("phone", None, DEER), ev.Requested("address", None, DEER))
    assert action(*named) == Tell("find_restaurant", ("phone", "address"), DEER)
    assert action(*DONE, said(), ev.Requested("phone")) == Tell("find_restaurant", ("phone",), TILE)
    assert action(*FIND[:2], *BOOK[:3], said(), ev.Requested("closes")) == Tell(
        "find_restaurant", ("closes",), TILE, Ask("time")
    )


def test_no_to_all_choices_asks_again_without_them() -> None:
    asked = (*BOOK[:2], ev.Doubted("name", "绿", (TILE, DEER)), ev.Asked("name", (TILE, DEER)))
    assert action(*asked, said("deny"), ev.Denied()) == Ask("name", 2)


def test_a_person_who_took_over_does_not_block_what_can_be_done() -> None:
    handed = (*FIND[:3], ev.Asked("location"), said("hand_off"), ev.HandedOff("asked_for"))
    assert isinstance(action(*handed, said("find_restaurant"), ev.Informed("location", OFFICE)), LookUp)
    assert action(*handed, said("thank")) == Say("handed_off")
    idle = (said("hand_off"), ev.HandedOff("asked_for"), said("cancel"), ev.Cancelled())
    assert (action(*idle), state(*idle).handed_off) == (Say("hand_off_ended"), "")
    assert action(*handed, ev.HandOffEnded(), said("thank")) == Say("thank", Ask("location"))
