"""The fold over random histories of the shipped domain: 10,000 in all, and no broken promise.

A history is any events in any order, sensible or not, with values of every slot and values of none. The promises are
those of `pagoda.dialogue.state.fold`.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import ANY, Band, Except, NodeValue, OneOf, Range, Value, When, plain_values
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.actions import Book, Confirm, ConfirmCancel, HandOff, Unbook
from pagoda.dialogue.state.fold import fold, step
from pagoda.dialogue.state.model import State
from pagoda.dialogue.state.policy import next_action, open_question
from pagoda.dialogue.state.tasks import MAX_STACK, missing_slots

CITY = Domain.load()
INTENTS = [*CITY.intents, "no_such_intent"]
SLOTS = [*CITY.slots, "no_such_slot"]
NODES = [NodeValue(label, f"{label}-{number}", f"名{number}") for label in CITY.labels for number in range(2)]
VALUES: list[Value] = [
    *NODES,
    *(0, 1, 4, 6, 20, 21, -3, 4.5, float("nan"), True, "", "words", ANY),
    *(Range(None, 150), Range(3, None), Range(5, 1), Range()),
    *(Band("cheap"), Band("high"), Band("no such band")),
    *(When("2026-11-21T19:00"), When("2026-11-21T18:00", "2026-11-22T00:00"), When("never")),
    *((NODES[0], NODES[1]), (), (4, "x")),
    *(OneOf((NODES[0], NODES[1])), OneOf((Band("cheap"), Band("expensive"))), OneOf((4,)), OneOf((4, ANY))),
    *(Except((Band("cheap"),)), Except((NODES[1],), NODES[0]), Except((), 4), Except((4,), Except((4,)))),
    *(Except((NODES[0],), NODES[0]), Except((NODES[0], NODES[1]), OneOf((NODES[0], NODES[1])))),
]
SENSIBLE: dict[str, Value] = {
    "cuisine": NodeValue("Cuisine", "c", "川菜"),
    "location": NodeValue("District", "d", "松月区"),
    "genre": NodeValue("Genre", "g", "喜剧"),
    "name": NodeValue("Restaurant", "r", "青瓦小馆"),
    "time": When("2026-11-21T19:00"),
    "people": 4,
}
SETTINGS = settings(
    max_examples=2500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _valued(kind: type[Any]) -> list[Any]:
    """Every value for every slot, and what makes sense as often again."""
    sensible = [kind(slot, value) for slot, value in SENSIBLE.items()] * 40
    return [*(kind(slot, value) for slot in SLOTS for value in [*VALUES, None]), *sensible]


# One list to draw from: a draw costs far more than a step of the fold.
EVENTS: list[ev.Event] = [
    *[ev.UserSaid("x", "zh", intent) for intent in [*INTENTS, "out_of_scope"]] * 8,
    *[ev.UserSaid("x", "zh", "confirm", at) for at in ("2026-11-21T12:00", "2026-11-21T12:29", "2026-11-22T12:00")]
    * 20,
    *[ev.Switched(intent) for intent in INTENTS] * 8,
    *[ev.Switched("book_restaurant")] * 40,
    *_valued(ev.Informed),
    *_valued(ev.Corrected),
    *[ev.Doubted(slot, "x", tuple(NODES[:size])) for slot in SLOTS for size in (0, 2, 24)] * 2,
    *[ev.Unset(slot) for slot in SLOTS] * 4,
    *[ev.SetAny(slot) for slot in SLOTS] * 4,
    *[ev.Ordered(column) for column in ("price", "rating", "cuisine", "no such column")] * 5,
    *[ev.Ignored(("停车场",))] * 5,
    *[ev.Requested("phone"), ev.Requested("phone", 1), ev.Requested("x", -9), ev.Requested("x", None, NODES[0])] * 10,
    *[ev.AskedForMore(), ev.AskedForBookings(), ev.Repeated("time"), ev.HandOffEnded(), ev.Began("c")] * 10,
    *[kind(key) for kind in (ev.AskedToCancel, ev.AskedToChange, ev.Unbooked) for key in ("k1", "k2", "k3", "k4")] * 20,
    *[ev.ProposedToCancel(key) for key in ("", "k1", "k2", "k3", "k4")] * 20,
    *[ev.Chosen(row) for row in (-9, -1, 0, 1, 9)] * 20,
    *[ev.Asked(slot, tuple(VALUES[first::9])) for slot in SLOTS for first in (0, 8)] * 2,
    *[ev.Offered(tuple(NODES[:size])) for size in (0, 1, 3)] * 20,
    *[ev.Confirmed(), ev.Denied(), ev.Cancelled(), ev.Proposed(), ev.Told("phone")] * 30,
    *[ev.Booked("k1"), ev.Booked("k2"), ev.HandedOff("x"), ev.GraphFailed("x")] * 20,
]
# So that bookings happen often enough to be broken.
BOOKING = [ev.Switched("book_restaurant"), *(ev.Informed(slot, SENSIBLE[slot]) for slot in ("name", "time", "people"))]
SAID = ev.UserSaid("x", "zh", "confirm", "2026-11-21T12:00")
YES = [SAID, ev.Confirmed()]
LATE_CHANGE = [*BOOKING, ev.Proposed(), SAID, ev.Corrected("people", 6), ev.Confirmed(), ev.Booked("k4")]
UNDONE = [SAID, ev.AskedToCancel("k3"), ev.ProposedToCancel("k3"), *YES, ev.Unbooked("k3")]
CHANGED = [SAID, ev.AskedToChange("k3"), ev.Corrected("people", 6), ev.Proposed(), *YES, ev.Booked("k3")]
PARTS: list[list[ev.Event]] = [
    *([event] for event in EVENTS),
    *[
        BOOKING,
        LATE_CHANGE,
        [*BOOKING, ev.Proposed()],
        [ev.Proposed()],
        [*YES, ev.Booked("k3")],
        YES,
        [ev.Confirmed()],
        UNDONE,
        CHANGED,
    ]
    * 120,
]
HISTORIES = st.lists(st.sampled_from(PARTS), max_size=14).map(lambda parts: [event for part in parts for event in part])
# Few parts, which all are about what cannot be undone: most of these histories come to the point of writing.
LATER = ev.UserSaid("x", "zh", "confirm", "2026-11-22T12:00")
GRAVE: list[list[ev.Event]] = [
    [SAID, *BOOKING, ev.Proposed()],
    [ev.Proposed()],
    [SAID],
    [LATER],
    [ev.Confirmed()],
    YES,
    [LATER, ev.Confirmed()],
    [SAID, ev.Corrected("people", 6)],
    [SAID, ev.Denied()],
    [ev.Booked("k1")],
    [ev.Booked("k2")],
    [SAID, ev.AskedToCancel("k1")],
    [ev.ProposedToCancel("k1")],
    [ev.Unbooked("k1")],
    [SAID, ev.AskedToChange("k1"), ev.Corrected("people", 5), ev.Proposed()],
    [ev.HandedOff("x"), SAID],
    [ev.GraphFailed("x")],
]
GRAVE_HISTORIES = st.lists(st.sampled_from(GRAVE), min_size=4, max_size=16).map(
    lambda parts: [event for part in [GRAVE[0], *parts] for event in part]
)


def _told(state: State) -> str:
    return json.dumps(state.to_json(), ensure_ascii=False, sort_keys=True)


def _excluded(value: Value | None) -> tuple[Value, ...]:
    return value.values if isinstance(value, Except) else ()


def _tasks(state: State) -> list[Any]:
    return [*state.stack, *([state.task] if state.task else [])]


@given(HISTORIES)
@SETTINGS
def test_a_valid_value_is_never_replaced_by_an_invalid_one(history: list[ev.Event]) -> None:
    state = State()
    for event in history:
        before, state = state, step(state, event, CITY)
        for task in _tasks(state):
            assert all(accepts(CITY.slots[slot], value) for slot, value in task.values.items())
            assert set(task.values) <= set(CITY.intents[task.intent].slots)
            assert not any(set(plain_values(value)) & set(_excluded(value)) for value in task.values.values())
        same = before.task is not None and state.task is not None and before.task.number == state.task.number
        if same and isinstance(event, ev.Informed | ev.Corrected) and before.task and state.task:
            lost = {slot for slot in before.task.values if slot not in state.task.values}
            changed = {slot for slot, value in before.task.values.items() if state.task.values.get(slot) != value}
            # A booking's value that is told to be left out ("not four") is taken back, and nothing else is.
            taken_back = before.task.values.get(event.slot) in _excluded(event.value)
            assert lost == ({event.slot} if taken_back and lost else set())
            assert changed <= {event.slot}


@given(HISTORIES)
@SETTINGS
def test_a_cancelled_task_leaves_nothing(history: list[ev.Event]) -> None:
    state = fold(history, CITY)
    number = state.task.number if state.task else 0
    after = step(state, ev.Cancelled(), CITY)
    assert all(task.number != number for task in _tasks(after))
    assert all(held.task != number for held in after.memory.values())
    assert after.question is None
    assert after.bookings == state.bookings
    if state.stack:
        assert after.task == state.stack[-1]


@given(HISTORIES)
@SETTINGS
def test_a_booking_happens_once_and_only_as_it_was_confirmed(history: list[ev.Event]) -> None:
    state, read_out = State(), {}
    for event in history:
        before, state = state, step(state, event, CITY)
        if isinstance(event, ev.Proposed) and state.task and state.task.stage == "confirming":
            read_out[state.task.number] = dict(state.task.values)
        if state.bookings != before.bookings and isinstance(event, ev.Booked):
            booking = state.bookings[-1]
            assert booking.values == read_out[booking.task]
            assert before.task is not None
            assert not missing_slots(before.task, CITY)
    assert len({booking.id for booking in state.bookings}) == len(state.bookings)
    assert len({booking.task for booking in state.bookings}) == len(state.bookings)
    assert all(task.number not in {booking.task for booking in state.bookings} for task in _tasks(state))


@given(GRAVE_HISTORIES)
@SETTINGS
def test_nothing_is_written_or_undone_but_upon_a_yes_in_the_turn_behind_its_read_out(history: list[ev.Event]) -> None:
    state, turn, at, read_out, agreed = State(), 0, "", {}, -1
    for event in history:
        before, state = state, step(state, event, CITY)
        match event:
            case ev.UserSaid():
                turn, at = turn + 1, event.at or at
            case ev.Confirmed():
                agreed = turn
            case ev.Proposed():
                read_out[""] = (turn, at)
            case ev.ProposedToCancel(key):
                read_out[key] = (turn, at)
        if state.bookings != before.bookings:
            said_in, said_at = read_out[event.id if isinstance(event, ev.Unbooked) else ""]
            assert (agreed, said_in) == (turn, turn - 1)
            assert not (said_at and at) or at[:10] <= said_at[:10], "a day later it is read out anew"


@given(GRAVE_HISTORIES)
@SETTINGS
def test_what_is_repeated_behind_an_answer_can_be_answered(history: list[ev.Event]) -> None:
    """Whatever happened: a reply that ends in a read-out is one that a yes may follow."""
    state = fold([*history, ev.UserSaid("x", "zh", "thank", "2026-11-21T12:00")], CITY)
    pending = open_question(state, CITY)
    if isinstance(pending, Confirm):
        assert isinstance(next_action(fold([ev.Proposed(), *YES], CITY, state), CITY), Book)
    if isinstance(pending, ConfirmCancel):
        asked = ev.ProposedToCancel(pending.booking_id)
        assert isinstance(next_action(fold([asked, *YES], CITY, state), CITY), Unbook)


@given(HISTORIES, st.integers(0, 20))
@SETTINGS
def test_a_log_folds_the_same_whole_in_parts_and_out_of_json(history: list[ev.Event], cut: int) -> None:
    whole = fold(history, CITY)
    assert _told(fold(history[cut:], CITY, fold(history[:cut], CITY))) == _told(whole)
    replayed = [ev.from_json(json.loads(json.dumps(ev.to_json(event)))) for event in history]
    assert _told(fold(replayed, CITY)) == _told(whole)
    assert len(whole.stack) <= MAX_STACK
    numbers = [task.number for task in _tasks(whole)]
    assert len(set(numbers)) == len(numbers)
    assert all(number <= whole.num_tasks for number in numbers)
    action = next_action(whole, CITY)
    if isinstance(action, Book):
        assert whole.task is not None
        assert whole.task.stage == "confirmed"
    if isinstance(action, HandOff):
        assert action.reason
