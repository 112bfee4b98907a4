"""`pagoda lab`: a recipe is run by its name or file, Ctrl-C saves, mistakes are told; perplexity by position."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lab_recipes import raw
from pagoda.cli.app import app
from pagoda.lab.far_positions import perplexity_by_position
from pagoda.lab.runner import Laboratory, LabProgress
from tiny_models import load, logits

pytest.importorskip("matplotlib")
TEXT = "Once upon a time there was a little fox. The fox looked at the moon, and the moon looked back. " * 60


def toml(value: Any) -> str:
    """A value as TOML has it: tables in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in raw().items()), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["lab", *map(str, arguments)])
    return result.exit_code, result.output


def test_a_recipe_is_run_and_reported(recipe: Path, tmp_path: Path) -> None:
    code, output = run(recipe, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 0
    assert "small: 8 runs (4 arms, 2 seeds), 0 of them done" in output
    assert output.count("accuracy") + output.count("diverged") == 8
    assert (tmp_path / "out" / "report.html").is_file()
    code, output = run("run", recipe, "--out", tmp_path / "out")
    assert code == 0
    assert "8 of them done" in output


def test_a_report_of_what_has_ended_trains_nothing(recipe: Path, tmp_path: Path) -> None:
    code, _ = run(recipe, "--out", tmp_path / "out", "--as-it-is")
    assert code == 0
    assert "0 of 8 runs have ended" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "runs").exists()


def test_ctrl_c_saves_and_the_same_command_goes_on(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Laboratory.run

    def interrupted(self: Laboratory, should_stop: Callable[[], bool]) -> Iterator[LabProgress]:
        for progress in whole(self, should_stop):
            if progress.run == 2 and progress.step is not None and progress.step.step == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield progress

    monkeypatch.setattr(Laboratory, "run", interrupted)
    code, output = run(recipe, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 130
    assert "Ctrl-C" in output
    assert len(list(tmp_path.glob("out/runs/*/result.json"))) == 1
    assert len(list(tmp_path.glob("out/runs/*/step-*"))) == 1, "the second run is saved as far as it came"
    monkeypatch.setattr(Laboratory, "run", whole)
    code, output = run(recipe, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 0
    assert "1 of them done" in output
    assert len(list(tmp_path.glob("out/runs/*/result.json"))) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenghts"], "lengths"),
        (["absent.toml"], "absent.toml"),
        (["positions", "absent", "absent.txt"], "absent.txt does not exist"),
    ],
)
def test_mistakes_are_the_callers(arguments: list[str], message: str) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert message in output


def test_perplexity_by_position_is_that_of_the_kind_of_rope(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    drawn = tmp_path / "positions.png"
    code, output = run("positions", checkpoint(), text, "--factor", "2", "--windows", "1", "--out", drawn)
    assert code == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    found = {each.kind: each for each in perplexity_by_position(checkpoint(), TEXT.strip(), factor=2, windows=1)}
    within, beyond = found["default"].perplexities[:8], found["default"].perplexities[8:]
    assert len(beyond) == 8
    assert found["default"].starts[8] == 320
    assert all(f"{each.perplexities[0]:.1f}" in output for each in found.values())
    assert found["dynamic"].perplexities[:8] == pytest.approx(within, rel=1e-5), "up to its length it is plain"
    assert found["dynamic"].perplexities[8:] != pytest.approx(beyond, rel=1e-5)
    assert found["linear"].perplexities[:8] != pytest.approx(within, rel=1e-5)
    assert within[0] == pytest.approx(expected(checkpoint(), 40), rel=1e-4)


def expected(directory: Path, count: int) -> float:
    """Perplexity of the first tokens, by another way through the network."""
    from pagoda.models.tokenizer.tokenizer import Tokenizer

    ids = Tokenizer.from_directory(directory).encode(TEXT.strip())[: count + 1]
    rows = logits(load(directory), ids[:-1]).log_softmax(-1)
    return float((-rows[torch.arange(count), torch.tensor(ids[1:])].mean()).exp())
