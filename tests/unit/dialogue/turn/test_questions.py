"""Questions: what is asked of what is on the table or of a node that is named, and what is a wish all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import acts_of
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import Band, NodeValue, Range, When
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
POOL = NodeValue("Facility", "facility-003", "游泳池", "Swimming pool")
GYM = NodeValue("Facility", "facility-004", "健身房", "Gym")
SICHUAN = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
LUMING = NodeValue("District", "district-003", "鹿鸣区", "Luming")
LINKER = Linker([Named(node) for node in (TILE, HALL, INN, POOL, GYM, SICHUAN, LUMING)])
RESTAURANTS = (ev.UserSaid("找餐馆", "zh"), ev.Switched("find_restaurant"), ev.Informed("cuisine", SICHUAN))
HOTELS = (ev.UserSaid("找酒店", "zh"), ev.Switched("find_hotel"), ev.Informed("location", LUMING))
ONE_INN = (*HOTELS, ev.Offered((INN,)))
TWO = (*RESTAURANTS, ev.Informed("location", LUMING), ev.Offered((TILE, HALL)))
NONE_FOUND = (*RESTAURANTS, ev.Informed("location", LUMING), ev.Offered(()))


class Written:
    """Reads what the test wrote."""

    def __init__(self, intent: str, *slots: SlotValue) -> None:
        self._intent, self._slots = intent, slots

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        return Understanding(text, "zh" if not text.isascii() else "en", self._intent, 0.95, self._slots)


def heard(text: str, before: tuple[ev.Event, ...] = (), intent: str = "out_of_scope") -> tuple[list[ev.Event], State]:
    """Events of a sentence that a reader takes for that intent, and the state after them."""
    state = fold(before, CITY)
    read = Complemented(Written(intent), CITY, LINKER).parse(text, context_of(state))
    events = Interpreter(CITY, ValueReader(CITY, LINKER, NOON)).events(read, state, NOON.isoformat())
    return events, fold(events, CITY, state)


def asked(events: list[ev.Event]) -> list[Any]:
    """What is asked for, and of what."""
    return [
        (each.property, *([each.node.en] if each.node else []), *([each.value] if each.value is not None else []))
        for each in events
        if isinstance(each, ev.Requested)
    ]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("电话和地址是多少", ["phone", "address"]), ("电话多少地址在哪", ["phone", "address"]),
        ("价格贵吗？有电话吗？", ["price", "phone"]),
        ("what is the address, and how much is it?", ["address", "price"]),
        ("麻烦你把这家酒店的地址发过来", ["address"]), ("那你有电话吗", ["phone"]),
        ("can I please get the email address?", [""]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("intent", ["find_hotel", "ask_property"])
def test_properties_are_asked_for_whatever_the_sentence_looks_like(text: str, columns: list[str], intent: str) -> None:
    events, _ = heard(text, ONE_INN, intent)
    assert [column for (column,) in asked(events)] == columns


@pytest.mark.parametrize("intent", ["find_hotel", "ask_property", "out_of_scope"])
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("这家酒店有健身房和游泳池吗", [GYM, POOL]), ("酒店提不提供游泳池", [POOL]), ("有游泳池吗", [POOL]),
        ("does it have a gym?", [GYM]), ("is there a gym", [GYM]), ("它是便宜的吗", [Band("cheap")]),
    ],
)  # fmt: skip
def test_a_yes_no_question_asks_about_a_value_and_wishes_none(text: str, values: list[Any], intent: str) -> None:
    events, state = heard(text, ONE_INN, intent)
    assert [value for _, value in asked(events)] == values
    assert state.task is not None
    assert set(state.task.values) == {"location"}


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("有游泳池的", ONE_INN), ("哪家有游泳池", ONE_INN), ("any with a gym?", ONE_INN),
        ("找个有健身房的酒店", ONE_INN),
        ("有健身房的酒店吗", ONE_INN), ("what hotels are cheap?", ONE_INN), ("I want a gym", ONE_INN),
    ],
)  # fmt: skip
def test_what_looks_for_something_else_is_a_wish(text: str, before: tuple[ev.Event, ...]) -> None:
    events, state = heard(text, before, "find_hotel")
    assert asked(events) == []
    assert state.task is not None
    assert {"facility", "price"} & set(state.task.values)


@pytest.mark.parametrize("intent", ["book_restaurant", "find_restaurant", "out_of_scope", "ask_property"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("does Green Tile Kitchen take cards?", ""), ("青瓦小馆能停车吗", ""), ("青瓦小馆可以刷卡吗", ""),
        ("青瓦小馆几点关门", "closes"), ("is Green Tile Kitchen open on Sundays?", "opens"),
        ("明天去青瓦小馆吃饭，请帮我查一下它的地址", "address"), ("青瓦小馆的推荐菜给说几个呗", "dishes"),
        ("I am looking for a particular restaurant, the Green Tile Kitchen", "*"), ("有没有一家叫青瓦小馆的餐馆", "*"),
        ("tell me about Green Tile Kitchen", "*"), ("介绍一下青瓦小馆", "*"), ("青瓦小馆怎么样？", "*"),
    ],
)  # fmt: skip
def test_a_question_about_a_named_place_is_one_and_books_nothing(text: str, wanted: str, intent: str) -> None:
    events, state = heard(text, (), intent)
    assert asked(events) == [(wanted, "Green Tile Kitchen")]
    assert state.task is None


def test_a_question_beside_an_order_of_what_cannot_be_booked_is_answered() -> None:
    events, state = heard("酒店电话告诉我吧，我订个房间？", ONE_INN, "find_hotel")
    assert asked(events) == [("phone",)]
    assert state.this_turn.unbookable == "Hotel"


def test_what_can_only_be_told_of_is_told_where_it_is_named_and_nothing_else_said() -> None:
    assert asked(heard("New Lake Guesthouse will be fine, thanks", (), "find_hotel")[0]) == [
        ("*", "New Lake Guesthouse")
    ]
    assert asked(heard("a table at Green Tile Kitchen would be fine", (), "book_restaurant")[0]) == []


def test_a_comparison_looks_for_something_else() -> None:
    for text in ("is there one with a higher rating?", "有更便宜的吗", "anything closer?"):
        assert asked(heard(text, ONE_INN, "find_hotel")[0]) == []


def test_the_second_of_a_list_is_a_row_and_no_day() -> None:
    state = fold(TWO, CITY)
    read = Understanding(
        "what about the second?", "en", "find_restaurant", 0.9, (SlotValue("time", "the second", 11, 21),)
    )
    read = replace(read, acts=acts_of(read.text, CITY))
    events = Interpreter(CITY, ValueReader(CITY, LINKER, NOON)).events(read, state, NOON.isoformat())
    assert not [event for event in events if isinstance(event, ev.Informed | ev.Requested)]


def test_who_wants_to_go_somewhere_asks_nothing() -> None:
    for text in ("能去青瓦小馆吗", "can you get me into Green Tile Kitchen?"):
        assert asked(heard(text, (), "book_restaurant")[0]) == []


def test_a_question_with_a_wish_is_answered_and_the_wish_is_done() -> None:
    events, state = heard("找个鹿鸣区的酒店，顺便把电话告诉我", (), "find_hotel")
    assert ev.AskedAlong("phone") in events
    action = policy.next_action(state, CITY)
    assert isinstance(action, actions.LookUp)
    assert action.columns == ("phone",)
    _, state = heard("还是吃川菜吧，青瓦小馆几点关门？", TWO[:-2], "find_restaurant")
    action = policy.next_action(state, CITY)
    assert isinstance(action, actions.Tell)
    assert isinstance(action.pending, actions.Ask), "the search still lacks its district"


def test_a_value_that_is_told_is_not_asked_for_besides() -> None:
    events, _ = heard("有没有评分4.5分以上的酒店，在鹿鸣区", (), "find_hotel")
    assert not [event for event in events if isinstance(event, ev.AskedAlong)]


def test_it_is_what_was_talked_of_last_and_the_kind_that_is_named() -> None:
    _, state = heard("金灯酒楼几点关门", TWO, "ask_property")
    assert state.topic == HALL
    first, _ = heard("酒店的电话呢", (*ONE_INN, *TWO, ev.Chosen(0)), "ask_property")
    assert asked(first) == [("phone", "New Lake Guesthouse")]
    state = fold((*ONE_INN, *TWO, ev.Chosen(0), ev.UserSaid("电话", "zh"), ev.Requested("phone")), CITY)
    action = policy.next_action(state, CITY)
    assert isinstance(action, actions.Tell)
    assert action.result == TILE


def test_a_question_after_an_empty_list_is_told_to_have_no_object() -> None:
    _, state = heard("那它的电话呢", (*ONE_INN, *NONE_FOUND), "ask_property")
    assert policy.next_action(state, CITY) == actions.Say("nothing_to_ask", None)
    _, state = heard("酒店的电话呢", (*ONE_INN, *NONE_FOUND), "ask_property")
    assert isinstance(policy.next_action(state, CITY), actions.Tell)


def test_what_no_column_holds_is_said_to_be_unknown() -> None:
    _, state = heard("do they take cards?", ONE_INN)
    assert policy.next_action(state, CITY) == actions.Say("property_unknown", None)
    assert asked(heard("do they take cards?")[0]) == [], "there is nothing on the table"


def test_what_a_search_asks_for_is_no_question_about_a_result() -> None:
    collecting = (*TWO, *HOTELS[:2])
    state = fold(collecting, CITY)
    assert state.task is not None
    events, _ = heard("价格300到400元", collecting, "find_hotel")
    assert asked(events) == []
    assert acts_of("价格多少", CITY)


def test_a_price_that_is_doubted_is_asked_about() -> None:
    events, _ = heard("这个酒店你确定是200-300元吗？", ONE_INN, "find_hotel")
    assert asked(events) == [("price", Range(200, 300))]


@pytest.mark.parametrize("text", ["is it open on Mondays", "周一开门吗"])
def test_a_question_about_what_was_read_out_moves_nothing(text: str) -> None:
    read_out = (
        ev.UserSaid("book", "en"), ev.Switched("book_restaurant"), ev.Informed("name", TILE),
        ev.Informed("time", When("2026-11-22T19:00")), ev.Informed("people", 4), ev.Proposed(),
    )  # fmt: skip
    events, state = heard(text, read_out, "ask_property")
    assert any(isinstance(event, ev.Requested) for event in events)
    assert state.task is not None
    assert state.task.values["time"] == When("2026-11-22T19:00")
