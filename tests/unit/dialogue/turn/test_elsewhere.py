"""Which sentences are another storey's: its own intents, a search without any wish; and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.state import actions
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import Question, State
from pagoda.dialogue.turn.elsewhere import Answered, Elsewhere, Errand
from pagoda.dialogue.turn.interpretation import Interpreter, ValueReader
from pagoda.dialogue.turn.performing import Taken
from pagoda.dialogue.turn.taking import TurnTaker
from pagoda.graph.errors import GraphUnavailableError
from pagoda.nlu.understanding import Act, Language, SlotValue, Understanding
from pagoda.service.shipped import service_domain

DOMAIN = service_domain()
NOON = datetime(2026, 11, 21, 12, 0)
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
CRANE = NodeValue("Restaurant", "restaurant-002", "云鹤酒楼", "Cloud Crane Hall")


class Desk:
    """Remembers errands; answers with the nodes that the test gave, nothing, or an error."""

    def __init__(self, offered: Sequence[NodeValue] = (TILE, CRANE)) -> None:
        self.errands: list[Errand] = []
        self.offered = tuple(offered)
        self.fails = False

    def __call__(self, errand: Errand) -> Answered | None:
        self.errands.append(errand)
        if self.fails:
            raise GraphUnavailableError("away")
        return Answered("told", "recommender", {"model": "m"}, self.offered) if self.offered else None


def taker(desk: Desk) -> TurnTaker:
    linker, reader = Linker([Named(TILE), Named(CRANE)]), SlotReader(DOMAIN)

    def interpreter(now: datetime) -> Interpreter:
        return Interpreter(DOMAIN, ValueReader(DOMAIN, linker, now, reader))

    # What another storey answers needs no graph.
    return TurnTaker(DOMAIN, cast(Any, None), interpreter, Phrasebook(DOMAIN), Elsewhere(None, desk))


def read(text: str, intent: str, *, sure: float = 0.9, language: Language = "en", **more: Any) -> Understanding:
    return Understanding(text, language, intent, sure, **more)


def take(desk: Desk, reading: Understanding, before: State | None = None) -> Taken:
    return taker(desk).take("s", reading, before or State(), NOON)


def test_what_is_offered_elsewhere_can_be_pointed_at() -> None:
    desk = Desk()
    taken = take(desk, read("what do you recommend", "recommend"))
    assert (taken.text, taken.source, taken.details) == ("told", "recommender", {"model": "m"})
    assert taken.state.task is not None
    assert (taken.state.task.intent, taken.state.task.results) == ("find_restaurant", (TILE, CRANE))
    second = read(
        "why the second one", "why_recommended", acts=(Act("choose", value="2"), Act("request", value="price"))
    )
    take(desk, second, taken.state)
    assert [(one.intent, one.node) for one in desk.errands] == [("recommend", None), ("why_recommended", CRANE)]


def test_a_search_for_nothing_in_particular_is_an_errand_and_one_with_a_wish_is_not() -> None:
    desk = Desk([])
    wish = read("find me a cheap restaurant", "find_restaurant", slots=(SlotValue("price", "cheap", 10, 15),))
    assert (take(desk, wish).source, desk.errands) == ("", [])
    taken = take(Desk([TILE]), read("I want a restaurant", "find_restaurant"))
    assert taken.source == "recommender"
    asked = take(desk, read("I want a restaurant", "find_restaurant"))
    assert (len(desk.errands), asked.source) == (1, "")
    assert isinstance(asked.events[-1], ev.Asked)


def test_an_unsure_reading_is_nobodys_errand() -> None:
    desk = Desk()
    assert take(desk, read("blue and so on", "why_recommended", sure=0.2)).source == ""
    assert desk.errands == []


def test_a_graph_that_fails_an_errand_is_apologised_for() -> None:
    desk = Desk()
    desk.fails = True
    taken = take(desk, read("有什么推荐", "recommend", language="zh"))
    assert taken.text == "抱歉，数据暂时查不到。您说的我都记着，请稍后再试一次。"
    assert taken.state.failure


def test_a_booking_under_way_is_not_left_for_a_recommendation() -> None:
    booking = take(Desk(), read("book a table", "book_restaurant", slots=(SlotValue("people", "four", 0, 4),))).state
    taken = take(Desk(), read("what do you recommend", "recommend"), booking)
    assert taken.state.task is not None
    assert taken.state.task.intent == "book_restaurant"
    assert taken.text.startswith("told\n")


def test_what_is_offered_while_a_booking_is_under_way_can_be_pointed_at_and_is_taken_by_it() -> None:
    booking = take(Desk(), read("book a table", "book_restaurant", slots=(SlotValue("people", "four", 0, 4),))).state
    offered = take(Desk(), read("what do you recommend", "recommend"), booking).state
    second = read("the second one", "choose", acts=(Act("choose", value="2"),))
    taken = take(Desk(), second, offered)
    assert taken.state.task is not None
    assert (taken.state.task.intent, taken.state.task.values["name"]) == ("book_restaurant", CRANE)


def test_what_cannot_be_booked_is_said_where_it_was_recommended() -> None:
    inn = NodeValue("Hotel", "hotel-001", "东湖客栈", "East Lake Guesthouse")
    offered = take(Desk([inn, inn]), read("recommend a hotel", "find_hotel")).state
    taken = take(Desk(), read("I want to book one", "book_restaurant"), offered)
    assert taken.text.startswith("Booking a hotel is not possible here.")
    named = (SlotValue("name", "Green Tile Kitchen", 5, 23),)
    assert take(Desk(), read("book Green Tile Kitchen", "book_restaurant", slots=named), offered).state.task is not None


def test_a_sentence_that_whoever_does_errands_claims_is_theirs() -> None:
    desk = Desk()
    made = taker(desk)
    made._elsewhere = Elsewhere(None, desk, lambda errand, read: "not_this_kind" if "Thai" in errand.text else "")
    wish = read("no more Thai", "find_restaurant", slots=(SlotValue("cuisine", "Thai", 8, 12),))
    assert made.take("s", wish, State(), NOON).source == "recommender"
    assert [one.intent for one in desk.errands] == ["not_this_kind"]


def test_nothing_is_claimed_while_a_booking_waits_for_a_yes() -> None:
    booking = take(Desk(), read("book a table", "book_restaurant", slots=(SlotValue("people", "four", 0, 4),))).state
    assert booking.task is not None
    made = taker(desk := Desk())
    made._elsewhere = Elsewhere(None, desk, lambda errand, read: "not_this_one")
    waiting = replace(booking, task=replace(booking.task, stage="confirming"))
    made.take("s", read("no, the second one", "choose", acts=(Act("choose", value="2"),)), waiting, NOON)
    assert desk.errands == []


def test_a_number_that_was_asked_for_is_none_of_a_list() -> None:
    made = taker(desk := Desk())
    made._elsewhere = Elsewhere(None, desk, lambda errand, read: "not_this_one")
    asked = replace(State(), question=Question("people"))
    made.take("s", read("not 2", "deny"), asked, NOON)
    assert desk.errands == []
    for text in ("not the second one", "no Sichuan"):
        made.take("s", read(text, "deny"), asked, NOON)
    assert [one.intent for one in desk.errands] == ["not_this_one", "not_this_one"]


@pytest.mark.parametrize(
    ("text", "language", "is_told"),
    [
        ("what is the phone number for refunds?", "en", True),
        ("退款电话是多少", "zh", True),
        ("what is its phone number for refunds?", "en", False),
        ("具体电话是多少", "zh", False),
        ("phone number pls", "en", False),
        ("gimme the phone number", "en", False),
        ("what is the phone number to the lost property?", "en", True),
        ("电话多少我打过去问问", "zh", False),
        ("电话实惠吗", "zh", False),
    ],
)
def test_a_property_of_what_the_domain_does_not_know_is_asked_of_documents_and_then_of_a_person(
    text: str, language: Language, is_told: bool
) -> None:
    asked = read(text, "ask_property", language=language, acts=(Act("request", value="phone"),))
    offered = take(Desk(), read("what do you recommend", "recommend")).state
    made = taker(Desk())
    made._elsewhere = Elsewhere(lambda question: f"cited: {question}")
    assert made.take("s", asked, offered, NOON).text == f"cited: {text}"
    made._elsewhere = Elsewhere(lambda question: None)
    action = made.take("s", asked, offered, NOON).action
    assert isinstance(action, actions.HandOff) is is_told


def test_a_property_of_nothing_that_was_talked_of_is_asked_of_documents() -> None:
    asked = read("what are the opening hours", "ask_property", acts=(Act("request", value="opens"),))
    made = taker(Desk())
    made._elsewhere = Elsewhere(lambda question: "from nine to five")
    assert made.take("s", asked, State(), NOON).text == "from nine to five"
    offered = take(Desk(), read("what do you recommend", "recommend")).state
    made._elsewhere = Elsewhere(lambda question: "from nine to five")
    assert made.take("s", asked, offered, NOON).text != "from nine to five"


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("How long are spaceship engines guaranteed?", True),
        ("how long does a refund take", True),
        ("how long is it", False),
        ("how long is the second one", False),
        ("What is the price and is smoking ok?", False),
        ("How long is the film?", False),
    ],
)
def test_a_question_about_what_neither_graph_nor_list_knows_is_no_question_of_which_one(
    text: str, is_told: bool
) -> None:
    acts = (*((Act("choose", value="2"),) if "second" in text else ()), Act("request", value="duration"))
    offered = take(Desk(), read("what do you recommend", "recommend")).state
    made = taker(Desk())
    made._elsewhere = Elsewhere(lambda question: None)
    made._graph = cast(Any, Away())
    action = made.take("s", read(text, "ask_property", acts=acts), offered, NOON).action
    assert isinstance(action, actions.HandOff) is is_told


class Away:
    """A graph that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise GraphUnavailableError("away")


