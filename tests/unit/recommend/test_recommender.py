"""Candidates against dense references, reasons against scores, and what a list may never hold."""

from __future__ import annotations

import numpy as np
import pytest

from pagoda.errors import ConfigError, InvalidParameterError
from pagoda.recommend import Recommender
from pagoda.recommend.candidates.linear import LinearModel, ease, inverse, neighbours, together, transitions
from pagoda.recommend.candidates.popularity import WindowedPopularity
from pagoda.recommend.candidates.recency import Recency, last_of_each
from pagoda.recommend.data.interactions import InteractionLog
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.ranker import Case, fit
from pagoda.recommend.recommender import RecommenderSettings


def made_up(users: int = 60, items: int = 40, seed: int = 0) -> list[tuple[str, str, float]]:
    """Two tastes: the halves of the shop; within one, the things stand in a ring and are taken one after the other."""
    rng = np.random.default_rng(seed)
    half, events = items // 2, []
    for user in range(users):
        base, place = (user % 2) * half, int(rng.integers(half))
        for step in range(int(rng.integers(5, 12))):
            events.append((f"u{user}", f"i{base + place}", float(user + 100 * step)))
            place = (place + int(rng.integers(1, 3))) % half
    return events


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    return InteractionLog.of(made_up())


def occurrence(log: InteractionLog) -> np.ndarray:
    found = np.zeros((len(log.users), len(log.items)))
    for user, history in enumerate(log.histories):
        found[user, history] = 1
    return found


def test_ease_solves_its_least_squares(log: InteractionLog) -> None:
    """Column by column: ridge regression of an item on all others, which is what the closed form promises."""
    taken, penalty = occurrence(log), 20.0
    found = ease(together(log), penalty)
    for item in range(len(log.items)):
        others = np.delete(np.arange(len(log.items)), item)
        left, right = taken[:, others], taken[:, item]
        exact = np.linalg.solve(left.T @ left + penalty * np.eye(len(others)), left.T @ right)
        np.testing.assert_allclose(found[others, item], exact, atol=1e-5)
        assert found[item, item] == 0.0


@pytest.mark.parametrize("size", [1, 256, 257, 1027])
def test_an_inverse_by_halves_is_the_inverse(size: int) -> None:
    """Of what EASE inverts: people who took a few things of many, with a penalty that is small beside them."""
    rng = np.random.default_rng(size)
    taken = (rng.random((4 * size, size)) < 0.05).astype(np.float64)
    matrix = taken.T @ taken + 5.0 * np.eye(size)
    before = matrix.copy()
    found = inverse(matrix)
    np.testing.assert_allclose(found, np.linalg.inv(matrix), atol=1e-13, rtol=1e-9)
    np.testing.assert_array_equal(matrix, before)


def test_neighbours_are_damped_cosines_of_the_nearest(log: InteractionLog) -> None:
    taken = occurrence(log)
    found = neighbours(together(log), 5, 3.0)
    for item in range(len(log.items)):
        norms = np.sqrt((taken**2).sum(0))
        near = taken.T @ taken[:, item] / (norms * norms[item] + 3.0)
        near[item] = 0.0
        kept = near >= np.sort(near)[-5]
        np.testing.assert_allclose(found[:, item], np.where(kept, near, 0.0), atol=1e-5)


