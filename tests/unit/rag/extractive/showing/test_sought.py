"""What kind of thing an English question seeks, and whether a text tells one."""

from __future__ import annotations

import pytest

from pagoda.rag.extractive.showing.sought import KINDS, lacks_count, sought_by

TOLD = [
    ("Why is the jar closed?", "It is closed because the culture has to breathe.", "The jar is closed."),
    ("How often must it be fed?", "Feed it every day.", "Feed it with flour."),
    ("How long does a jar last?", "Keeps for 3-4 weeks.", "Keeps well in the fridge."),
    ("What temperature do I need?", "Bake at 350 F.", "Bake it."),
    ("height of the tower", "The tower is 60mm high.", "The tower is high."),
    ("What is the weight of it?", "It weighs 750 grams.", "It is heavy."),
    ("What percentage is read?", "A tenth, 10 %.", "A part of it."),
    ("Which version has it?", "Since v0.13.0.", "Since the last release."),
    ("When was it published?", "Published in March 2021.", "It was published."),
    ("Where is the lounge?", "It is on the first floor.", "The lounge has chairs."),
    ("Who approves leave?", "Your supervisor approves it.", "Leave is approved."),
    ("What is the default format?", "The default is tar.", "The format is given."),
    ("What is the maximum?", "Not more, up to twelve.", "Twelve."),
    ("What is the minimum?", "At least twelve.", "Twelve."),
    ("What is the exit code?", "It ends with 130.", "It ends with an error."),
    ("How many hosts are there?", "There are three hosts.", "There are hosts."),
    ("Where can I buy one?", "Sold in the store.", "From a friend."),
]


@pytest.mark.parametrize(("question", "told", "untold"), TOLD, ids=[question for question, _, _ in TOLD])
def test_a_text_tells_it_or_does_not(question: str, told: str, untold: str) -> None:
    kinds = sought_by(question)
    assert kinds
    assert all(kind.told.search(told) for kind in kinds)
    assert not all(kind.told.search(untold) for kind in kinds)


def test_every_kind_is_sought_by_one_of_these_questions() -> None:
    found = {kind.name for question, _, _ in TOLD for kind in sought_by(question)}
    assert found == {kind.name for kind in KINDS}


def test_what_asks_for_no_kind_seeks_none() -> None:
    assert sought_by("Can visitors delete projects?") == []
    assert not lacks_count("Can visitors delete projects?", "They cannot.")


def test_a_number_counts_what_stands_behind_it() -> None:
    assert not lacks_count("How many points are probed?", "Probe at 3 different points.")
    assert lacks_count(
        "How many points are probed?", "Probe for 3 minutes, until the bed has settled. The points are listed."
    )
