"""The fold: filling, correcting, taking back, switching, returning, cancelling, choosing and booking."""

from __future__ import annotations

import json

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Order
from pagoda.dialogue.slots.kinds import ANY, Band, Except, NodeValue, OneOf, Range, Value, When
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import Rejection, State, Task
from pagoda.dialogue.state.tasks import MAX_STACK, missing_slots

CITY = Domain.load()
SICHUAN = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
HUNAN = NodeValue("Cuisine", "cuisine-003", "湘菜", "Hunan")
OFFICE = NodeValue("Landmark", "landmark-001", "青岚科技", "Qinglan Technology")
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
DEER = NodeValue("Restaurant", "restaurant-002", "白鹿食府", "White Deer House")
POOL, GYM = NodeValue("Facility", "facility-003", "游泳池"), NodeValue("Facility", "facility-004", "健身房")
SEVEN = When("2026-11-21T19:00")
FIND = (
    ev.UserSaid("想吃川菜", "zh", "find_restaurant"),
    ev.Switched("find_restaurant"),
    ev.Informed("cuisine", SICHUAN),
    ev.Informed("location", OFFICE),
)
BOOK = (
    ev.UserSaid("订位", "zh", "book_restaurant"),
    ev.Switched("book_restaurant"),
    ev.Informed("name", TILE),
    ev.Informed("time", SEVEN),
    ev.Informed("people", 4),
)


def after(*events: ev.Event) -> State:
    return fold(events, CITY)


def task_of(state: State) -> Task:
    assert state.task is not None
    return state.task


def said(intent: str = "") -> ev.UserSaid:
    return ev.UserSaid("...", "zh", intent)


def test_a_task_collects_what_it_needs() -> None:
    state = after(*FIND[:3])
    assert missing_slots(task_of(state), CITY) == ("location",)
    assert missing_slots(task_of(after(*FIND)), CITY) == ()


def test_a_correction_replaces_the_value() -> None:
    state = after(*BOOK, said(), ev.Denied(), ev.Corrected("people", 6, "六个人"))
    assert task_of(state).values["people"] == 6


def test_a_valid_value_is_not_replaced_by_an_invalid_one() -> None:
    for bad in (None, 0, 21, -1, "six", ANY, TILE, Range(1, 2)):
        state = after(*BOOK, said(), ev.Corrected("people", bad, "一百个人"))
        assert task_of(state).values["people"] == 4
        assert task_of(state).rejected == {"people": Rejection("一百个人")}


def test_what_was_understood_of_a_refused_value_is_kept_beside_the_value_before() -> None:
    told = ev.Declined("time", "yesterday at 7", "past", "", When("2026-11-22T19:00"))
    state = after(*BOOK, said(), told)
    assert task_of(state).values["time"] == task_of(after(*BOOK)).values["time"]
    assert task_of(state).rejected == {"time": Rejection("yesterday at 7", "past", "", When("2026-11-22T19:00"))}
    assert after(*BOOK, said(), ev.Declined("stars", "9", "limits", "", 5)).task == after(*BOOK, said()).task


def test_what_could_not_be_read_is_forgotten_with_the_next_sentence() -> None:
    state = after(*FIND, ev.Informed("price", None, "贵贱"), said())
    assert task_of(state).rejected == {}


def test_a_slot_of_many_takes_more_and_a_correction_starts_anew() -> None:
    hotel = (said(), ev.Switched("find_hotel"), ev.Informed("facility", POOL), ev.Informed("facility", GYM))
    assert task_of(after(*hotel)).values["facility"] == (POOL, GYM)
    assert task_of(after(*hotel, ev.Informed("facility", POOL))).values["facility"] == (POOL, GYM)
    assert task_of(after(*hotel, ev.Corrected("facility", GYM))).values["facility"] == (GYM,)


def test_what_is_excluded_stays_excluded_until_it_is_wanted() -> None:
    no_sichuan = (*FIND[:2], ev.Informed("cuisine", Except((SICHUAN,))))
    assert task_of(after(*no_sichuan)).values["cuisine"] == Except((SICHUAN,))
    assert missing_slots(task_of(after(*no_sichuan)), CITY) == ("location",)
    hunan = after(*no_sichuan, ev.Informed("cuisine", HUNAN))
    assert task_of(hunan).values["cuisine"] == Except((SICHUAN,), HUNAN)
    assert task_of(after(*no_sichuan, ev.Informed("cuisine", SICHUAN))).values["cuisine"] == SICHUAN
    assert task_of(after(*no_sichuan, ev.Corrected("cuisine", HUNAN))).values["cuisine"] == HUNAN


