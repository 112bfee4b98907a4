"""How near a passage comes by meaning to what it does not say: paraphrases come nearer than other things do."""

from __future__ import annotations

import pytest

from pagoda.rag.extractive.english.paraphrase import Paraphrase, paraphrase
from pagoda.rag.extractive.spans import sentence_bounds

# Sentences of the SRD 5.1 (CC BY 4.0).
PETRIFIED = "A petrified creature is transformed into a solid inanimate substance. It stops aging. Its weight grows."
ABOVE = "Conditions Petrified"


def of(question: str, own: int = 0) -> Paraphrase:
    return paraphrase(question, ABOVE, PETRIFIED, sentence_bounds(PETRIFIED), own)


def test_another_word_for_the_same_comes_nearer_than_one_for_something_else() -> None:
    assert of("Does the creature get older?").lacking > of("Does the creature get taxes?").lacking


def test_nothing_lacks_where_all_words_stand_in_the_sentence_beside_it_or_above() -> None:
    assert of("Which substance is a petrified creature?").lacking == 1.0
    assert of("Is the weight of conditions solid?", own=1).lacking == 1.0
    assert of("Is the weight solid?").lacking < 1.0


def test_the_sentence_of_the_readers_words_is_compared_alone() -> None:
    question = "Does a petrified creature stop aging?"
    assert of(question, own=1).alike > of(question, own=2).alike
    assert of(question, own=1).alike == pytest.approx(of(question, own=1).alike)


@pytest.mark.parametrize("question", ["", "Why?", "..."])
def test_a_question_or_a_passage_without_words_is_no_error(question: str) -> None:
    assert 0.0 <= of(question).lacking <= 1.0
    assert paraphrase(question, "", "", [], 0) == Paraphrase(0.0, 0.0)
