"""Windows of histories: each thing is taught once an epoch after those before it, and the batch is the step's."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pagoda.recommend.sequence.curriculum import START, History, HistoryCurriculum
from pagoda.train.curriculum import NOT_COUNTED


def histories() -> list[History]:
    rng = np.random.default_rng(1)
    found = []
    for user in range(40):
        count = int(rng.integers(1, 40))
        found.append(History(np.arange(count) + 100 * user, np.sort(rng.random(count)) + 5.0))
    return found


def test_an_epoch_teaches_each_thing_once_after_the_one_before_it() -> None:
    given = histories()
    taught = HistoryCurriculum(given, [], length=8, tokens=64, seed=0)
    seen: Counter[int] = Counter()
    for step in range(taught.steps_per_epoch):
        batch = taught.batch(step)
        assert batch.input_ids.size <= 64
        for ids, targets in zip(batch.input_ids, batch.targets, strict=True):
            counted = targets != NOT_COUNTED
            seen.update((targets[counted] - 1).tolist())
            for before, after in zip(ids[counted], targets[counted], strict=True):
                assert before == (START if (after - 1) % 100 == 0 else after - 1)
    assert seen == Counter(int(item) for history in given for item in history.items)


def test_a_batch_depends_on_its_step_alone() -> None:
    one, other = (HistoryCurriculum(histories(), [], 8, 64, seed=0) for _ in range(2))
    steps = [0, one.steps_per_epoch + 2, 1]
    kept = {step: one.batch(step) for step in steps}
    for step in reversed(steps):
        again = other.batch(step)
        assert np.array_equal(again.input_ids, kept[step].input_ids)
        assert again.positions is not None
        assert np.array_equal(again.positions, np.asarray(kept[step].positions))


def test_positions_are_times_since_the_first_of_a_window() -> None:
    taught = HistoryCurriculum([History(np.array([4, 5, 6]), np.array([10.0, 12.0, 15.0]))], [], 8, 64, seed=0)
    batch = taught.batch(0)
    assert batch.input_ids.tolist() == [[START, 5, 6]]
    assert batch.positions is not None
    assert batch.positions.tolist() == [[0.0, 0.0, 2.0]]


def test_of_what_is_held_back_the_last_thing_alone_is_asked() -> None:
    held = History(np.arange(20))
    batch = HistoryCurriculum(histories(), [held], 8, 64, seed=0).held_back()["next"]
    assert batch.input_ids.tolist() == [list(range(12, 20))]
    assert batch.targets[0, -1] == 20
    assert (batch.targets[0, :-1] == NOT_COUNTED).all()


def test_rivals_are_items_drawn_for_a_step_alone() -> None:
    taught = HistoryCurriculum(histories(), [], 8, 64, seed=0, rivals=20, num_items=30)
    drawn = [taught.batch(step).rivals for step in (0, 1, 0)]
    first, second, again = (np.asarray(one) for one in drawn)
    assert len(set(first.tolist())) == 20
    assert min(first) >= 1
    assert max(first) <= 30
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert HistoryCurriculum(histories(), [], 8, 64, seed=0).batch(0).rivals is None


def test_widths_are_multiples_and_what_is_taught_stays() -> None:
    given = histories()
    plain, wide = (HistoryCurriculum(given, [], 8, 64, seed=0, widths=widths) for widths in (1, 3))
    counts = []
    for taught in (plain, wide):
        batches = [taught.batch(step) for step in range(taught.steps_per_epoch)]
        assert all(batch.input_ids.shape[1] % taught.widths == 0 for batch in batches)
        assert all(batch.input_ids.size <= 64 for batch in batches)
        targets = np.concatenate([batch.targets[batch.targets != NOT_COUNTED] for batch in batches])
        counts.append(np.bincount(targets))
    np.testing.assert_array_equal(*counts)
    assert any(plain.batch(step).input_ids.shape[1] % 3 for step in range(plain.steps_per_epoch))