def test_what_is_excluded_is_taken_from_what_was_wanted() -> None:
    cases: list[tuple[Value, Value, Value]] = [
        (SICHUAN, Except((SICHUAN,)), Except((SICHUAN,))),
        (SICHUAN, Except((HUNAN,)), Except((HUNAN,), SICHUAN)),
        (OneOf((SICHUAN, HUNAN)), Except((HUNAN,)), Except((HUNAN,), SICHUAN)),
        (Except((SICHUAN,)), Except((HUNAN,)), Except((SICHUAN, HUNAN))),
        (SICHUAN, Except((SICHUAN,), HUNAN), Except((SICHUAN,), HUNAN)),
    ]
    for before, told, kept in cases:
        state = after(*FIND[:2], ev.Informed("cuisine", before), ev.Informed("cuisine", told))
        assert task_of(state).values["cuisine"] == kept
    hotel = (said(), ev.Switched("find_hotel"), ev.Informed("facility", POOL), ev.Informed("facility", GYM))
    assert task_of(after(*hotel, ev.Informed("facility", Except((GYM,))))).values["facility"] == Except((GYM,), (POOL,))
    either = (*hotel[:2], ev.Informed("facility", OneOf((POOL, GYM))), ev.Informed("facility", Except((GYM,))))
    assert task_of(after(*either)).values["facility"] == Except((GYM,), (POOL,))


def test_a_booking_takes_one_value_and_asks_which() -> None:
    state = after(*BOOK[:2], ev.Informed("name", OneOf((TILE, DEER)), "青瓦小馆或者白鹿食府"))
    assert task_of(state).doubts == {"name": (TILE, DEER)}
    assert "name" not in task_of(state).values
    assert "name" not in task_of(after(*BOOK[:3], ev.Informed("name", Except((TILE,))))).values
    assert task_of(after(*BOOK[:3], ev.Informed("name", Except((DEER,))))).values["name"] == TILE
    assert task_of(after(*BOOK[:3], ev.Informed("name", Except((TILE,), DEER)))).values["name"] == DEER


def test_an_order_stays_and_results_are_shown_again() -> None:
    offered = (*FIND, ev.Offered((TILE, DEER)), said(), ev.Ordered("price"))
    task = task_of(after(*offered))
    assert (task.order, task.stage) == (Order("price"), "collecting")
    assert task_of(after(*offered, ev.Informed("price", Band("cheap")))).order == Order("price")
    for column in ("cuisine", "no such column"):
        assert task_of(after(*FIND, ev.Ordered(column))).order is None
    assert after(said(), ev.Ordered("price")).task is None


def test_words_that_nothing_can_be_done_with_are_told_in_their_turn_only() -> None:
    state = after(*FIND, ev.Ignored(("停车场",)), ev.Ignored(("泳池",)))
    assert state.this_turn.ignored == ("停车场", "泳池")
    assert after(*FIND, ev.Ignored(("停车场",)), said()).this_turn.ignored == ()


def test_what_only_a_booking_can_use_is_kept_for_one() -> None:
    told = (ev.Deferred("people", 4, "四位"), ev.Deferred("time", SEVEN, "今晚七点"), ev.Deferred("stars", 5, "五星"))
    state = after(*FIND, *told, ev.Offered((TILE,)))
    assert state.this_turn.deferred == ("四位", "今晚七点")
    booking = fold((said(), ev.Switched("book_restaurant")), CITY, state)
    assert task_of(booking).values == {"name": TILE, "people": 4, "time": SEVEN}
    assert (booking.later, booking.this_turn.is_informed) == ({}, False)
    given_up = fold((said(), ev.Cancelled(), said(), ev.Switched("book_restaurant")), CITY, state)
    assert task_of(given_up).values == {}
    assert after(*FIND, ev.Deferred("people", 99, "99位")).later == {}
    other = after(said(), ev.Switched("find_hotel"), ev.Deferred("people", 4, "四位"))
    assert (other.later, other.this_turn.deferred) == ({}, ())


def test_what_is_kept_for_a_booking_grows_too_old() -> None:
    state = after(*FIND, ev.Deferred("time", SEVEN), ev.Deferred("people", 4), ev.Offered((TILE,)))
    many = fold([said()] * 13, CITY, state)
    assert task_of(fold((said(), ev.Switched("book_restaurant")), CITY, many)).values == {"name": TILE, "people": 4}


