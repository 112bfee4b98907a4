"""Figures of a report, counted by hand on readings that were written down; and sentences with other values."""

from __future__ import annotations

import pytest

from pagoda.language import language_of
from pagoda.nlu.labelled import Labelled
from pagoda.nlu.ngrams import character_grams, shape, word_grams
from pagoda.nlu.report import evaluate
from pagoda.nlu.substitution import substituted
from pagoda.nlu.tagging import split_words
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding


class Written:
    """Answers with the intents, candidates and slots that it was given."""

    def __init__(self, answers: dict[str, Understanding]) -> None:
        self._answers = answers
        self.contexts: list[TurnContext | None] = []

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        self.contexts.append(context)
        return self._answers[text]


def answer(text: str, *candidates: tuple[str, float], slots: tuple[SlotValue, ...] = ()) -> tuple[str, Understanding]:
    return text, Understanding(text, language_of(text), candidates[0][0], candidates[0][1], slots, (), candidates)


@pytest.fixture
def written() -> Written:
    return Written(
        dict(
            [
                answer("hello", ("greet", 0.9)),
                answer("bye", (OUT_OF_SCOPE, 0.6), ("leave", 0.3), ("greet", 0.1)),
                answer("find thai", ("greet", 0.6), slots=(SlotValue("cuisine", "thai", 5, 9),)),
                answer("stocks?", (OUT_OF_SCOPE, 0.8), ("find", 0.1)),
                answer("poem!", ("find", 0.8), (OUT_OF_SCOPE, 0.1), slots=(SlotValue("cuisine", "poem", 0, 4),)),
            ]
        )
    )


EXAMPLES = [
    {"text": "hello", "intent": "greet"},
    {"text": "bye", "intent": "leave"},
    {
        "text": "find thai",
        "intent": "find",
        "slots": [{"slot": "cuisine", "start": 5, "end": 9}],
        "requested": ["cuisine"],
    },
    {"text": "stocks?", "intent": "oos"},
    {"text": "poem!", "intent": "oos"},
]


def test_being_turned_away_and_being_mistaken_are_counted_apart(written: Written) -> None:
    report = evaluate(written, EXAMPLES)
    assert report.intent_accuracy == pytest.approx(2 / 3)
    assert report.accepted_accuracy == pytest.approx(1 / 3)
    assert report.out_of_scope_recall == 0.5
    assert report.false_rejects == pytest.approx(1 / 3)
    assert report.slots is not None
    assert (report.slots.num_right, report.slots.num_found, report.slots.num_gold) == (1, 2, 1)
    assert report.worst_confusions(9)[0] == (("find", "greet"), 1)


def test_the_requested_slot_is_given_as_context(written: Written) -> None:
    evaluate(written, EXAMPLES)
    assert [context.requested_slot if context else "" for context in written.contexts] == ["", "", "cuisine", "", ""]


def test_examples_that_say_nothing_of_a_kind_give_no_figure_of_it(written: Written) -> None:
    report = evaluate(written, [EXAMPLES[0]])
    assert (report.slots, report.out_of_scope_recall) == (None, None)
    assert "slot_f1" not in report.to_json()


def test_other_values_stand_where_the_spans_say() -> None:
    examples = [Labelled("去火车站吃川菜", "find", (("location", 1, 4), ("cuisine", 5, 7)))] * 8
    copies = substituted(examples, {"cuisine": ["东北菜", "火锅", "日料"]}, seed=0)
    assert len(copies) == 8
    values = {copy.text[start:end] for copy in copies for slot, start, end in copy.spans if slot == "cuisine"}
    assert values <= {"川菜", "东北菜", "火锅", "日料"}
    assert len(values) > 1
    assert all(copy.text[1:4] == "火车站" and copy.text.startswith("去火车站吃") for copy in copies)


def test_the_frame_of_a_sentence_is_the_same_whatever_the_value() -> None:
    def frame(text: str, start: int, end: int) -> set[str]:
        words = split_words(text)
        marks = [["gBcuisine"] if i == start else ["gIcuisine"] if start < i < end else [] for i in range(len(words))]
        return {gram for gram in character_grams(words, marks) if gram.startswith("d")}

    assert frame("想吃川菜", 2, 4) == frame("想吃东北菜", 2, 5)
    assert "d吃[cuisine]>" in frame("想吃川菜", 2, 4)


@pytest.mark.parametrize(
    ("word", "outline"), [("McDonald", "XxXxx"), ("8pm", "dxx"), ("2018", "dd"), ("七", "n"), ("菜", "h")]
)
def test_shapes_of_words(word: str, outline: str) -> None:
    assert shape(word) == outline


def test_grams_of_words_hold_pairs_and_parts() -> None:
    grams = set(word_grams(split_words("Book it")))
    assert {"wbook", "wit", "bbook it", "b< book", "c_boo", "cook_", "c_it_"} <= grams
