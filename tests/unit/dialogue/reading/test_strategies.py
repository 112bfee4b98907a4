"""The three strategies over one reading: which slots and which intent each believes, and the hybrid's choice."""

from __future__ import annotations

import logging

import pytest

from pagoda.dialogue.reading.strategies import STRATEGIES, Frame, by_intent, by_slots, complexity_of, make_strategy
from pagoda.errors import ConfigError
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding

FRAMES = {
    "find_restaurant": Frame("find_restaurant", frozenset({"cuisine", "location"}), frozenset({"price"})),
    "find_hotel": Frame("find_hotel", frozenset({"location"}), frozenset({"stars", "price"})),
    "find_film": Frame("find_film", frozenset({"genre"}), frozenset({"time", "rating"})),
    "greet": Frame("greet"),
}


def reading(intent: str, *slots: str, text: str = "some words", **candidates: float) -> Understanding:
    ranked = tuple(sorted(candidates.items(), key=lambda pair: -pair[1])) or ((intent, 0.9),)
    values = tuple(SlotValue(slot, "x") for slot in slots)
    return Understanding(text, "en", intent, ranked[0][1], values, candidates=ranked)


class Written:
    """An understander whose reading is written by the test."""

    def __init__(self, written: Understanding) -> None:
        self.written, self.num_calls = written, 0

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        self.num_calls += 1
        return self.written


def test_intent_first_drops_slots_that_the_intent_does_not_have() -> None:
    parsed = by_intent(reading("find_hotel", "stars", "cuisine", "location"), FRAMES)
    assert [slot.slot for slot in parsed.slots] == ["stars", "location"]
    assert (parsed.intent, parsed.route) == ("find_hotel", "intent_first")


def test_intent_first_keeps_an_answer_to_a_question_of_the_task_under_way() -> None:
    parsed = by_intent(reading(OUT_OF_SCOPE, "stars", "genre"), FRAMES, TurnContext("find_hotel", "stars"))
    assert [slot.slot for slot in parsed.slots] == ["stars"]


def test_slots_first_lets_the_slots_correct_a_wrong_intent() -> None:
    parsed = by_slots(reading("find_hotel", "cuisine", "location", find_hotel=0.6, find_restaurant=0.4), FRAMES)
    assert parsed.intent == "find_restaurant"
    assert [slot.slot for slot in parsed.slots] == ["cuisine", "location"]
    assert sum(confidence for _, confidence in parsed.candidates) == pytest.approx(1.0)


def test_slots_first_prefers_the_frame_whose_required_slots_are_filled() -> None:
    parsed = by_slots(reading("x", "location", find_restaurant=0.5, find_hotel=0.5), FRAMES)
    assert parsed.intent == "find_hotel"


def test_slots_first_counts_slots_that_were_filled_before() -> None:
    context = TurnContext("find_restaurant", slots={"cuisine": "川菜", "location": "澄湖区"})
    parsed = by_slots(reading("x", "price", find_restaurant=0.45, find_hotel=0.45), FRAMES, context)
    assert parsed.intent in ("find_restaurant", "find_hotel")
    ranked = dict(parsed.candidates)
    assert ranked["find_restaurant"] == pytest.approx(ranked["find_hotel"])


def test_slots_first_without_slots_is_the_reading_itself() -> None:
    parsed = by_slots(reading("greet"), FRAMES)
    assert (parsed.intent, parsed.confidence, parsed.route) == ("greet", 0.9, "slots_first")


def test_slots_speak_against_out_of_scope() -> None:
    parsed = by_slots(reading(OUT_OF_SCOPE, "genre", out_of_scope=0.6, find_film=0.3), FRAMES)
    assert parsed.intent == "find_film"


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_agree_where_a_sentence_is_easy(name: str) -> None:
    easy = reading("find_restaurant", "cuisine", "location", find_restaurant=0.95, find_hotel=0.05)
    parsed = make_strategy(name, Written(easy), FRAMES).parse("x")
    assert (parsed.intent, parsed.slots) == ("find_restaurant", easy.slots)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("find a cheap hotel", ()),
        ("find a hotel, and then a film; but not an old one", ("3 clauses",)),
        ("那家便宜吗", ("points back",)),
        ("is it far?", ("points back",)),
    ],
)
def test_what_makes_a_sentence_hard_is_named(text: str, reasons: tuple[str, ...]) -> None:
    assert complexity_of(reading("find_hotel", text=text)).reasons == reasons


def test_two_intents_close_together_and_many_slots_make_a_sentence_hard() -> None:
    hard = reading("find_hotel", "a", "b", "c", "d", find_hotel=0.45, find_film=0.4)
    assert complexity_of(hard).reasons == ("4 slots", "margin 0.05")


def test_the_hybrid_logs_its_route_and_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    unsure = reading("find_hotel", "cuisine", find_hotel=0.5, find_restaurant=0.45)
    with caplog.at_level(logging.DEBUG, "pagoda.dialogue.reading.strategies"):
        parsed = make_strategy("hybrid", Written(unsure), FRAMES).parse("x")
    assert (parsed.route, parsed.intent) == ("hybrid/slots_first", "find_restaurant")
    assert "hybrid took slots_first: margin 0.05" in caplog.text
    easy = make_strategy("hybrid", Written(reading("greet")), FRAMES).parse("x")
    assert easy.route == "hybrid/intent_first"


def test_the_hybrid_asks_the_model_for_hard_sentences_only() -> None:
    by_model = Understanding("x", "en", "find_film", 0.9, route="model")
    model = Written(by_model)
    unsure = reading("find_hotel", find_hotel=0.5, find_film=0.45)
    assert make_strategy("hybrid", Written(reading("greet")), FRAMES, model=model).parse("x").intent == "greet"
    assert model.num_calls == 0
    parsed = make_strategy("hybrid", Written(unsure), FRAMES, model=model).parse("x")
    assert (parsed.intent, model.num_calls) == ("find_film", 1)
    assert parsed.route == "hybrid/model/intent_first"


def test_a_misspelt_strategy_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='did you mean "slots_first"'):
        make_strategy("slot_first", Written(reading("greet")), FRAMES)
