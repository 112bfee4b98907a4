"""What is said after a booking in other words than "change" and "cancel", and orders of what cannot be booked."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue, When
from pagoda.dialogue.state import actions, policy
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.interpretation import Interpreter, context_of
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import SlotValue, TurnContext, Understanding

CITY = Domain.load()
NOON = datetime(2026, 11, 21, 12, 0)
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
HALL = NodeValue("Restaurant", "restaurant-002", "金灯酒楼", "Golden Lantern Hall")
INN = NodeValue("Hotel", "hotel-001", "新湖客栈", "New Lake Guesthouse")
LUMING = NodeValue("District", "district-003", "鹿鸣区", "Luming")
LINKER = Linker([Named(node) for node in (TILE, HALL, INN, LUMING)])
AT = NOON.isoformat(timespec="minutes")


def booked(place: NodeValue, key: str) -> tuple[ev.Event, ...]:
    """A table for four tomorrow at seven, agreed upon."""
    return (
        ev.UserSaid("book", "en", "book_restaurant", AT), ev.Switched("book_restaurant"), ev.Informed("name", place),
        ev.Informed("time", When("2026-11-22T19:00")), ev.Informed("people", 4), ev.Proposed(),
        ev.UserSaid("yes", "en", "confirm", AT), ev.Confirmed(), ev.Booked(key),
    )  # fmt: skip


ONE, TWO = booked(TILE, "k1"), (*booked(TILE, "k1"), *booked(HALL, "k2"))


class Written:
    """Reads what the test wrote."""

    def __init__(self, intent: str, *slots: SlotValue) -> None:
        self._intent, self._slots = intent, slots

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        return Understanding(text, "zh" if not text.isascii() else "en", self._intent, 0.95, self._slots)


def after(text: str, before: tuple[ev.Event, ...], intent: str = "book_restaurant") -> tuple[State, list[ev.Event]]:
    """The state after one more sentence, and all events until then."""
    state = fold(before, CITY)
    read = Complemented(Written(intent), CITY, LINKER).parse(text, context_of(state))
    events = Interpreter(CITY, ValueReader(CITY, LINKER, NOON)).events(read, state, AT)
    return fold(events, CITY, state), [*before, *events]


@pytest.mark.parametrize(
    ("text", "slot", "value"),
    [
        ("add two more people", "people", 6), ("再加两个人", "people", 6), ("two more please", "people", 6),
        ("move it to Monday", "time", When("2026-11-23T19:00")), ("改到后天", "time", When("2026-11-23T19:00")),
        ("push it to 8:30 pm", "time", When("2026-11-22T20:30")), ("we'll be five", "people", 5),
        ("make it 5 people instead", "people", 5),
    ],
)  # fmt: skip
def test_what_stands_is_changed_in_whatever_words_and_read_out(text: str, slot: str, value: object) -> None:
    state, _ = after(text, ONE)
    assert state.task is not None
    assert (state.task.replaces, state.task.values[slot]) == ("k1", value)
    assert policy.next_action(state, CITY) == actions.Confirm("book_restaurant", state.task.values, "k1")
    assert [each.values["people"] for each in state.bookings] == [4], "nothing is changed without a yes"


@pytest.mark.parametrize(
    "text", ["book Golden Lantern Hall for two", "Golden Lantern Hall for two", "订金灯酒楼，两位", "a table for two"]
)
def test_another_booking_is_another_one(text: str) -> None:
    state, _ = after(text, ONE)
    assert state.task is not None
    assert state.task.replaces == ""


@pytest.mark.parametrize("text", ["actually cancel", "取消吧", "sorry, we can't make it", "我们去不了了"])
@pytest.mark.parametrize("intent", ["cancel", "out_of_scope"])
def test_what_stands_is_undone_upon_a_yes_without_a_word_for_it(text: str, intent: str) -> None:
    state, _ = after(text, ONE, intent)
    assert policy.next_action(state, CITY) == actions.ConfirmCancel("k1")


def test_of_several_it_is_asked_which_and_what_was_said_is_kept() -> None:
    state, events = after("再加两个人", TWO)
    assert policy.next_action(state, CITY) == actions.AskWhich(is_change=True)
    events.append(ev.ProposedToCancel())
    state, _ = after("第二个", tuple(events), "choose")
    assert state.task is not None
    assert (state.task.replaces, state.task.values["people"]) == ("k2", 6)
    state, _ = after("the one at Green Tile Kitchen", tuple(events), "choose")
    assert state.task is not None
    assert state.task.replaces == "k1"
    state, _ = after("no, leave it", tuple(events), "deny")
    assert policy.next_action(state, CITY) == actions.Say("kept")


def test_a_number_that_may_be_people_or_an_hour_is_asked_about() -> None:
    state, _ = after("make that 8 instead", ONE)
    assert policy.next_action(state, CITY) == actions.Say("ask_change", None)


@pytest.mark.parametrize("text", ["change the time", "换个时间", "a different day please"])
def test_a_slot_without_a_value_is_asked_for_and_keeps_what_it_has(text: str) -> None:
    state, _ = after(text, ONE)
    assert policy.next_action(state, CITY) == actions.Ask("time")
    assert state.task is not None
    assert state.task.values["time"] == When("2026-11-22T19:00")
    read_out = ONE[:6]
    state, _ = after(text, read_out)
    assert policy.next_action(state, CITY) == actions.Ask("time")


def test_a_search_is_asked_for_another_value_too() -> None:
    found = (ev.UserSaid("酒店", "zh"), ev.Switched("find_hotel"), ev.Informed("location", LUMING), ev.Offered((INN,)))
    state, _ = after("换个位置", found, "find_hotel")
    assert policy.next_action(state, CITY) == actions.Ask("location")


@pytest.mark.parametrize(
    ("text", "intent"),
    [("book a hotel", "find_hotel"), ("订个酒店", "find_hotel"), ("buy two tickets for the film", "ask_property")],
)
def test_what_cannot_be_booked_is_said_to_be_so(text: str, intent: str) -> None:
    found = (ev.UserSaid("酒店", "zh"), ev.Switched("find_hotel"), ev.Informed("location", LUMING), ev.Offered((INN,)))
    state, _ = after(text, found, intent)
    assert policy.next_action(state, CITY) == actions.Say("not_bookable", None)
    assert state.bookings == ()


def test_what_cannot_be_booked_is_looked_for_or_told_all_the_same() -> None:
    state, _ = after("book a hotel in Luming", (), "find_hotel")
    assert isinstance(policy.next_action(state, CITY), actions.LookUp)
    assert state.this_turn.unbookable == "Hotel"
    state, _ = after("book a room at New Lake Guesthouse", (), "book_restaurant")
    assert policy.next_action(state, CITY) == actions.Show("find_hotel", INN)
    state, _ = after("book a table at Green Tile Kitchen", ())
    assert state.this_turn.unbookable == ""


def test_a_question_and_an_order_in_one_sentence_are_both_heard() -> None:
    found = (ev.UserSaid("川菜", "zh"), ev.Switched("find_restaurant"), ev.Offered((TILE,)))
    state, _ = after("what's its phone number? and book it for two", found, "ask_property")
    assert state.task is not None
    assert (state.task.intent, state.task.values) == ("book_restaurant", {"name": TILE, "people": 2})
    action = policy.next_action(state, CITY)
    assert isinstance(action, actions.Tell)
    assert (action.columns, action.pending) == (("phone",), actions.Ask("time"))


@pytest.mark.parametrize(
    "text",
    [
        "不要取消我的预订", "don't cancel my booking", "keep it", "push it back by an hour", "有一个人来不了了",
        "one of us can't make it", "算了还是不取消了",
    ],
)  # fmt: skip
def test_what_keeps_or_moves_a_booking_never_proposes_to_undo_it(text: str) -> None:
    state, _ = after(text, ONE, "cancel")
    assert state.withdrawal is None
    assert not isinstance(policy.next_action(state, CITY), actions.ConfirmCancel)


def test_another_wish_ends_the_question_whether_to_undo_a_booking() -> None:
    asked, before = after("cancel my booking", ONE, "cancel")
    assert asked.withdrawal is not None
    state, events = after("book Golden Lantern Hall", (*before, ev.ProposedToCancel("k1")))
    assert state.withdrawal is None
    state, _ = after("yes", tuple(events), "confirm")
    assert [each.id for each in state.bookings] == ["k1"], "a yes is of what was asked last"


@pytest.mark.parametrize(("text", "key"), [("the last one", "k3"), ("最后一个", "k3"), ("the first one", "k1")])
def test_which_of_several_bookings_is_undone_is_told_from_either_end(text: str, key: str) -> None:
    three = (*TWO, *booked(TILE, "k3"))
    asked, before = after("cancel my booking", three, "cancel")
    assert asked.withdrawal is not None
    assert not asked.withdrawal.id
    state, _ = after(text, (*before, ev.ProposedToCancel()), "choose")
    assert state.withdrawal is not None
    assert state.withdrawal.id == key
