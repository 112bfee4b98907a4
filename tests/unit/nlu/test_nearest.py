"""Examples most like a sentence, in either language, by what is rare in them."""

from __future__ import annotations

from pagoda.nlu.nearest import NearestExamples

EXAMPLES = [
    {"text": "find a cheap restaurant", "intent": "food"},
    {"text": "find a hotel with a pool", "intent": "bed"},
    {"text": "book the hotel", "intent": "book"},
    {"text": "找一家便宜的川菜馆", "intent": "food"},
    {"text": "找一家带泳池的酒店", "intent": "bed"},
]
ALL = {"food", "bed", "book"}


def texts(text: str, number: int = 1, intents: set[str] = ALL) -> list[str]:
    return [example["text"] for example in NearestExamples(EXAMPLES).of(text, number, intents)]


def test_the_most_alike_come_first_in_their_own_language() -> None:
    assert texts("is there a hotel that has a pool") == ["find a hotel with a pool"]
    assert texts("有泳池的酒店吗") == ["找一家带泳池的酒店"]
    assert texts("a cheap hotel", 2) != texts("a cheap hotel", 2)[::-1]


def test_only_of_the_intents_that_are_wanted() -> None:
    assert texts("is there a hotel that has a pool", intents={"book"}) == ["book the hotel"]


def test_what_shares_nothing_is_not_shown() -> None:
    assert texts("xyzzy", 3) == []
    assert NearestExamples([]).of("hello", 3, ALL) == []
