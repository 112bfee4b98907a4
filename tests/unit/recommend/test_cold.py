"""New items by their text, new people by questions: with vectors that are written down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pagoda.recommend.cold import NewItems, first_questions, with_new
from pagoda.recommend.data.things import CatalogueItem
from pagoda.recommend.people import Person
from pagoda.recommend.recommendation import Recommendation
from pagoda.recommend.recommender import Recommender

VECTORS = {"a": [1.0, 0.0], "b": [0.0, 1.0], "new-a": [0.8, 0.6], "new-b": [0.1, 0.99]}


def embed(texts: Sequence[str]) -> np.ndarray:
    return np.array([VECTORS[text] for text in texts], dtype=np.float32)


@pytest.fixture
def new() -> NewItems:
    return NewItems([CatalogueItem(name, name, name) for name in VECTORS], ["a", "b"], embed)


def test_a_new_item_comes_to_who_took_what_reads_alike(new: NewItems) -> None:
    assert new.items == ("new-a", "new-b")
    assert [one.item for one in new.recommend(Person(["a"], [0.0]), 2)] == ["new-a", "new-b"]
    assert [one.item for one in new.recommend(Person(["b"], [0.0]), 2)] == ["new-b", "new-a"]
    assert new.recommend(Person(["unheard of"], [0.0]), 2) == []


def test_its_score_is_the_weighted_mean_of_cosines_and_the_sum_of_its_reasons(new: NewItems) -> None:
    found = {one.item: one for one in new.recommend(Person(["b", "a"], [0.0, 1.0]), 2)}
    assert found["new-a"].score == pytest.approx((0.9 * 0.6 + 0.8) / 1.9, abs=1e-6)
    for one in found.values():
        assert sum(reason.value for reason in one.reasons) == pytest.approx(one.score, abs=1e-9)
        assert {reason.kind for reason in one.reasons} == {"like"}


def test_what_is_closed_or_blocked_stays_away(new: NewItems) -> None:
    person = Person(["a"], [0.0], blocked={"new-a"})
    assert [one.item for one in new.recommend(person, 5)] == ["new-b"]
    assert new.recommend(person, 5, closed=["new-b"]) == []


def test_new_items_get_their_share_of_a_list_and_no_more() -> None:
    known = [Recommendation(f"k{n}", 1.0, ()) for n in range(10)]
    fresh = [Recommendation(f"n{n}", 1.0, ()) for n in range(10)]
    assert [one.item for one in with_new(known, fresh, 10, 0.25)] == [f"k{n}" for n in range(8)] + ["n0", "n1"]
    assert with_new(known, [], 10, 0.25) == known
    assert with_new(known, fresh, 3, 0.25) == known[:3]


def test_questions_are_about_what_is_known_and_differs() -> None:
    """Two groups of people with nothing in common: the second question is about the other group's thing."""
    events = [(f"x{n}", item, n) for n in range(12) for item in ("x-one", "x-two")]
    events += [(f"y{n}", item, n) for n in range(8) for item in ("y-one", "y-two")]
    events += [("z", "rare", 0)]
    asked = first_questions(Recommender.train(events), 3)
    assert {item[0] for item in asked[:2]} == {"x", "y"}
    assert len(set(asked)) == 3
    assert "rare" not in asked[:2]