def test_transitions_count_what_came_soon_after(log: InteractionLog) -> None:
    small = InteractionLog.of([("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("b", "x", 1), ("b", "y", 2)])
    found = transitions(small, reach=2, decay=0.5, shrink=2.0)
    x, y, z = (small.item_numbers[item] for item in "xyz")
    assert found[x, y] == pytest.approx(2 / 4)
    assert found[x, z] == pytest.approx(0.5 / np.sqrt(4 * 3))
    assert found[y, x] == found[z, y] == 0.0


def test_recency_weighs_the_last_things() -> None:
    np.testing.assert_allclose(Recency(2, 0.5).weights(4), [0, 0, 0.5, 1])
    np.testing.assert_allclose(Recency().weights(3), [1, 1, 1])


def test_popularity_knows_nothing_of_what_is_to_come() -> None:
    log = InteractionLog.of([("a", "x", 0), ("b", "x", 10), ("c", "y", 20), ("d", "y", 30), ("e", "y", 40)])
    scores = WindowedPopularity.of(log, half_life=10.0).scores(10.0)
    np.testing.assert_allclose(scores, np.array([1, -1]) * np.log(2.0 / 0.5) / 2)
    long = InteractionLog.of([*log.events(), ("f", "y", 1e6)])
    np.testing.assert_allclose(WindowedPopularity.of(long, half_life=10.0).scores(10.0), scores)
    assert WindowedPopularity.of(log, 0.0).scores(None).argmax() == log.item_numbers["y"]


def test_the_ranker_finds_the_weights_that_drew_the_cases() -> None:
    rng = np.random.default_rng(0)
    true, cases = np.array([1.5, -0.5, 0.0]), []
    for _ in range(3000):
        features = rng.normal(size=(3, 20)).astype(np.float32)
        chances = np.exp(true @ features)
        wanted = rng.choice(20, p=chances / chances.sum())
        cases.append(Case(features, np.array([wanted]), np.ones(20, dtype=bool)))
    np.testing.assert_allclose(fit(cases, 0.0), true, atol=0.1)


@pytest.fixture(scope="module")
def recommender(log: InteractionLog) -> Recommender:
    return Recommender.train(log)


def test_reasons_sum_to_the_score_and_lists_hold_nothing_seen(recommender: Recommender, log: InteractionLog) -> None:
    for user, history in zip(log.users, log.histories, strict=True):
        seen = {log.items[item] for item in history}
        found = recommender.recommend(user, 10)
        assert len(found) == 10
        assert not seen & {one.item for one in found}
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert sum(reason.value for reason in one.reasons) == pytest.approx(one.score, abs=1e-9)
            assert one.because.keys() <= seen


def test_it_learns_the_tastes(recommender: Recommender, log: InteractionLog) -> None:
    """Chance would name the other half of the shop every second time."""
    halves = [
        (int(one.item[1:]) < 20) == (int(user[1:]) % 2 == 0)
        for user in log.users
        for one in recommender.recommend(user, 5)
    ]
    assert np.mean(halves) > 0.85


def test_an_event_changes_the_next_list_and_a_stranger_gets_what_is_popular() -> None:
    recommender = Recommender.train(made_up())
    before = [one.item for one in recommender.recommend("new", 5)]
    assert all(reason.kind == "popular" for one in recommender.recommend("new", 5) for reason in one.reasons)
    assert "new" not in recommender.people
    recommender.observe("new", before[0], 2000.0)
    after = [one.item for one in recommender.recommend("new", 5)]
    assert after != before
    assert before[0] not in after


def test_a_stranger_gets_what_most_take_whatever_the_weights_of_others_are() -> None:
    """All begin with eight of the ten famous things, so that fame speaks against what anybody takes next."""
    rng = np.random.default_rng(1)
    events = [
        (f"u{user}", f"i{item}", float(user + 1000 * step))
        for user in range(200)
        for step, item in enumerate([*rng.permutation(10)[:8], *(10 + rng.choice(100, size=6, replace=False))])
    ]
    recommender = Recommender.train(events)
    log = InteractionLog.of(events)
    counts = np.bincount(np.concatenate(log.histories))
    most = {log.items[item] for item in np.argsort(-counts)[:10]}
    for stranger in (recommender.recommend("stranger", 10), recommender.recommend_for(["unheard of"], 10)):
        assert {one.item for one in stranger} <= most
        for one in stranger:
            assert sum(reason.value for reason in one.reasons) == pytest.approx(one.score, abs=1e-9)


def test_blocks_hold_and_are_taken_back() -> None:
    recommender = Recommender.train(made_up())
    recommender.describe({f"i{n}": [f"kind{n % 3}"] for n in range(40)})
    best = recommender.recommend("u0", 1)[0].item
    recommender.people.block("u0", item=best)
    recommender.people.block("u0", kind="kind1")
    everything = {one.item for one in recommender.recommend("u0", 40)}
    assert best not in everything
    assert not any("kind1" in recommender.kinds(item) for item in everything)
    recommender.people.unblock("u0", item=best)
    recommender.people.unblock("u0", kind="kind1")
    assert recommender.recommend("u0", 1)[0].item == best


def test_caps_are_kept_and_diversity_mixes_kinds() -> None:
    recommender = Recommender.train(made_up())
    recommender.describe({f"i{n}": ["even" if n % 2 == 0 else "odd", f"k{n % 5}"] for n in range(40)})
    capped = recommender.recommend("u0", 10, limits=ListLimits(per_kind=2))
    counts = [sum(kind in recommender.kinds(one.item) for one in capped) for kind in ("even", "odd", "k0", "k1")]
    assert max(counts) <= 2
    plain = [one.item for one in recommender.recommend("u0", 10)]
    assert [one.item for one in recommender.recommend("u0", 10, limits=ListLimits())] == plain
    recommender.describe({item: ["same" if place < 5 else f"k{place}"] for place, item in enumerate(plain)})
    mixed = [one.item for one in recommender.recommend("u0", 5, limits=ListLimits(diversity=0.9))]
    assert mixed[0] == plain[0]
    assert len(set(mixed) & set(plain[:5])) < 3, "the best five are all of one kind"
    with pytest.raises(InvalidParameterError, match="diversity=2"):
        ListLimits(diversity=2)


def test_a_person_is_forgotten_wholly() -> None:
    recommender = Recommender.train(made_up())
    assert recommender.people.forget("u3")
    assert not recommender.people.forget("u3")
    assert "u3" not in recommender.people
    assert recommender.recommend("u3", 3) == recommender.recommend("somebody", 3)


def test_ids_are_strings_and_little_data_is_enough() -> None:
    found = Recommender.train([(1, 2, 3), (1, 3, 4), (2, 2, 1)]).recommend(2, 5)  # type: ignore[arg-type]
    assert [one.item for one in found] == ["3"]


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="no event to learn from"):
        Recommender.train([])
    with pytest.raises(ConfigError, match="event 2 is"):
        Recommender.train([("a", "b", 1), ("a", "b", "x")])
    recommender = Recommender.train([("a", "b", 1)])
    for k in (0, 2.5, True, "3"):
        with pytest.raises(InvalidParameterError, match="k="):
            recommender.recommend("a", k)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="now=nan"):
        recommender.recommend("a", 1, now=float("nan"))


def test_a_shop_of_many_rare_things_is_a_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    rare = Recommender.train([(f"u{n}", f"i{n}", n) for n in range(2100)])
    assert len(rare.catalogue) == 2000
    assert len(rare.recommend("u1", 10)) == 10
    events = [(f"u{n}", f"i{n % 7}", n) for n in range(50)] + [("u0", "once", 60)]
    assert set(Recommender.train(events, RecommenderSettings(max_items=7)).catalogue) == {f"i{n}" for n in range(7)}
    monkeypatch.setattr("pagoda.recommend.recommender.most_items", lambda: 3)
    assert len(Recommender.train(events).catalogue) == 3


def test_of_what_was_taken_again_and_again_the_last_time_counts(recommender: Recommender) -> None:
    np.testing.assert_array_equal(last_of_each(np.array([3, 1, 3, 2, 1])), [3, 2, 1])
    once = recommender.recommend_for(["i1", "i2", "i3"], 5)
    assert recommender.recommend_for(["i2", "i3", "i1", "i2", *["i3"] * 40], 5) == once


def test_a_long_history_is_read_in_parts(recommender: Recommender) -> None:
    rng = np.random.default_rng(0)
    model = LinearModel("", rng.normal(size=(200, 200)).astype(np.float32), Recency(0, 0.99))
    history = rng.permutation(200)
    exact = model.recency.weights(200) @ model.matrix[history].astype(np.float64)
    np.testing.assert_allclose(model.scores(history), exact, rtol=1e-12)


def test_a_pool_grows_with_the_list_and_goes_on_while_caps_leave_it_short() -> None:
    events = [
        (f"u{user}", f"i{(user * 37 + step * step * 7) % 500}", float(step)) for user in range(300) for step in range(8)
    ]
    recommender = Recommender.train(events)
    plain = [one.item for one in recommender.recommend("u1", 450)]
    assert len(plain) == 450
    recommender.describe({item: ["big"] for item in plain[:300]} | {item: [f"k{item}"] for item in plain[300:]})
    assert len(recommender.recommend("u1", 450, limits=ListLimits(diversity=0.1))) == 450
    capped = [one.item for one in recommender.recommend("u1", 10, limits=ListLimits(per_kind=1, pool=20))]
    assert len(capped) == 10
    assert capped[0] == plain[0]
    counted = [one.item for one in recommender.recommend("u1", 5, limits=ListLimits(per_kind=1), counted={"big": 1})]
    assert not set(counted) & set(plain[:300])


@pytest.mark.parametrize("given", [{"per_kind": 2.5}, {"per_kind": True}, {"pool": 0}, {"pool": 1.5}, {"diversity": 2}])
def test_limits_that_are_none_are_refused_before_a_list_is_made(given: dict[str, float]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(given))):
        ListLimits(**given)  # type: ignore[arg-type]
