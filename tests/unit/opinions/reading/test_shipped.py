"""The English model that ships: it reads each company of a headline by itself, and is no larger than it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pagoda.kernels.select import native_is_built
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.model_files import SHIPPED
from pagoda.opinions.reading.networks.adapter import applied, changes
from pagoda.opinions.sentiment import TargetSentiment
from pagoda.opinions.story import Mention

TEXT = "Harbour Motors shares soar on record profit while Birch Foods slumps after a fraud probe"


@pytest.fixture(scope="module")
def shipped() -> TargetSentiment:
    return TargetSentiment.shipped()


def _mention(name: str) -> Mention:
    at = TEXT.index(name)
    return Mention(name, at, at + len(name), name, 1.0)


def test_companies_of_one_headline_are_read_apart(shipped: TargetSentiment) -> None:
    harbour, birch = [_mention("Harbour Motors")], [_mention("Birch Foods")]
    up, down = shipped.predict([(TEXT, harbour), (TEXT, birch)], [birch, harbour])
    assert (up.label, down.label) == ("positive", "negative")
    assert up.model_version.startswith("minilm-en-sentfin")
    assert all(TEXT[word.start : word.end] == word.text for word in (*up.words, *down.words))
    assert {"soar", "record", "profit"} & {word.text for word in up.words}


def test_a_name_changes_nothing(shipped: TargetSentiment) -> None:
    other = TEXT.replace("Harbour Motors", "Enron")
    one = shipped.predict([(TEXT, [_mention("Harbour Motors")])])[0]
    two = shipped.predict([(other, [Mention("e", 0, 5, "Enron", 1.0)])])[0]
    assert one.probability == pytest.approx(two.probability, abs=0.01)


def test_a_text_has_the_same_bits_in_any_company(shipped: TargetSentiment) -> None:
    texts = [Marked.of(TEXT + " and more" * (n % 4), [_mention("Birch Foods")] * (n % 2)) for n in range(21)]
    together = shipped.probabilities(texts)
    for size in (1, 7):
        parts = [shipped.probabilities(texts[start : start + size]) for start in range(0, len(texts), size)]
        assert np.array_equal(np.concatenate(parts), together)


def test_words_that_carried_an_opinion_matter_more_than_those_that_did_not(shipped: TargetSentiment) -> None:
    harbour = _mention("Harbour Motors")
    up = shipped.predict([(TEXT, [harbour])])[0]
    others = [word for word in ("shares", "on", "while", "after") if word not in {each.text for each in up.words[:2]}]

    def without(words: list[str]) -> float:
        shorter = TEXT.split()
        text = " ".join(word for word in shorter if word not in words)
        return float(shipped.probabilities([Marked.of(text, [harbour])])[0, 0])

    assert without([word.text for word in up.words[:2]]) < without(others[:2])


@pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
def test_without_our_kernels_the_same_is_said(shipped: TargetSentiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagoda.minilm.native_encoder.native_is_built", lambda: False)
    texts = [Marked.of(TEXT, [_mention(name)]) for name in ("Harbour Motors", "Birch Foods")]
    plain = TargetSentiment.shipped().probabilities(texts)
    assert plain == pytest.approx(shipped.probabilities(texts), abs=0.05)  # a part of our products is in bytes


def test_chinese_is_read_by_word_lists_that_say_so(shipped: TargetSentiment) -> None:
    assert shipped.predict([("远山能源股价大涨", ())])[0].model_version == "lexicon-1"


def test_what_ships_is_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 1_600_000


def test_factors_bring_a_matrix_back() -> None:
    generator = torch.Generator().manual_seed(0)
    base = {
        "m": torch.randn(20, 30, generator=generator),
        "v": torch.randn(5, generator=generator),
        "same": torch.ones(2),
    }
    change = torch.randn(20, 3, generator=generator) @ torch.randn(3, 30, generator=generator)
    tuned = {"m": base["m"] + change, "v": base["v"] + 1, "same": base["same"]}
    found = changes(tuned, base, rank=3)
    assert "same.change" not in found
    back = applied(base, found)
    assert torch.allclose(back["m"], tuned["m"], atol=0.05 * float(change.abs().max()))
    assert torch.allclose(back["v"], tuned["v"], atol=1e-3)
    whole = applied(base, changes(tuned, base, rank=0))
    assert np.abs((whole["m"] - tuned["m"]).numpy()).max() < 5e-3
