"""Quantities in a sentence, whatever the trained reader made of it: answers, cut spans, pieces, numbers in names."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.assembly import frames_of
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.reading.strategies import make_strategy
from pagoda.dialogue.slots.kinds import NodeValue, When
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.turn.interpretation import ValueReader
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding

DOMAIN = Domain.load()
NOW = datetime(2026, 11, 28, 10, 0)
LINKER = Linker(
    [
        Named(NodeValue("Restaurant", "restaurant-001", "七点小馆", "Table for 12")),
        Named(NodeValue("Genre", "genre-001", "喜剧", "Comedy")),
        Named(NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")),
    ]
)


class Written:
    """Reads what the test wrote: an intent, and words of slots."""

    def __init__(self, intent: str, confidence: float, **slots: str) -> None:
        self._intent, self._confidence, self._slots = intent, confidence, slots

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        slots = (
            SlotValue(slot, word, text.index(word), text.index(word) + len(word)) for slot, word in self._slots.items()
        )
        return Understanding(text, "en", self._intent, self._confidence, tuple(slots))


def read(text: str, base: Written, asked: str = "", task: str = "book_restaurant") -> tuple[str, dict[str, str]]:
    understander = make_strategy("intent_first", Complemented(base, DOMAIN, LINKER), frames_of(DOMAIN))
    found = understander.parse(text, TurnContext(task, asked, slots={"name": ""}))
    return found.intent, {slot.slot: slot.value for slot in found.slots}


@pytest.mark.parametrize("intent", ["find_film", "find_hotel", "thank", "choose", OUT_OF_SCOPE, "book_restaurant"])
@pytest.mark.parametrize(
    ("asked", "text", "words"),
    [
        ("people", "13", "13"),
        ("people", "俩", "俩"),
        ("people", "thirteen, inside please", "thirteen"),
        ("people", "my sister and her husband are coming", "my sister and her husband"),
        ("time", "1930", "1930"),
        ("time", "nine thanks", "nine"),
        ("time", "八点吧", "八点"),
    ],
)
def test_an_answer_is_one_whatever_intent_came_out(intent: str, asked: str, text: str, words: str) -> None:
    assert read(text, Written(intent, 0.95), asked) == ("book_restaurant", {asked: words})


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("find a hotel for 3", Written("find_hotel", 0.9)),
        ("a comedy for 2", Written("find_film", 0.9, genre="comedy")),
        ("forget it, 2 is too few", Written("cancel", 0.9)),
    ],
)
def test_what_names_another_wish_is_no_answer(text: str, base: Written) -> None:
    assert read(text, base, "people")[0] != "book_restaurant"


def test_a_number_that_the_tagger_gave_to_another_slot_answers_the_question() -> None:
    assert read("5", Written("book_restaurant", 0.9, time="5"), "people")[1] == {"people": "5"}
    assert read("about 5", Written("book_restaurant", 0.9, people="5"), "time")[1] == {"time": "about 5"}


def test_pieces_of_a_time_are_read_together_and_words_that_change_it_stay_with_it() -> None:
    apart = Written("book_restaurant", 0.99, time="at 11:30")
    assert read("at 11:30 for 6 people on Tuesday", apart)[1] == {"time": "11:30 Tuesday", "people": "6 people"}
    longer = Written("book_restaurant", 0.99, time="the Feast of Lanterns at 7")
    assert read("the Feast of Lanterns at 7", longer)[1] == {"time": "the Feast of Lanterns at 7"}
    assert SlotReader(DOMAIN).value("time", "the Feast of Lanterns at 7", NOW) is None


def test_numbers_of_a_name_are_part_of_it() -> None:
    assert read("七点小馆，两位", Written("book_restaurant", 0.99))[1] == {"name": "七点小馆", "people": "两位"}
    named = Written("book_restaurant", 0.99, name="Table for 12")
    assert read("Table for 12 at 8pm", named)[1] == {"name": "Table for 12", "time": "8pm"}


def test_prices_that_the_tagger_passed_over_are_found() -> None:
    told = read("人均60-90元的川菜，评分4.2分以上", Written("find_restaurant", 0.95), task="")
    assert told == ("find_restaurant", {"price": "60-90元", "cuisine": "川菜", "rating": "4.2分以上"})


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("next weekend", When("2026-12-05T00:00", "2026-12-07T00:00")),
        ("before 6 tomorrow", When("2026-11-29T00:00", "2026-11-30T00:00")),
    ],
)
def test_of_a_time_that_is_not_told_to_the_moment_the_days_are_kept(words: str, value: When) -> None:
    event = ValueReader(DOMAIN, LINKER, NOW).event(SlotValue("time", words), None, is_correction=False)
    assert event == ev.Informed("time", value, words)


@pytest.mark.parametrize(
    ("words", "leftover", "instead"),
    [
        ("tomorrow at sevn", "sevn", When("2026-11-29T00:00", "2026-11-30T00:00")),
        ("7pm or 8pm", "or", When("2026-11-28T19:00")),
    ],
)
def test_words_that_were_read_in_part_are_no_value_and_say_so(words: str, leftover: str, instead: When) -> None:
    event = ValueReader(DOMAIN, LINKER, NOW).event(SlotValue("time", words), None, is_correction=False)
    assert event == ev.Declined("time", words, "partial", leftover, instead)
