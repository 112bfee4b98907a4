"""Small words that steer a dialogue, and what a reading becomes in the light of a state."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.assembly import frames_of
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import acts_of
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.reading.places import mentions
from pagoda.dialogue.reading.strategies import STRATEGIES, make_strategy
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.interpretation import Interpreter, ValueReader, context_of
from pagoda.dialogue.turn.turn import plain_value, state_facts
from pagoda.nlu.understanding import OUT_OF_SCOPE, Act, SlotValue, TurnContext, Understanding
from pagoda.service.shipped import service_domain

NOON = datetime(2026, 11, 21, 12, 0)
SICHUAN = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
SONGYUE = NodeValue("District", "district-001", "松月区", "Songyue")
HUT = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
HALL = NodeValue("Restaurant", "restaurant-002", "金灯酒楼", "Golden Lantern Hall")


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.load()


@pytest.fixture(scope="module")
def linker() -> Linker:
    return Linker([Named(node) for node in (SICHUAN, SONGYUE, HUT, HALL)])


class Written:
    """Reads what the test wrote."""

    def __init__(self, intent: str, confidence: float, *slots: SlotValue) -> None:
        self._intent, self._confidence, self._slots = intent, confidence, slots

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        return Understanding(text, "zh", self._intent, self._confidence, self._slots)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("好的", ["confirm"]), ("可以。", ["confirm"]), ("对，就这样", ["confirm"]), ("yes please", ["confirm"]),
        ("That's right", ["confirm"]), ("不，要六个人", ["deny"]), ("no, for six", ["deny"]), ("不对", ["deny"]),
        ("不错的川菜馆", []), ("nowhere else", []), ("可以订位吗", []), ("right now", []),
        ("改成六个人", ["correct"]), ("make it six instead", ["correct"]),
    ],
)  # fmt: skip
def test_yes_no_and_corrections_are_told_apart(domain: Domain, text: str, kinds: list[str]) -> None:
    assert [act.kind for act in acts_of(text, domain)] == kinds


@pytest.mark.parametrize(
    ("text", "number"),
    [("第二家", "2"), ("就第三个吧", "3"), ("最后一家", "-1"), ("the second one", "2"), ("the last", "-1"),
     ("number 4", "4"), ("2", "2"), ("first of all", None), ("two people", None), ("the 2nd one looks good", "2"),
     ("what about the 3rd", "3"), ("on the 2nd", None), ("the 2nd of May", None), ("not the second, the third", "3"),
     ("不是第二个，是第三个", "3"), ("drop the second and book the first", "1"), ("把第一个去掉，第二个订了", "2")],
)  # fmt: skip
def test_a_choice_is_told_by_its_number(domain: Domain, text: str, number: str | None) -> None:
    found = [act.value for act in acts_of(text, domain, TurnContext(results=("a", "b"))) if act.kind == "choose"]
    assert found == ([] if number is None else [number])


def test_a_bare_number_is_an_answer_where_something_was_asked(domain: Domain) -> None:
    asked = TurnContext("book_restaurant", "people", results=("a", "b"))
    assert not [act for act in acts_of("2", domain, asked) if act.kind == "choose"]


def test_any_is_of_the_slot_that_is_named_or_else_of_the_one_asked_for(domain: Domain) -> None:
    context = TurnContext("find_restaurant", "cuisine")
    assert Act("any", "cuisine") in acts_of("都可以", domain, context)
    assert Act("any", "price") in acts_of("价格无所谓", domain, context)
    assert acts_of("都可以", domain) == ()


def test_a_property_is_asked_for_by_its_words(domain: Domain) -> None:
    assert Act("request", "", "phone") in acts_of("电话是多少", domain)
    assert Act("request", "", "director") in acts_of("who directed it", domain)
    assert mentions("a rated place", "rate") is False


def test_names_of_the_graph_are_found_though_the_reader_passed_them_over(domain: Domain, linker: Linker) -> None:
    read = Complemented(Written("find_restaurant", 0.9), domain, linker).parse("松月区的川菜馆")
    assert [(slot.slot, slot.start, slot.end) for slot in read.slots] == [("location", 0, 3), ("cuisine", 4, 6)]


def test_a_number_that_was_cut_is_made_whole(domain: Domain, linker: Linker) -> None:
    cut = Written("find_restaurant", 0.9, SlotValue("price", "十元以内", 3, 7))
    read = Complemented(cut, domain, linker).parse("人均二十元以内")
    assert [(slot.value, slot.start) for slot in read.slots if slot.slot == "price"] == [("二十元以内", 2)]


def test_what_only_names_a_slot_is_no_value_of_it(domain: Domain, linker: Linker) -> None:
    named = Written("ask_property", 0.6, SlotValue("rating", "评分", 0, 2))
    assert Complemented(named, domain, linker).parse("评分多少").slots == ()


@pytest.mark.parametrize(
    ("read_as", "confidence", "text", "intent"),
    [
        ("find_film", 0.8, "评分4.5分以上的酒店", "find_hotel"),
        ("find_restaurant", 0.8, "any movies rated above 8", "find_film"),
        ("book_restaurant", 0.8, "book me a guesthouse", "find_hotel"),
        ("find_film", 0.8, "酒店附近的餐馆", "find_film"),
        ("find_film", 0.95, "评分4.5分以上的酒店", "find_film"),
        ("find_hotel", 0.8, "the hotel film", "find_hotel"),
        ("book_restaurant", 0.8, "a table at a Sichuan restaurant", "book_restaurant"),
        ("ask_property", 0.8, "酒店的评分", "ask_property"),
    ],
)
def test_what_only_one_task_is_about_outweighs_a_reading_that_is_not_sure(
    domain: Domain, linker: Linker, read_as: str, confidence: float, text: str, intent: str
) -> None:
    assert Complemented(Written(read_as, confidence), domain, linker).parse(text).intent == intent


@pytest.mark.parametrize(
    ("running", "text", "value", "intent"),
    [
        ("find_hotel", "不，要松月区的", "松月区", "find_hotel"),
        ("find_hotel", "那松月区呢", "松月区", "find_hotel"),
        ("find_hotel", "no, in Songyue", "Songyue", "find_hotel"),
        ("find_hotel", "what about Songyue?", "Songyue", "find_hotel"),
        ("find_hotel", "松月区的餐馆", "松月区", "find_restaurant"),
        ("find_hotel", "想吃点东西，在松月区", "松月区", "find_restaurant"),
        ("find_hotel", "and a restaurant in Songyue", "Songyue", "find_restaurant"),
        ("find_hotel", "有川菜吗", "", "find_restaurant"),
        ("", "no, in Songyue", "Songyue", "find_restaurant"),
        ("find_film", "那松月区呢", "松月区", "find_restaurant"),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_sentence_of_nothing_but_values_goes_on_with_the_search_under_way(
    domain: Domain, linker: Linker, strategy: str, running: str, text: str, value: str, intent: str
) -> None:
    slots = [SlotValue("location", value, text.index(value), text.index(value) + len(value))] if value else []
    base = Complemented(Written("find_restaurant", 0.99, *slots), domain, linker)
    read = make_strategy(strategy, base, frames_of(domain)).parse(text, TurnContext(running, language="zh"))
    assert read.intent == intent


@pytest.mark.parametrize(
    ("running", "read_as", "text", "slot", "value"),
    [
        ("find_restaurant", "find_hotel", "便宜点的", "price", "便宜点"),
        ("find_film", "find_restaurant", "rated above 8", "rating", "above 8"),
        ("find_film", "book_restaurant", "what about tonight", "time", "tonight"),
        ("book_restaurant", "find_film", "今晚的", "time", "今晚"),
    ],
)
def test_every_task_takes_its_fragments(
    domain: Domain, linker: Linker, running: str, read_as: str, text: str, slot: str, value: str
) -> None:
    start = text.index(value)
    base = Written(read_as, 0.95, SlotValue(slot, value, start, start + len(value)))
    read = Complemented(base, domain, linker).parse(text, TurnContext(running, language="zh"))
    assert (read.intent, [found.slot for found in read.slots]) == (running, [slot])


def test_a_text_without_a_word_is_out_of_scope_in_the_language_of_the_dialogue(domain: Domain, linker: Linker) -> None:
    from pagoda.errors import InvalidRequestError

    class Refusing:
        def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
            raise InvalidRequestError("no word")

    read = Complemented(Refusing(), domain, linker).parse("？？", TurnContext(language="zh"))
    assert (read.intent, read.language) == (OUT_OF_SCOPE, "zh")


def told(domain: Domain, linker: Linker, state: State, written: Written, text: str) -> list[ev.Event]:
    read = Complemented(written, domain, linker).parse(text, context_of(state))
    return Interpreter(domain, ValueReader(domain, linker, NOON)).events(read, state, "2026-11-21T12:00")


def booking(domain: Domain) -> State:
    """A booking that waits for a yes."""
    from pagoda.dialogue.slots.kinds import When

    said = [
        ev.UserSaid("订", "zh", "book_restaurant"), ev.Switched("book_restaurant"), ev.Informed("name", HUT),
        ev.Informed("time", When("2026-11-21T19:00")), ev.Informed("people", 4), ev.Proposed(),
    ]  # fmt: skip
    return fold(said, domain)


def test_a_yes_to_a_booking_is_a_yes_whatever_else_it_looks_like(domain: Domain, linker: Linker) -> None:
    events = told(domain, linker, booking(domain), Written("thank", 0.9), "好的，谢谢")
    assert events == [ev.UserSaid("好的，谢谢", "zh", "confirm", "2026-11-21T12:00"), ev.Confirmed()]


def test_a_no_with_a_value_corrects_what_was_said(domain: Domain, linker: Linker) -> None:
    six = Written("book_restaurant", 0.9, SlotValue("people", "六个人", 3, 6))
    events = told(domain, linker, booking(domain), six, "不，要六个人")
    assert events[1:] == [ev.Denied(), ev.Corrected("people", 6, "六个人")]


def test_an_answer_stays_with_the_task_that_asked(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "zh"), ev.Switched("find_restaurant"), ev.Asked("location")], domain)
    events = told(domain, linker, state, Written("find_hotel", 0.95), "松月区")
    assert events[1:] == [ev.Informed("location", SONGYUE, "松月区")]


def test_a_number_that_was_asked_for_stays_with_its_task_beside_a_name_that_nobody_looks_for(
    domain: Domain, linker: Linker
) -> None:
    state = fold([ev.UserSaid("x", "en"), ev.Switched("book_restaurant"), ev.Asked("people")], domain)
    other = Written("find_restaurant", 0.95)
    answered = told(domain, linker, state, other, "big Sichuan family, seven of us")
    assert ev.Informed("people", 7, "seven of us") in answered
    assert ev.Switched("find_restaurant") not in answered
    for text in ("find me Sichuan for seven of us", "Sichuan food for seven of us"):
        assert ev.Switched("find_restaurant") in told(domain, linker, state, other, text)


def test_another_wish_is_a_switch_though_it_names_what_was_asked_for(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "zh"), ev.Switched("find_restaurant"), ev.Asked("location")], domain)
    events = told(domain, linker, state, Written("find_hotel", 0.95), "先帮我找一家松月区的酒店吧")
    assert events[1:] == [ev.Switched("find_hotel"), ev.Informed("location", SONGYUE, "松月区")]


def test_a_result_is_pointed_at_by_its_number_or_its_name(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "zh"), ev.Switched("find_restaurant"), ev.Offered((HUT, HALL))], domain)
    for text in ("第二家", "就金灯酒楼吧"):
        assert ev.Chosen(1) in told(domain, linker, state, Written("choose", 0.9), text)
    asked = told(domain, linker, state, Written("ask_property", 0.9), "第二家的电话是多少")
    assert asked[1:] == [ev.Requested("phone", 1)]
    booked = told(domain, linker, state, Written("choose", 0.9), "订第二家")
    assert booked[1:] == [ev.Switched("book_restaurant"), ev.Chosen(1)]


def test_a_cancellation_is_nothing_else_besides(domain: Domain, linker: Linker) -> None:
    events = told(domain, linker, booking(domain), Written("cancel", 0.9), "算了，不订了")
    assert events[1:] == [ev.Cancelled()]


def test_what_is_only_left_out_gives_no_search_up(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "zh"), ev.Switched("find_restaurant"), ev.Asked("cuisine")], domain)
    read = Written("cancel", 0.9, SlotValue("cuisine", "川菜", 4, 6))
    left_out = told(domain, linker, state, read, "算了不要川菜")
    assert ev.Cancelled() not in left_out
    assert any(isinstance(event, ev.Informed) and event.slot == "cuisine" for event in left_out)
    assert told(domain, linker, state, Written("cancel", 0.9), "算了，不找了")[1:] == [ev.Cancelled()]


@pytest.mark.parametrize(
    ("text", "intent", "confidence", "slots"),
    [
        ("what's the weather like tomorrow", OUT_OF_SCOPE, 0.95, (SlotValue("time", "tomorrow", 24, 32),)),
        ("为啥不推荐川菜", "find_restaurant", 0.9, (SlotValue("cuisine", "川菜", 5, 7),)),
        ("why don't you recommend Sichuan", "find_restaurant", 0.9, (SlotValue("cuisine", "Sichuan", 24, 31),)),
    ],
)
def test_what_is_no_wish_leaves_its_values_out_of_the_task(
    domain: Domain, linker: Linker, text: str, intent: str, confidence: float, slots: tuple[SlotValue, ...]
) -> None:
    state = fold([ev.UserSaid("x", "en"), ev.Switched("find_restaurant"), ev.Offered((HUT, HALL))], domain)
    events = told(domain, linker, state, Written(intent, confidence, *slots), text)
    assert not [event for event in events if isinstance(event, ev.Informed | ev.Switched)]


def test_a_proposal_is_a_wish_though_it_asks_why_not(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "en"), ev.Switched("find_restaurant"), ev.Asked("cuisine")], domain)
    read = Written("find_restaurant", 0.9, SlotValue("cuisine", "Sichuan", 17, 24))
    assert ev.Informed("cuisine", SICHUAN, "Sichuan") in told(domain, linker, state, read, "why don't we try Sichuan")


def test_no_booking_is_left_for_a_wish_that_is_not_sure_and_names_nothing(domain: Domain, linker: Linker) -> None:
    hotel = Written("find_hotel", 0.7)
    assert ev.Switched("find_hotel") not in told(domain, linker, booking(domain), hotel, "and can I bring my dog?")
    assert ev.Switched("find_hotel") in told(domain, linker, booking(domain), hotel, "and a hotel for my dog?")


def test_a_number_alone_is_a_choice_whatever_a_reader_takes_it_for(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "en"), ev.Switched("find_restaurant"), ev.Offered((HUT, HALL))], service_domain())
    for text, is_choice in (("hmm second one?", True), ("not the second one", False), ("why the second one", False)):
        events = told(service_domain(), linker, state, Written("not_this_one", 0.97), text)
        assert (ev.Chosen(1) in events) is is_choice


def test_whoever_does_not_mind_answers_the_task_that_asked(domain: Domain, linker: Linker) -> None:
    state = fold([ev.UserSaid("x", "en"), ev.Switched("find_restaurant"), ev.Asked("location")], domain)
    events = told(domain, linker, state, Written("find_hotel", 0.9), "anywhere")
    assert events[1:] == [ev.SetAny("location")]


def test_the_state_is_told_in_words(domain: Domain) -> None:
    facts = state_facts(booking(domain), domain, "en")
    assert facts["slots"] == {"name": "Green Tile Kitchen", "time": "2026-11-21T19:00", "people": 4}
    assert (facts["intent"], facts["stage"], facts["missing"]) == ("book_restaurant", "confirming", [])
    assert plain_value((SICHUAN, SONGYUE), "zh") == ["川菜", "松月区"]


@pytest.mark.parametrize(
    ("text", "asked", "confidence", "intent"),
    [
        ("yes, I like Songyue, please search there", "location", 0.97, "find_hotel"),
        ("I like it better if it is Songyue", "", 0.8, "find_hotel"),
        ("I like it better if it is Songyue", "", 0.97, "find_restaurant"),
        ("I like a restaurant in Songyue", "location", 0.97, "find_restaurant"),
    ],
)
def test_values_that_the_task_takes_as_well_do_not_leave_it(
    domain: Domain, linker: Linker, text: str, asked: str, confidence: float, intent: str
) -> None:
    start = text.index("Songyue")
    base = Written("find_restaurant", confidence, SlotValue("location", "Songyue", start, start + 7))
    context = TurnContext("find_hotel", requested_slot=asked, language="en")
    assert Complemented(base, domain, linker).parse(text, context).intent == intent
