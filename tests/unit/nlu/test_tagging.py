"""Words, BIO tags over them, and span-exact scores."""

from __future__ import annotations

import pytest

from pagoda.nlu.tagging import allowed_transitions, score_spans, split_words, tags_of, word_spans


def test_han_characters_are_words_and_latin_runs_stay_whole() -> None:
    assert [word.text for word in split_words("去KFC吃2份, don't")] == [
        "去",
        "KFC",
        "吃",
        "2",
        "份",
        ",",
        "don",
        "'",
        "t",
    ]


def test_words_know_their_places() -> None:
    text = " book  a table"
    assert [text[word.start : word.end] for word in split_words(text)] == ["book", "a", "table"]


@pytest.mark.parametrize(
    "spans", [[("location", 5, 13)], [("people", 0, 4), ("location", 5, 13)], [], [("people", 0, 4), ("people", 5, 8)]]
)
def test_tags_give_back_the_spans_they_came_from(spans: list[tuple[str, int, int]]) -> None:
    words = split_words("four new york")
    found = word_spans(tags_of(words, spans))
    assert [(slot, words[first].start, words[last - 1].end) for slot, first, last in found] == spans


def test_of_two_spans_over_one_word_the_earlier_has_it() -> None:
    words = split_words("new york city")
    assert tags_of(words, [("b", 4, 13), ("a", 0, 8)]) == ["B-a", "I-a", "B-b"]


def test_a_span_that_cuts_less_than_half_of_a_word_leaves_it_out() -> None:
    words = split_words("13:00pm")
    assert tags_of(words, [("time", 0, 4)]) == ["B-time", "I-time", "O"]


def test_a_run_may_begin_within_as_conlleval_reads_it() -> None:
    assert word_spans(["I-a", "I-a", "I-b", "O", "B-b", "B-b"]) == [("a", 0, 2), ("b", 2, 3), ("b", 4, 5), ("b", 5, 6)]


def test_within_follows_only_the_same_slot() -> None:
    tags = ["O", "B-a", "I-a", "B-b", "I-b"]
    allowed = allowed_transitions(tags)
    may_precede = {
        after: {before for before, row in zip(tags, allowed, strict=False) if row[tags.index(after)]} for after in tags
    }
    assert may_precede["I-a"] == {"B-a", "I-a"}
    assert may_precede["B-b"] == set(tags)
    assert allowed[-1] == [True, True, False, True, False]


def test_a_span_counts_only_where_slot_and_both_ends_are_right() -> None:
    gold = [[("a", 0, 4), ("b", 5, 8)], []]
    found = [[("a", 0, 4), ("b", 5, 9)], [("a", 1, 2)]]
    score = score_spans(gold, found)
    assert (score.precision, score.recall) == (1 / 3, 1 / 2)
    assert score.f1 == pytest.approx(0.4)