@pytest.mark.parametrize(
    ("text", "language", "is_told"),
    [
        ("你们几点关门", "zh", True),
        ("when do you close?", "en", True),
        ("what are your opening hours", "en", True),
        ("几点关门", "zh", False),
        ("你们知道几点关门吗", "zh", False),
    ],
)
def test_what_is_asked_of_whoever_is_spoken_to_is_no_property_of_a_place(
    text: str, language: Language, is_told: bool
) -> None:
    asked = read(text, "ask_property", language=language, acts=(Act("request", value="closes"),))
    made = taker(Desk())
    made._elsewhere = Elsewhere(lambda question: None)
    assert isinstance(made.take("s", asked, State(), NOON).action, actions.HandOff) is is_told


def test_an_order_of_what_nobody_knows_is_not_one_of_what_was_shown() -> None:
    film = NodeValue("Film", "film-001", "最后的列车", "The Last Train")
    offered = take(Desk([film]), read("recommend a film", "find_film")).state
    made = taker(Desk())
    made._elsewhere = Elsewhere(lambda question: None)
    strange = made.take("s", read("do you rent helicopters", "out_of_scope"), offered, NOON)
    assert isinstance(strange.action, actions.HandOff)
    tickets = made.take("s", read("can I buy it", "out_of_scope"), offered, NOON)
    assert tickets.text.startswith("Booking a film is not possible here.")


def test_whoever_does_not_mind_where_nothing_was_asked_brings_nobody() -> None:
    made = taker(Desk())
    made._elsewhere = Elsewhere(lambda question: None)
    assert not isinstance(
        made.take("s", read("it doesn't matter", "out_of_scope"), State(), NOON).action, actions.HandOff
    )


def test_a_number_that_the_list_has_not_is_told_to_whoever_does_the_errand() -> None:
    desk = Desk()
    offered = take(desk, read("what do you recommend", "recommend")).state
    for value in ("2", "5"):
        take(desk, read("not that one", "not_this_one", acts=(Act("choose", value=value),)), offered)
    assert [(one.node, one.is_beyond) for one in desk.errands[1:]] == [(CRANE, False), (None, True)]
