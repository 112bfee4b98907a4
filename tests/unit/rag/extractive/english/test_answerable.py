"""The decision to answer counts what a passage says of a question, and refuses weights of other features."""

import dataclasses

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.extractive.english.answerable import (
    WEIGHTS,
    Answerable,
    Comparison,
    both,
    feature_names,
    features_of,
    load_answerable,
)
from pagoda.rag.extractive.english.opposites import opposites_of

TREATY = [
    "The treaty was signed in Geneva in 1864 by twelve states.",
    "Norway did not sign it until the following spring.",
    "It is the oldest treaty that the museum owns.",
]
UNRELATED = ["Oxygen is the most common element of the crust.", "It was discovered in the eighteenth century."]


def counted(question, sentences=TREATY):
    return Comparison(question, sentences).features()


def told(question, sentences=TREATY, by_reader=1.0):
    return load_answerable().log_odds(question, sentences, by_reader)


@pytest.mark.parametrize(
    ("question", "name", "value"),
    [
        ("Where was the treaty signed in 1864?", "numbers_not_in_sentence", 0),
        ("Where was the treaty signed in 1865?", "numbers_not_in_sentence", 1),
        ("Where was the treaty signed in 1865?", "years_not_in_sentence", 1),
        ("When was the treaty signed in Vienna?", "names_not_in_passage", 1),
        ("When was the treaty signed in Geneva?", "names_not_in_passage", 0),
        ("Who did not sign the treaty in Geneva?", "denied_in_question_only", 1),
        ("Who didn’t sign the treaty in Geneva?", "denied_in_question_only", 1),
        ("Which is the newest treaty that the museum owns?", "opposite_in_sentence", 1),
        ("Which is the oldest treaty that the museum owns?", "opposite_in_sentence", 0),
        ("Which treaty is the only one that the museum owns?", "limits_not_in_sentence", 1),
        ("How many kings signed the treaty in Geneva?", "amount_without_number", 0),
        ("How many museums own it?", "amount_without_number", 1),
        ("Who signed the treaties?", "share_not_in_passage", 0),
        ("Who signed the treaty?", "asks_who", 1),
    ],
)
def test_what_is_missing_denied_or_turned_round_is_counted(question, name, value):
    assert counted(question)[name] == value


def test_the_share_of_a_questions_words_falls_with_what_the_passage_lacks():
    shares = [counted(q)["covered"] for q in ("Who signed the treaty?", "Who signed the bill?", "Who wrote the bill?")]
    assert shares[0] > shares[1] > shares[2] == 0


def test_every_feature_is_a_finite_number_whatever_is_asked():
    for question in ("", "?", "what", "1864", "not " * 50, "Who signed “it”?"):
        for sentences in ([], [""], ["..."], TREATY):
            features = features_of(question, sentences)
            assert features.shape == (len(feature_names()),)
            assert np.isfinite(features).all()


def test_a_changed_question_is_believed_less_though_the_reader_says_the_same():
    right = told("Where was the treaty signed in 1864?")
    assert right > told("Where was the treaty signed in 1865?")
    assert right > told("Where was the treaty not signed in 1864?")
    assert right > 0 > told("Where was the treaty signed in 1864?", UNRELATED)


def test_the_reader_counts_and_its_absence_of_doubt_does_not_outweigh_a_wrong_passage():
    question = "Where was the treaty signed in 1864?"
    assert told(question, by_reader=3.0) > told(question, by_reader=-3.0)
    assert told(question, UNRELATED, by_reader=3.0) < 0


def test_two_probabilities_are_multiplied():
    one, other = np.array([-40.0, -1.0, 0.5, 40.0]), np.array([2.0, -3.0, 0.5, 40.0])
    product = (1 / (1 + np.exp(-one))) * (1 / (1 + np.exp(-other)))
    assert np.allclose(1 / (1 + np.exp(-both(one, other))), product)
    assert np.isfinite(both(one, other)).all()


def test_opposites_go_both_ways():
    assert all(word in opposites_of(other) for word in ("first", "lower", "north") for other in opposites_of(word))


def test_what_is_saved_comes_back(tmp_path):
    decision = Answerable(np.arange(len(feature_names()) + 1.0), np.ones(len(feature_names()) + 1), 0.5)
    decision.save(tmp_path / "weights.npz")
    again = load_answerable(tmp_path / "weights.npz")
    for field in dataclasses.fields(Answerable):
        assert np.array_equal(getattr(again, field.name), getattr(decision, field.name))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"names": np.array(["covered"])}, "other features"),
        ({"about": np.zeros(3)}, "other features"),
        ({"told": np.array(["x"])}, "no weights for the decision"),
        ({"trust": None}, "no weights for the decision"),
        ({"names": np.array([None, {}], dtype=object)}, "no weights for the decision"),
    ],
)
def test_weights_that_do_not_fit_are_refused(rewritten, changed, message):
    with pytest.raises(ConfigError, match=message):
        load_answerable(rewritten(WEIGHTS, **changed))


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no weights for the decision"):
        load_answerable(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ConfigError, match="no weights for the decision"):
        load_answerable(tmp_path / "broken.npz")