def test_a_second_wish_waits_until_a_sentence_is_of_it() -> None:
    state = after(*FIND, ev.PutOff("find_film", "a film tonight"), ev.PutOff("find_hotel", "附近的酒店"))
    assert list(state.waiting.items()) == [("find_film", "a film tonight"), ("find_hotel", "附近的酒店")]
    assert state.this_turn.put_off == ("find_film", "find_hotel")
    later = fold((said(), ev.Offered((TILE,))), CITY, state)
    assert (later.waiting, later.this_turn.put_off, state.is_idle, later.is_idle) == (state.waiting, (), False, True)
    begun = fold((said("find_film"), ev.Switched("find_film")), CITY, later)
    assert (list(begun.waiting), begun.is_idle) == (["find_hotel"], False)


def test_a_wish_that_no_task_is_for_is_not_kept_and_one_that_waits_is_given_up_by_itself() -> None:
    assert after(*FIND, ev.PutOff("thank", "thanks"), ev.PutOff("find_boat", "a boat")).waiting == {}
    state = after(*FIND, ev.PutOff("find_film", "a film"), said("cancel"), ev.Cancelled())
    assert (state.task, list(state.waiting)) == (None, ["find_film"])
    given_up = fold((said("cancel"), ev.Cancelled()), CITY, state)
    assert (given_up.waiting, given_up.this_turn.is_nothing_cancelled) == ({}, False)
    assert fold((said("cancel"), ev.Cancelled()), CITY, given_up).this_turn.is_nothing_cancelled


def test_what_is_read_out_or_asked_is_not_idle() -> None:
    assert not after(*BOOK, ev.Proposed()).is_idle
    assert not after(*FIND, ev.Asked("price")).is_idle


def test_a_slot_that_the_task_lacks_is_left_alone() -> None:
    assert task_of(after(*FIND, ev.Informed("stars", 4))).values == {"cuisine": SICHUAN, "location": OFFICE}


def test_any_fills_a_slot_where_that_is_allowed() -> None:
    state = after(*FIND[:3], ev.SetAny("location"))
    assert missing_slots(task_of(state), CITY) == ()
    booking = after(said(), ev.Switched("book_restaurant"), ev.SetAny("people"))
    assert "people" in missing_slots(task_of(booking), CITY)


def test_a_dish_stands_in_for_a_cuisine() -> None:
    dish = NodeValue("Dish", "dish-001", "麻婆豆腐", "Mapo tofu")
    state = after(said(), ev.Switched("find_restaurant"), ev.Informed("dish", dish), ev.Informed("location", OFFICE))
    assert missing_slots(task_of(state), CITY) == ()


def test_any_time_is_no_time_for_a_booking_and_does_not_ask_without_end() -> None:
    state = after(*BOOK[:3], ev.Asked("time"), said(), ev.SetAny("time"), ev.Asked("time"))
    assert "time" in missing_slots(task_of(state), CITY)
    assert task_of(state).times_asked["time"] == 2
    assert task_of(after(*BOOK, said(), ev.SetAny("time"))).values["time"] == task_of(after(*BOOK)).values["time"]


def test_a_stretch_of_time_is_not_enough_for_a_booking() -> None:
    evening = When("2026-11-21T18:00", "2026-11-22T00:00")
    state = after(*BOOK[:3], ev.Informed("time", evening), ev.Informed("people", 2))
    assert missing_slots(task_of(state), CITY) == ("time",)


def test_a_value_can_be_taken_back_and_does_not_come_again() -> None:
    state = after(*FIND, ev.Informed("price", Band("cheap")), ev.Offered((TILE,)), said(), ev.Unset("price"))
    assert "price" not in task_of(state).values
    assert task_of(state).stage == "collecting"


def test_a_place_is_carried_over_where_the_domain_says_so_and_a_price_is_not() -> None:
    state = after(*FIND, ev.Informed("price", Band("cheap")), said("find_hotel"), ev.Switched("find_hotel"))
    assert task_of(state).values == {"location": OFFICE}


def test_a_place_is_too_old_to_be_carried_over_after_its_time() -> None:
    limit = CITY.slots["location"].expires_after
    young = after(*FIND, *[said()] * limit, ev.Switched("find_hotel"))
    old = after(*FIND, *[said()] * (limit + 1), ev.Switched("find_hotel"))
    assert "location" in task_of(young).values
    assert "location" not in task_of(old).values


def test_a_carried_value_keeps_its_age() -> None:
    limit = CITY.slots["location"].expires_after
    there = after(*FIND, *[said()] * (limit - 1), ev.Switched("find_hotel"))
    back = fold((said(), said(), ev.Cancelled()), CITY, there)
    assert task_of(back).intent == "find_restaurant"
    assert task_of(there).set_at["location"] == 1


