"""A second look at the passage to be shown: its numbers, its weights, and that what is not told lowers it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.english.second_look import (
    USUALLY_APART,
    USUALLY_SECOND,
    FirstLook,
    Look,
    load_second_look,
    look_at,
    passage_probability,
)
from pagoda.rag.extractive.extractor import (
    ExtractiveAnswerer,
    confidence,
    examined,
    first_look,
    sentences_of,
)
from pagoda.rag.extractive.showing.second_look import read_passage_weights

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


def look(question: str, text: str = RECIPE, title: str = "Dulce de leche", joint: float = 2.0) -> Look:
    chunk = Chunk("c", "sweets.md", text, 0, len(text), 1, title=title)
    return look_at(question, Hit(chunk, 1.0), sentences_of(chunk), FirstLook(0.5, joint, None))


def test_what_is_sought_near_the_words_of_the_question_is_told() -> None:
    told = look("How long does a jar of dulce de leche keep in the fridge?")
    assert (told.told_near, told.untold, told.no_count) == (1.0, 0.0, 0.0)
    assert (told.first, told.joint) == (0.0, 2.0)


def test_a_reason_and_a_number_that_are_not_there() -> None:
    assert look("Why is it called dulce?", "The milk is sweet.").told_near == 0.0
    assert look("Why is it called dulce?", "It is called dulce because it is sweet.").told_near == 1.0
    asked = look("How many jars do I get?")
    assert (asked.no_count, asked.wants_count) == (1.0, 1.0)


def test_the_joint_reader_counts_up_to_a_point() -> None:
    hit = Hit(Chunk("c", "a.md", RECIPE, 0, len(RECIPE), 1), 1.0)
    assert look_at("Who?", hit, sentences_of(hit.chunk), FirstLook(0.5, 99.0, None)).joint == 8.0
    assert look_at("Who?", hit, [], FirstLook(1.0, -99.0, None)).joint == -8.0


def test_the_next_best_passage_counts_up_to_a_point() -> None:
    hit = Hit(Chunk("c", "a.md", RECIPE, 0, len(RECIPE), 1), 1.0)
    looks = [look_at("Who?", hit, [], FirstLook(0.5, 0.0, second)).second for second in (0.5, 99.0, -99.0, None)]
    assert looks == [0.5, 8.0, -8.0, USUALLY_SECOND]


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
    looks = [look_at("Which yeast?", hit, sentences_of(chunk), FirstLook(0.5, 0.0, None)) for hit in (found, alone)]
    assert [each.stands_out for each in looks] == [0.25, USUALLY_APART]


def test_whoever_finds_few_passages_is_told_by_what_stands_out_among_none() -> None:
    chunk = Chunk("c", "a.md", BREAD, 0, len(BREAD), 1)
    found, alone = Hit(chunk, 1.0, {"stands_out": 0.25}), Hit(chunk, 1.0)
    looks = [look_at("Which yeast?", hit, sentences_of(chunk), FirstLook(0.5, 0.0, None)) for hit in (found, alone)]
    assert [each.few for each in looks] == [0.0, 1.0]
    assert passage_probability(0.5, 0.0, True) > passage_probability(0.5, 0.0, False)


def test_the_packaged_weights_believe_what_is_told_more() -> None:
    second, question = load_second_look(), "How long does a jar keep in the fridge?"
    told, untold = (second.probability(look(question, joint=joint)) for joint in (2.0, -2.0))
    assert 0 < untold < told < 1
    assert passage_probability(0.5, 2.0, False) > passage_probability(0.5, -2.0, False)


def test_weights_of_other_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"least": 0.5, "weights": {"first": 1.0}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="other numbers"):
        load_second_look(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="no weights"):
        load_second_look(path)


def manual(text: str, source: str) -> Hit:
    return Hit(Chunk(source, source, text, 0, len(text), 1), 1.0)


def test_the_passage_that_answers_in_other_words_is_shown_before_one_with_more_of_them() -> None:
    hits = [manual(f"- {RESTIC}", "links.md"), manual(f"- {BREAD}", "bread.md")]
    question, answerer = "for how many days can one keep the loaf before it gets hard?", ExtractiveAnswerer()
    readings = answerer.readings(question, hits)
    found = [dataclasses.replace(each, group="en-manual") for each in examined(question, hits, readings)]
    read = answerer.read_jointly(question, hits, found)
    assert [each.joint is None for each in read] == [False, False]
    assert max(read, key=lambda each: each.probability).reading.hit_index == 1


def test_the_passage_that_is_to_be_shown_is_looked_at_with_what_the_joint_reader_says() -> None:
    hit, question, answerer = (
        manual(RECIPE, "sweets.md"),
        "How long does a jar keep in the fridge?",
        ExtractiveAnswerer(),
    )
    found = [dataclasses.replace(examined(question, [hit], answerer.readings(question, [hit]))[0], group="en-manual")]
    with pytest.raises(ValueError, match="not read"):
        first_look(question, found, [hit])
    read = answerer.read_jointly(question, [hit], found)
    look = look_at(question, hit, sentences_of(hit.chunk), first_look(question, read, [hit]))
    assert confidence(question, read, [hit])[0] == load_second_look().probability(look)


def test_weights_of_no_passage_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text('{"passage": {"first": 1.0}}', encoding="utf-8")
    with pytest.raises(ConfigError, match="no weights of a passage"):
        read_passage_weights(tmp_path / "weights.json")
