"""A second look at the passage to be shown: its numbers, its weights, and that what is not told lowers it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.minilm.shape import HIDDEN
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.english.second_look import (
    USUALLY_APART,
    USUALLY_SECOND,
    FirstLook,
    Look,
    load_second_look,
    look_at,
    meaning_weights,
)
from pagoda.rag.extractive.extractor import ExtractiveAnswerer, confidence, examined, sentences_of

# Sentences of restic's documentation (BSD-2-Clause) and of Based Cooking (Unlicense).
RESTIC = (
    "Restoring symbolic links on Windows is only possible when the user has the SeCreateSymbolicLinkPrivilege "
    "privilege or is running as administrator. Environment variables are not expanded in the file read via "
    "--files-from."
)
BREAD = (
    "Instant yeast is not recommended as you can't easily tell if the bread will come to life. "
    "Eat within 3 days as it will probably be going stale around then."
)
RECIPE = "Boil the milk with sugar. Keep the jar in the fridge for two weeks. It tastes of caramel."


def look(question: str, text: str = RECIPE, title: str = "Dulce de leche", words: str = "") -> Look:
    """words: those that a reader found in the text."""
    chunk = Chunk("c", "sweets.md", text, 0, len(text), 1, title=title)
    return look_at(question, Hit(chunk, 1.0), sentences_of(chunk), FirstLook(0.5, 2.0, text.index(words)))


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
    hit = Hit(Chunk("c", "a.md", RECIPE, 0, len(RECIPE), 1), 1.0)
    assert look_at("Who?", hit, sentences_of(hit.chunk), FirstLook(0.5, 99.0, 0)).margin == 8.0
    assert look_at("Who?", hit, [], FirstLook(1.0, -99.0, 0)).margin == -8.0


def test_the_sentence_of_the_words_holds_what_is_asked_or_another_does() -> None:
    asked = "Restoring from backup: which privilege do symbolic links need?"
    assert look(asked, RESTIC, "Restoring from backup", "administrator").own_held == pytest.approx(3 / 4)
    assert look(asked, RESTIC, "Restoring from backup", "the file").own_held == 0.0
    assert look("Restoring from backup?", RESTIC, "Restoring from backup", "the file").own_held == 1.0


def test_the_next_best_passage_counts_up_to_a_point() -> None:
    hit = Hit(Chunk("c", "a.md", RECIPE, 0, len(RECIPE), 1), 1.0)
    looks = [look_at("Who?", hit, [], FirstLook(0.5, 0.0, 0, second)).second for second in (0.5, 1.0, 0.0, None)]
    assert looks == [0.0, 8.0, -8.0, USUALLY_SECOND]


@pytest.mark.parametrize(
    ("question", "no_amount"),
    [
        ("Within how many days do I have to eat it?", 0.0),
        ("How many links can be restored?", 1.0),
        ("Who may restore symbolic links?", 0.0),
    ],
)
def test_an_amount_that_is_not_there(question: str, no_amount: float) -> None:
    assert look(question, BREAD if "eat" in question else RESTIC).no_amount == no_amount


def test_plain_words_of_a_question_are_counted() -> None:
    assert look("Who restores symbolic links?", RESTIC).num_words == 3
    assert look("Why?", RESTIC).num_words == 0


@pytest.mark.parametrize(
    ("question", "words", "told"),
    [
        ("How many days does the bread keep?", "3 days", 1.0),
        ("How many days does the bread keep?", "Instant yeast", 0.0),
        ("can I use instant yeast for the bread", "3 days", 1.0),
    ],
)
def test_what_is_sought_stands_in_the_sentence_of_the_words(question: str, words: str, told: float) -> None:
    assert look(question, BREAD, "Bread", words).own_told == told


@pytest.mark.parametrize(
    ("question", "denied"),
    [
        ("is instant yeast fine for the basic loaf?", 1.0),
        ("Which yeast is not recommended?", 0.0),
        ("Within how many days do I have to eat it?", 0.0),
    ],
)
def test_a_sentence_that_denies_what_the_question_does_not(question: str, denied: float) -> None:
    assert look(question, BREAD, "Bread").denied == denied


def test_what_stands_out_by_meaning_is_what_retrieval_says() -> None:
    chunk = Chunk("c", "a.md", BREAD, 0, len(BREAD), 1)
    found, alone = Hit(chunk, 1.0, {"stands_out": 0.25}), Hit(chunk, 1.0)
    looks = [look_at("Which yeast?", hit, sentences_of(chunk), FirstLook(0.5, 0.0, 0)) for hit in (found, alone)]
    assert [each.stands_out for each in looks] == [0.25, USUALLY_APART]


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


def test_what_the_reader_makes_of_both_texts_counts_and_nothing_where_none_has_read_them() -> None:
    chunk = Chunk("c", "sweets.md", RECIPE, 0, len(RECIPE), 1, title="Dulce de leche")
    hit, weights = Hit(chunk, 1.0), meaning_weights()
    meaning = np.zeros(2 * HIDDEN, np.float32)
    meaning[5] = 2.0
    told = look_at("Why?", hit, sentences_of(chunk), FirstLook(0.5, 2.0, 0, meaning=meaning)).meaning
    assert told == pytest.approx(2 * weights[5] + weights[-1], abs=1e-5)
    assert look_at("Why?", hit, sentences_of(chunk), FirstLook(0.5, 2.0, 0)).meaning == 0.0


def test_the_passage_that_is_to_be_shown_is_looked_at_with_what_its_reader_made_of_it() -> None:
    chunk = Chunk("c", "sweets.md", RECIPE, 0, len(RECIPE), 1, title="Dulce de leche")
    hit, question, answerer = Hit(chunk, 1.0), "How long does a jar keep in the fridge?", ExtractiveAnswerer()
    read = answerer.read(question, 0, chunk)
    assert read is not None
    assert read.meaning is not None
    assert read.meaning.shape == (2 * HIDDEN,)
    found = dataclasses.replace(*examined(question, [hit], [read]), group="en-manual")
    known = FirstLook(found.probability, read.by_margin, read.start, None, read.meaning)
    expected = load_second_look().probability(look_at(question, hit, sentences_of(chunk), known))
    assert confidence(question, [found], [hit])[0] == expected


@pytest.mark.parametrize("content", [None, np.zeros(3, np.float32)])
def test_weights_of_another_meaning_are_refused(tmp_path: Path, content: np.ndarray | None) -> None:
    path = tmp_path / "weights.npy"
    if content is not None:
        np.save(path, content)
    with pytest.raises(ConfigError, match="reinstall pagoda"):
        meaning_weights(path)
