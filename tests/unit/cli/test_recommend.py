"""`pagoda recommend` in this process: trainings of one folder, what is refused, and what a reason says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pagoda.cli.recommend as commands
from pagoda.cli.app import app
from pagoda.recommend.data.interactions import Interaction
from pagoda.recommend.data.things import read_things
from pagoda.recommend.folder import PEOPLE, THINGS
from pagoda.recommend.recommender import RecommenderSettings
from pagoda.recommend.sequence.network import SequenceSettings
from pagoda.recommend.store import EventStore, StoredEvent


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["--lang", "en", "recommend", *(str(argument) for argument in arguments)])


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    lines = [f"u{user},i{(user + step) % 15},{user + 100 * step}" for user in range(20) for step in range(5)]
    path.write_text("user, item, timestamp\n" + "\n".join(lines) + "\n")
    (tmp_path / "things.jsonl").write_text('{"id": "i1", "name": "One", "kinds": ["k"]}\n')
    return path


@pytest.fixture
def folder(events: Path, tmp_path: Path) -> Path:
    found = run("train", events, "--things", tmp_path / "things.jsonl", "--out", tmp_path / "shop")
    assert found.exit_code == 0, found.output
    return tmp_path / "shop"


def test_a_training_again_keeps_the_things(folder: Path, events: Path) -> None:
    again = run("train", events, "--out", folder)
    assert "model-2" in again.stdout
    assert list(read_things(folder / THINGS)) == ["i1"]


def test_a_folder_learns_from_what_people_did_since(folder: Path) -> None:
    store = EventStore(folder / PEOPLE)
    store.append(StoredEvent(f"web-{n}", Interaction(f"u{n}", "new", 900.0)) for n in range(5))
    store.close()
    found = run("train", "--from", folder)
    assert found.exit_code == 0, found.output
    assert "105 events of 20 people, 16 items" in found.stderr
    assert "new" in run("ask", "u9", folder, "--k", "20").stdout
    again = run("train", "--from", folder)
    assert "105 events" in again.stderr, "none is doubled"
    assert run("train", "--from", folder, "--out", folder).exit_code == 2


def test_the_invented_city_does_not_come_into_a_shop(folder: Path) -> None:
    found = run("train", "--out", folder)
    assert found.exit_code == 2
    assert "other things than the invented city's" in found.output


def test_who_was_deleted_is_not_learned_from_again(folder: Path, events: Path) -> None:
    store = EventStore(folder / PEOPLE)
    assert store.forget("u3") == 5
    store.close()
    assert "95 events of 19 people" in run("train", events, "--out", folder).stderr


def test_a_reason_that_speaks_against_is_not_called_popular(folder: Path) -> None:
    lines = run("ask", "a stranger", folder, "--k", "15").stdout.splitlines()
    assert len(lines) == 15
    assert "popular of late" in lines[0]
    assert "less taken of late" in lines[-1]


def test_what_cannot_be_measured_is_refused(events: Path, tmp_path: Path) -> None:
    found = run("eval", events, "--k", "0")
    assert (found.exit_code, "k=0" in found.output) == (2, True)
    single = tmp_path / "single.csv"
    single.write_text("user,item,timestamp\na,b,1\nc,d,2\n")
    found = run("eval", single)
    assert (found.exit_code, "nothing is held back" in found.output) == (2, True)


def test_a_network_is_trained_kept_and_measured_beside_the_others(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SequenceSettings(width=16, layers=1, heads=1, epochs=2.0, tokens=256)
    chosen = {True: RecommenderSettings(network=small), False: RecommenderSettings()}
    monkeypatch.setattr(commands, "_settings", lambda network, log: chosen[network])
    found = run("train", events, "--network", "--out", tmp_path / "net")
    assert found.exit_code == 0, found.output
    assert "popular-lately, network" in found.stdout
    assert "network: step" in found.stderr
    assert (tmp_path / "net" / "model-1" / "network" / "model.safetensors").is_file()
    assert len(run("ask", "u9", tmp_path / "net").stdout.splitlines()) == 5
    measured = run("eval", events, "--split", "leave-last", "--network")
    assert [line.split("  ")[0] for line in measured.stdout.splitlines()][-2:] == ["pagoda", "pagoda, network"]


def test_a_file_with_columns_of_its_own_is_taken_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    lines = [f"u{user},i{(user + step) % 15},4,{user + 100 * step}" for user in range(20) for step in range(5)]
    path.write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    refused = run("train", path, "--out", tmp_path / "shop")
    assert (refused.exit_code, "--columns userId,movieId," in refused.output) == (2, True)
    named = ("--columns", "userId,movieId,timestamp")
    assert "100 events of 20 people" in run("train", path, *named, "--out", tmp_path / "shop").stderr
    assert run("eval", path, *named).exit_code == 0
    assert run("train", *named, "--out", tmp_path / "other").exit_code == 2
    assert run("train", "--from", tmp_path / "shop", *named).exit_code == 2


def test_who_has_everything_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("user,item,timestamp\na,b,4\n")
    assert run("train", tmp_path / "one.csv", "--out", tmp_path / "one").exit_code == 0
    found = run("ask", "a", tmp_path / "one")
    assert (found.exit_code, found.stdout) == (0, "")
    assert "nothing is left for a: of 1 items each is taken or blocked" in found.stderr