def test_a_digression_returns_to_the_task_that_was_left() -> None:
    state = after(*BOOK[:3], said("find_hotel"), ev.Switched("find_hotel"))
    assert [task.intent for task in state.stack] == ["book_restaurant"]
    back = fold((said("book_restaurant"), ev.Switched("book_restaurant")), CITY, state)
    assert task_of(back).values == {"name": TILE}
    assert back.this_turn.is_resumed


def test_only_so_many_tasks_are_left_open() -> None:
    events = [ev.Switched(name) for name in ("find_restaurant", "find_film", "find_hotel", "book_restaurant")] * 3
    assert len(after(*events).stack) < MAX_STACK + 1


def test_a_cancelled_task_leaves_nothing_and_the_one_below_comes_back() -> None:
    state = after(*FIND, *BOOK, said("cancel"), ev.Cancelled())
    shown = json.dumps(state.to_json(), ensure_ascii=False)
    assert task_of(state).intent == "find_restaurant"
    assert "青瓦小馆" not in shown
    assert "19:00" not in shown


def test_a_choice_fills_the_name_of_a_booking() -> None:
    found = (*FIND, ev.Offered((TILE, DEER)))
    chosen_first = after(*found, said("choose"), ev.Chosen(1), said(), ev.Switched("book_restaurant"))
    booked_first = after(*found, said(), ev.Switched("book_restaurant"), said("choose"), ev.Chosen(-1))
    assert task_of(chosen_first).values["name"] == task_of(booked_first).values["name"] == DEER


def test_the_only_result_needs_no_choice() -> None:
    state = after(*FIND, ev.Offered((TILE,)), said(), ev.Switched("book_restaurant"))
    assert task_of(state).values == {"name": TILE}


def test_a_choice_that_is_not_there_changes_nothing() -> None:
    state = after(*FIND, ev.Offered((TILE, DEER)), said("choose"), ev.Chosen(4))
    assert state.this_turn.is_choice_unknown
    assert task_of(state).chosen is None


def test_a_choice_answers_a_question_that_offered_some() -> None:
    state = after(*FIND[:2], ev.Asked("cuisine", (SICHUAN, HUNAN)), said("choose"), ev.Chosen(1))
    assert task_of(state).values["cuisine"] == HUNAN
    assert state.question is None


def test_a_doubt_is_settled_by_a_choice() -> None:
    doubted = after(*FIND[:2], ev.Doubted("cuisine", "菜", (SICHUAN, HUNAN, TILE)))
    assert task_of(doubted).doubts == {"cuisine": (SICHUAN, HUNAN)}
    settled = fold((ev.Asked("cuisine", (SICHUAN, HUNAN)), said(), ev.Chosen(0)), CITY, doubted)
    assert task_of(settled).values["cuisine"] == SICHUAN
    assert task_of(settled).doubts == {}


def test_a_booking_needs_a_yes_to_what_was_read_out() -> None:
    unasked = after(*BOOK, ev.Confirmed(), ev.Booked("k"))
    changed = after(*BOOK, ev.Proposed(), said(), ev.Corrected("people", 6), ev.Confirmed(), ev.Booked("k"))
    assert not unasked.bookings
    assert not changed.bookings
    (booking,) = after(*BOOK, ev.Proposed(), said(), ev.Confirmed(), ev.Booked("k")).bookings
    assert (booking.id, booking.values["people"]) == ("k", 4)


def test_a_booking_happens_once() -> None:
    state = after(*BOOK, ev.Proposed(), said(), ev.Confirmed(), ev.Booked("k"), ev.Booked("k"), ev.Booked("l"))
    assert [booking.id for booking in state.bookings] == ["k"]


def test_an_unfinished_booking_is_not_read_out() -> None:
    assert task_of(after(*BOOK[:4], ev.Proposed())).stage == "collecting"


def test_a_no_takes_the_booking_back_to_what_can_be_changed() -> None:
    state = after(*BOOK, ev.Proposed(), said(), ev.Denied(), ev.Confirmed(), ev.Booked("k"))
    assert not state.bookings
    assert task_of(state).values["people"] == 4


def test_a_failure_of_the_graph_keeps_everything() -> None:
    before = after(*FIND)
    failed = fold((ev.GraphFailed("GraphUnavailableError"),), CITY, before)
    assert failed.failure
    assert failed.task == before.task
    assert fold((said(),), CITY, failed).failure == ""


def test_sentences_not_understood_are_counted_until_one_is() -> None:
    state = after(said("out_of_scope"), said("out_of_scope"))
    assert state.num_misses == 2
    assert fold((said("greet"),), CITY, state).num_misses == 0


def test_a_task_has_a_number_of_its_own() -> None:
    state = after(*BOOK, ev.Cancelled(), *BOOK, ev.Cancelled(), *BOOK)
    assert task_of(state).number == 3
