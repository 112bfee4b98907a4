"""Alignment tells a paraphrase from a question that lacks something, and refuses weights of other features."""

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.extractive.english.alignment import (
    WEIGHTS,
    aligned_features,
    all_names,
    load_alignment,
)
from pagoda.rag.extractive.spans import sentence_bounds

BRIDGE = (
    "The bridge over the Tay was constructed between 1871 and 1877 by Thomas Bouch. It collapsed in a storm while a "
    "train was crossing it. A new one was opened ten years later."
)


def counted(question, passage=BRIDGE):
    values = aligned_features(question, passage, sentence_bounds(passage))
    return dict(zip(all_names(), values.tolist(), strict=True))


def told(question, passage=BRIDGE):
    return load_alignment().log_odds(question, passage, sentence_bounds(passage), reader_log_odds=1.0)


@pytest.mark.parametrize(
    ("question", "name", "value"),
    [
        ("Who finished the bridge in 1877?", "other_number", 0),
        ("Who finished the bridge in 1878?", "other_number", 1),
        ("When did Thomas Bouch build the bridge?", "other_name", 0),
        ("When did Thomas Telford build the bridge?", "other_name", 1),
        ("What collapsed in a storm?", "missing_from_sentence", 1),
        ("What collapsed in a storm?", "paraphrased", 0),
    ],
)
def test_what_the_sentence_has_instead_is_counted(question, name, value):
    assert counted(question)[name] == pytest.approx(value, abs=1e-6)


def test_a_word_of_like_meaning_is_nearer_than_another():
    near, far = counted("Who built the bridge?"), counted("Who painted the bridge?")
    assert near["missing_from_sentence"] > far["missing_from_sentence"]


def test_a_question_on_another_matter_is_less_like_the_passage():
    assert counted("Who built the bridge?")["like_sentence"] > counted("Which enzyme digests starch?")["like_sentence"]


@pytest.mark.parametrize(
    ("answered", "not_answered"),
    [
        ("Who constructed the bridge over the Tay?", "Who constructed the bridge over the Forth?"),
        ("When did the bridge collapse?", "When did the bridge not collapse?"),
    ],
)
def test_what_the_passage_does_not_say_is_less_likely_answered(answered, not_answered):
    assert told(answered) > told(not_answered)


@pytest.mark.parametrize("question", ["", "?", "what", "1864", "not " * 300, "Who signed “it”?", "谁签署了它？"])
@pytest.mark.parametrize("passage", ["", "...", BRIDGE, "word " * 3000, "Ünïcødé’s naïve café"])
def test_every_feature_is_a_finite_number_whatever_is_asked(question, passage):
    values = aligned_features(question, passage, sentence_bounds(passage))
    assert values.shape == (len(all_names()),)
    assert np.isfinite(values).all()


def test_weights_of_other_features_are_refused(rewritten):
    names = np.array([*all_names()[:-1], "other"])
    for changed in ({"names": names}, {"told": np.zeros(3)}, {"told": None}):
        with pytest.raises(ConfigError, match="reinstall pagoda"):
            load_alignment(rewritten(WEIGHTS, **changed))
