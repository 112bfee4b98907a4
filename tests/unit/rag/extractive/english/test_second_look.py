"""A second look at the passage to be shown: its numbers, its weights, and that what is not told lowers it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.english.second_look import Look, load_second_look, look_at
from pagoda.rag.extractive.extractor import sentences_of

RECIPE = "Boil the milk with sugar. Keep the jar in the fridge for two weeks. It tastes of caramel."


def look(question: str, text: str = RECIPE, title: str = "Dulce de leche") -> Look:
    chunk = Chunk("c", "sweets.md", text, 0, len(text), 1, title=title)
    return look_at(question, chunk, sentences_of(chunk), first=0.5, margin=2.0)


def test_what_is_sought_near_the_words_of_the_question_is_told() -> None:
    told = look("How long does a jar of dulce de leche keep in the fridge?")
    assert (told.told_near, told.untold, told.no_count) == (1.0, 0.0, 0.0)
    assert (told.first, told.margin) == (0.0, 2.0)


def test_the_subject_stands_above_and_the_rest_does_not() -> None:
    asked = look("How much does dulce de leche cost?")
    assert asked.topic > 0.5
    assert asked.others_held == 0.0


def test_a_reason_and_a_number_that_are_not_there() -> None:
    assert look("Why is it called dulce?", "The milk is sweet.").told_near == 0.0
    assert look("Why is it called dulce?", "It is called dulce because it is sweet.").told_near == 1.0
    asked = look("How many jars do I get?")
    assert (asked.no_count, asked.wants_count) == (1.0, 1.0)


def test_the_margin_of_a_reader_counts_up_to_a_point() -> None:
    chunk = Chunk("c", "a.md", RECIPE, 0, len(RECIPE), 1)
    assert look_at("Who?", chunk, sentences_of(chunk), 0.5, 99.0).margin == 8.0
    assert look_at("Who?", chunk, [], 1.0, -99.0).margin == -8.0


def test_the_packaged_weights_believe_what_is_told_more() -> None:
    second = load_second_look()
    told = second.probability(look("How long does a jar keep in the fridge?"))
    untold = second.probability(look("How long does a jar keep in the freezer?", "Jars are filled. Wash the jar."))
    assert 0 < untold < told < 1


def test_weights_of_other_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"least": 0.5, "weights": {"first": 1.0}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="other numbers"):
        load_second_look(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="no weights"):
        load_second_look(path)
