"""A scripted model chooses among what is open and adds what counts; where it fails nothing is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatAnswer, ChatParams, Message
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.dialogue.reading.model_prompt import Lessons
from pagoda.dialogue.reading.model_reader import ModelSettings, ModelUnderstanding
from pagoda.dialogue.reading.strategies import Frame
from pagoda.errors import ChatModelError, ConfigError
from pagoda.nlu.understanding import Act, SlotValue, TurnContext, Understanding
from patience import HANG_S

FRAMES = {
    "find_restaurant": Frame("find_restaurant", frozenset({"cuisine", "location"}), frozenset({"price"})),
    "find_hotel": Frame("find_hotel", frozenset({"location"}), frozenset({"stars"})),
    "greet": Frame("greet"),
}
LESSONS = Lessons(
    [
        {"text": "你好", "intent": "greet", "slots": []},
        {"text": "hello", "intent": "greet", "slots": []},
        {
            "text": "a bed in Luming",
            "intent": "find_hotel",
            "slots": [{"slot": "location", "start": 9, "value": "Luming"}],
        },
    ],
    {"find_hotel": {"en": "find a hotel", "zh": "找酒店"}, "stars": {"en": "stars", "zh": "星级"}},
)
UNSURE = Understanding("", "en", "greet", 0.5, (), (Act("confirm"),), (("greet", 0.5), ("find_hotel", 0.3)), "fast")
SURE = Understanding("", "en", "find_hotel", 0.9, (), (), (("find_hotel", 0.9), ("greet", 0.05)), "fast")


class Fast:
    """Reads the same in every sentence."""

    def __init__(self, reading: Understanding) -> None:
        self._reading = reading

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        return replace(self._reading, text=text)


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    made = LoopThread(instead="areply")
    yield made
    made.close()


def reader(
    model: ScriptedChatModel, loop: LoopThread, fast: Understanding = UNSURE, **options: Any
) -> ModelUnderstanding:
    return ModelUnderstanding(HeldModel(model, loop), FRAMES, Fast(fast), LESSONS, **options)


def answers(*objects: object) -> ScriptedChatModel:
    return ScriptedChatModel([json.dumps(value, ensure_ascii=False) for value in objects])


def test_one_call_gives_the_intent_and_its_slots_with_their_places(loop: LoopThread) -> None:
    model = answers({"find_hotel": {"location": "Luming", "stars": "four"}})
    parsed = reader(model, loop).parse("four beds in Luming")
    assert (parsed.intent, parsed.route, parsed.acts) == ("find_hotel", "model", (Act("confirm"),))
    assert parsed.slots == (SlotValue("stars", "four", 0, 4), SlotValue("location", "Luming", 13, 19))
    assert parsed.confidence == pytest.approx(0.65)
    assert len(model.conversations) == 1


def test_only_what_the_fast_reading_holds_likely_is_open_to_the_model(loop: LoopThread) -> None:
    model = answers({"find_hotel": {}}, {"find_hotel": {}})
    reader(model, loop).parse("a bed")
    reader(model, loop, SURE).parse("a bed")
    unsure, sure = (params.json_schema for params in model.params if params is not None)
    assert [branch["required"] for branch in unsure["anyOf"]] == [["greet"], ["find_hotel"]]
    assert [branch["required"] for branch in sure["anyOf"]] == [["find_hotel"]]


def test_where_the_fast_reading_says_nothing_every_intent_is_open(loop: LoopThread) -> None:
    model = answers({"out_of_scope": {}})
    parsed = reader(model, loop, replace(UNSURE, intent="", confidence=0.0, candidates=())).parse("the weather")
    assert parsed.intent == "out_of_scope"
    assert len((model.params[0] or ChatParams()).json_schema["anyOf"]) == len(FRAMES) + 1


def test_nobody_is_asked_where_one_intent_without_slots_is_likely(loop: LoopThread) -> None:
    model = answers()
    sure = replace(UNSURE, confidence=0.95, candidates=(("greet", 0.95), ("find_hotel", 0.01)))
    assert reader(model, loop, sure).parse("hello") == replace(sure, text="hello")
    assert model.conversations == []


def test_an_intent_without_slots_fills_those_of_the_task_under_way(loop: LoopThread) -> None:
    model = answers({"greet": {"stars": "four"}})
    sure = replace(UNSURE, confidence=0.95, candidates=(("greet", 0.95),))
    parsed = reader(model, loop, sure).parse("hello, four", TurnContext("find_hotel", "stars"))
    assert (parsed.intent, parsed.slots) == ("greet", (SlotValue("stars", "four", 7, 11),))


def test_the_fast_readings_values_stand_and_the_models_do_not_overlap_them(loop: LoopThread) -> None:
    found = SlotValue("stars", "four-star", 2, 11)
    model = answers({"find_hotel": {"location": "star bed in Luming", "stars": "four"}})
    parsed = reader(model, loop, replace(SURE, slots=(found,))).parse("a four-star bed in Luming")
    assert parsed.slots == (found,)


def test_a_value_that_is_none_of_its_slot_is_dropped(loop: LoopThread) -> None:
    model = answers({"find_hotel": {"location": "Luming", "stars": "bed"}})
    counts = {("location", "Luming")}
    parsed = reader(model, loop, SURE, counts=lambda *value: value in counts).parse("a bed in Luming")
    assert [slot.slot for slot in parsed.slots] == ["location"]


@pytest.mark.parametrize(
    "answer",
    [
        ChatModelError("cannot be reached"),
        "no json",
        "[1]",
        '{"find_hotel":{"location":"Lum',
        '{"delete_everything":{}}',
        '{"greet":{"stars":"bed"}}',
        '{"find_hotel":{"location":"Paris"}}',
        '{"find_hotel":{"location":["bed"]}}',
        '{"greet":{},"find_hotel":{}}',
    ],
)
def test_where_the_model_fails_the_fast_reading_stands_and_the_route_says_so(
    loop: LoopThread, answer: str | Exception
) -> None:
    parsed = reader(ScriptedChatModel([answer]), loop).parse("a bed")
    assert (parsed.intent, parsed.route) == ("greet", "model_failed")


class Slow(ScriptedChatModel):
    """Never answers, and notes that it was cancelled."""

    def __init__(self) -> None:
        super().__init__([])
        self.cancelled = threading.Event()

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError("the event is never set")


def test_a_model_that_does_not_answer_in_time_is_left_and_its_work_ended(loop: LoopThread) -> None:
    model = Slow()
    parsed = reader(model, loop, settings=ModelSettings(timeout_s=0.05)).parse("hello")
    assert parsed.route == "model_failed"
    assert model.cancelled.wait(HANG_S)


def test_warming_asks_for_what_every_prompt_begins_with_in_both_languages(loop: LoopThread) -> None:
    model = ScriptedChatModel(["", "", '{"greet":{}}'])
    understanding = reader(model, loop)
    understanding.warm()
    understanding.parse("hello again")
    chinese, english, asked = model.conversations
    assert asked[: len(english) - 1] == english[:-1]
    assert chinese[:-1] != english[:-1]
    assert [params and params.max_tokens for params in model.params[:2]] == [1, 1]


def test_a_model_that_is_not_there_does_not_hold_up_the_start(
    loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    reader(ScriptedChatModel([ChatModelError("nobody is there")]), loop).warm()
    assert "nobody is there" in caplog.text


def test_calling_from_the_models_own_loop_is_refused_instead_of_waiting_for_ever() -> None:
    async def call() -> None:
        loop = LoopThread(asyncio.get_running_loop(), instead="areply")
        with pytest.raises(ConfigError, match="its own event loop"):
            loop.run(asyncio.sleep(0), 1.0)

    asyncio.run(call())
