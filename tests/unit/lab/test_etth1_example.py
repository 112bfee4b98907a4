"""The example of ETTh1 on a short series of our own: windows are what they say, and times tell more than numbers."""

from __future__ import annotations

import math
import random
from pathlib import Path
from types import ModuleType

import pytest
import torch

from examples_of import load_example


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return load_example("etth1_forecast")


@pytest.fixture(scope="module")
def series(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two quantities with a day and a trend in them, and noise; no dates are read."""
    rng, path = random.Random(0), tmp_path_factory.mktemp("etth1") / "ETTh1.csv"
    lines = ["date,one,other"]
    for hour in range(example.TESTED):
        day = math.sin(2 * math.pi * hour / 24)
        lines.append(f"then,{day + 0.1 * rng.gauss(0, 1):.4f},{2 - day + 0.1 * rng.gauss(0, 1):.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_window_holds_the_last_readings_and_when_they_were(example: ModuleType, series: Path) -> None:
    scheme = example.SCHEMES["gaps, by time"]
    read = example.Series(series, scheme.missing, seed=1)
    assert 0.68 < float(read.is_there.float().mean()) < 0.72
    start = torch.tensor([example.TRAINED])
    values, stands = read.windows(start, torch.tensor([1]), scheme)
    expected = [hour for hour in range(example.TRAINED) if read.is_there[hour]][-scheme.readings :]
    assert (stands[0] + example.TRAINED).tolist() == expected
    assert torch.equal(values[0], read.values[expected, 1])
    came, was_read = read.futures(start, torch.tensor([1]))
    assert torch.equal(came[0], read.values[example.TRAINED : example.TRAINED + 96, 1])
    assert torch.equal(was_read[0], read.is_there[example.TRAINED : example.TRAINED + 96])


def test_the_order_of_readings_tells_nothing_of_their_times(example: ModuleType, series: Path) -> None:
    scheme = example.SCHEMES["gaps, by order"]
    found = [
        example.Series(series, scheme.missing, seed).windows(torch.tensor([4000]), torch.tensor([0]), scheme)[1]
        for seed in (1, 2)
    ]
    assert torch.equal(*found)
    assert found[0][0, 0] == pytest.approx(-example.CONTEXT, abs=10), "stretched to the hours that they span on average"


def test_shifting_all_times_changes_no_forecast(example: ModuleType, series: Path) -> None:
    scheme = example.SCHEMES["gaps, by time"]
    model = example.Forecaster(scheme).eval()
    values, stands = example.Series(series, scheme.missing, 0).windows(torch.tensor([4000]), torch.tensor([0]), scheme)
    told = model(values, stands)
    assert told.shape == (1, 96)
    assert not torch.equal(model(values, 1.1 * stands), told), "times are seen"


@pytest.mark.parametrize("name", ["whole", "gaps, by time"])
def test_it_learns_a_day(name: str, example: ModuleType, series: Path) -> None:
    scheme = example.SCHEMES[name]
    read = example.Series(series, scheme.missing, 0)
    span = (example.CHOSEN, example.CHOSEN + 200)
    torch.manual_seed(0)
    before = example.errors(example.Forecaster(scheme), read, scheme, span)[0]
    after = example.errors(example.train(read, scheme, steps=40, seed=0), read, scheme, span)[0]
    assert after < 0.5 * before


def test_a_file_that_is_cut_is_refused(example: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text("date,one\nthen,1.0\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="has 1 hours, but 14400 are expected"):
        example.Series(tmp_path / "short.csv", 0.0, 0)
