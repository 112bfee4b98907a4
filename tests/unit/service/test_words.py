"""What the desk says of reasons: sentences that fit a film and a restaurant, of one person and of several."""

from __future__ import annotations

import pytest

from pagoda.service.words import words_of


@pytest.mark.parametrize(
    ("language", "count", "said"),
    [
        ("en", 1, "you chose Pine Crane House (1 other chose both)"),
        ("en", 16, "you chose Pine Crane House (16 others chose both)"),
        ("zh", 1, "您选过松鹤楼，另有1人两个都选过"),
        ("zh", 16, "您选过松鹤楼，另有16人两个都选过"),
    ],
)
def test_a_reason_counts_people_and_fits_whatever_is_recommended(language: str, count: int, said: str) -> None:
    words = words_of(language)
    past = {"en": "Pine Crane House", "zh": "松鹤楼"}[language]
    assert words.because.format(past=past, facts=words.together.format(count=count)) == said
    assert words.popular.format(count=count) in said.replace("both", "it").replace("两个都", "")
