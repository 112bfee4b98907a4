"""Scores of answers agree with what SQuAD's and CMRC's own scripts count, worked out by hand."""

import pytest

from pagoda.rag.evaluation.metrics import (
    balanced_accuracy,
    chinese_exact_match,
    chinese_f1,
    exact_match,
    f1,
    segment_chinese,
)


def test_articles_case_and_punctuation_do_not_count_in_english():
    assert exact_match("The Denver Broncos!", ["denver broncos"]) == 1.0
    assert exact_match("Denver", ["denver broncos"]) == 0.0


def test_english_f1_is_over_a_bag_of_words_and_takes_the_best_answer():
    assert f1("Broncos of Denver", ["Carolina", "Denver Broncos"]) == pytest.approx(2 * 2 / (3 + 2))


def test_a_word_that_is_said_twice_counts_twice_only_if_both_have_it_twice():
    assert f1("new new york", ["new york"]) == pytest.approx(2 * 2 / 5)


def test_an_impossible_question_wants_an_empty_answer():
    assert f1("", []) == 1.0
    assert f1("Paris", []) == 0.0


def test_chinese_f1_counts_the_longest_stretch_not_the_bag():
    assert chinese_f1("京北市", ["北京市"]) == pytest.approx(2 * 1 / 6)
    assert chinese_f1("在北京市", ["北京"]) == pytest.approx(2 * 2 / 6)


def test_chinese_is_cut_into_characters_but_numbers_and_latin_words_stay_whole():
    assert segment_chinese("iPhone 12，由苹果（Apple）") == ["iphone", "12", "由", "苹", "果", "apple"]
    assert chinese_exact_match("《红楼梦》", ["红楼梦"]) == 1.0


def test_balanced_accuracy_of_one_constant_answer_is_a_half():
    assert balanced_accuracy([True, True, True, False], [True] * 4) == 0.5
    assert balanced_accuracy([True, False, False], [True, False, True]) == pytest.approx(0.75)
