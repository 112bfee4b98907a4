"""Drift and deviations against figures that were worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opinion_items import START, ByTitle, ToldReader, config, item
from pagoda.opinions.watching.monitor import Monitor
from pagoda.opinions.windows.drift import drift, stability_index
from pagoda.opinions.windows.measures import deviation, z_score

COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 50), min_size=1)


@given(COUNTS, COUNTS)
def test_the_index_is_never_negative_and_the_same_both_ways(before: dict[str, int], now: dict[str, int]) -> None:
    assert stability_index(before, now) >= -1e-12
    assert math.isclose(stability_index(before, now), stability_index(now, before), abs_tol=1e-9)


def test_a_stream_that_turns_negative_has_drifted_and_one_that_stays_has_not(tmp_path: Path) -> None:
    calm = [item(f"n {n} {('positive', 'neutral')[n % 2]}/Acme", n) for n in range(100)]
    bad = [item(f"m {n} negative/Acme", 1000 + n) for n in range(40)]
    with Monitor(config(tmp_path), reader=ToldReader(), stories=ByTitle) as monitor:
        monitor.ingest([*calm, *bad])
        start = int(START.timestamp())
        found = {row["feature"]: row for row in monitor.look(lambda d: drift(d, start + 60_000, start, start + 80_000))}
        half = {row["feature"]: row for row in monitor.look(lambda d: drift(d, start + 3000, start, start + 6000))}
    assert (found["label"]["verdict"], found["language"]["verdict"]) == ("drifted", "stable")
    assert (half["label"]["psi"], half["label"]["verdict"]) == (0.0, "stable")
    assert found["label"]["num_now"] == 40


def test_a_deviation_is_from_the_companys_own_past_windows(tmp_path: Path) -> None:
    hours = [1, 2, 1, 2, 0, 9]
    items = [item(f"{h} {n} negative/Acme", 60 * h + n) for h, count in enumerate(hours) for n in range(count)]
    with Monitor(config(tmp_path), reader=ToldReader(), stories=ByTitle) as monitor:
        monitor.ingest(sorted(items, key=lambda each: each.fetched))
        database, end = monitor.writer.database, int(START.timestamp()) + 6 * 3600
        assert deviation(database, "acme", end, 3600, 10, negative=True) == z_score(9, [0, 2, 1, 2, 1])
        assert deviation(database, "borel", end, 3600, 10, negative=False) == 0.0
        assert deviation(database, "acme", end - 4 * 3600, 3600, 10, negative=False) is None


def test_windows_before_the_first_arrival_were_seen_by_nobody(tmp_path: Path) -> None:
    old = item("an old one neutral/Borel", -60 * 24 * 300, late=60 * 24 * 300)
    items = [old, *(item(f"{n} negative/Acme", 30 + n) for n in range(9))]
    with Monitor(config(tmp_path), reader=ToldReader(), stories=ByTitle) as monitor:
        monitor.ingest(items)
        end = int(START.timestamp()) + 3600
        assert deviation(monitor.writer.database, "acme", end, 3600, 10, negative=False) is None


@pytest.mark.parametrize(("now", "past", "expected"), [(5, [5, 5, 5], 0.0), (8, [5, 5, 5], 3.0), (10, [0, 4, 8], 1.5)])
def test_a_z_score_has_a_floor_of_one_story(now: int, past: list[int], expected: float) -> None:
    assert z_score(now, past) == expected
