"""Experiments: seeds are paired, a kill costs nothing that was saved, figures of a page are those of the results."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from lab_recipes import made, raw
from pagoda.errors import CheckpointError
from pagoda.lab.analysis import compare
from pagoda.lab.claims import Experiment
from pagoda.lab.recipe import LabRecipe
from pagoda.lab.report import comparison_rows, write_report
from pagoda.lab.runner import Laboratory
from pagoda.train.trainer import Trainer

TEXT = "The old man said that the river was deep, but the children went to the river. "


def run_all(laboratory: Laboratory) -> dict[str, Any]:
    for _ in laboratory.run():
        pass
    return laboratory.results()


def lengthy(**lab: Any) -> LabRecipe:
    """One rate, six steps: enough to stop in the midst of."""
    settings = {"compare": "norm", "against": "rms_norm", "metric": "accuracy", "seeds": [0, 1]} | lab
    train = {"tokens": 32 * 6, "precision": "fp32", "warmup_steps": 1, "save_every": 100, "learning_rate": 1e-3}
    axes = {"norm": raw()["axes"]["norm"]}
    return made(lab=settings, train=train, axes=axes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_all(Laboratory(lengthy(), folder, "cpu"))


def without_time(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in run.items() if key != "seconds"} for run in results["runs"]]


def test_a_result_tells_what_was_seen(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, results = finished
    assert [(run["arm"]["norm"], run["seed"]) for run in results["runs"]] == [
        ("rms_norm", 0),
        ("none", 0),
        ("rms_norm", 1),
        ("none", 1),
    ]
    first = results["runs"][0]
    assert len(first["losses"]) == len(first["gradient_norms"]) == first["steps"] == 6
    assert len(first["activation_rms"]) == 2
    assert list(first["accuracy_by_length"]) == ["1", "2", "3", "4", "5", "8"]
    beyond = [first["accuracy_by_length"][length] for length in ("5", "8")]
    assert first["metrics"]["accuracy"] == pytest.approx(sum(beyond) / 2)
    assert not list(folder.glob("runs/*/step-*")), "checkpoints of runs that have ended are gone"


def test_one_seed_gives_all_arms_the_same_data_and_first_weights(tmp_path: Path) -> None:
    laboratory = Laboratory(lengthy(), tmp_path, "cpu")
    trainers = {(run.arm["norm"], run.seed): laboratory._trainer(run)[0] for run in laboratory.runs}
    for step in range(6):
        batches = {key: trainer.curriculum.batch(step) for key, trainer in trainers.items()}
        assert np.array_equal(batches["rms_norm", 0].input_ids, batches["none", 0].input_ids)
        assert np.array_equal(batches["rms_norm", 0].targets, batches["none", 0].targets)
    batches = [
        np.concatenate([trainers["none", seed].curriculum.batch(step).input_ids.ravel() for step in range(6)])
        for seed in (0, 1)
    ]
    assert not np.array_equal(*batches), "seeds differ"
    ours, theirs = (dict(trainers[norm, 0].model.named_parameters()) for norm in ("rms_norm", "none"))
    assert theirs.keys() < ours.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_texts_are_paired_as_well(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n<|endoftext|>\n".join([TEXT * 3] * 20), encoding="utf-8")
    changes = {
        "lab": {"compare": "norm", "against": "rms_norm", "seeds": [3]},
        "tokenizer": {"vocab_size": 260},
        "sources": [{"path": "text.txt"}],
        "train": {
            "tokens": 64, "tokens_per_step": 32, "micro_batch_tokens": 32, "length_schedule": [[0.0, 16]],
            "held_back": 5, "precision": "fp32",
        },
    }  # fmt: skip
    whole = raw(**changes)
    del whole["task"]
    laboratory = Laboratory(LabRecipe.from_dict(whole, "text", (tmp_path,)), tmp_path / "out", "cpu")
    one, other = (laboratory._trainer(run)[0].curriculum for run in (laboratory.runs[0], laboratory.runs[-1]))
    assert all(np.array_equal(one.batch(step).input_ids, other.batch(step).input_ids) for step in range(2))
    results = run_all(laboratory)
    assert len(results["runs"]) == 4
    assert all(run["metrics"]["loss"] > 0 for run in results["runs"] if not run["has_diverged"])


def test_what_was_stopped_goes_on_to_the_same_figures(tmp_path: Path, finished: tuple[Path, dict[str, Any]]) -> None:
    laboratory = Laboratory(lengthy(), tmp_path, "cpu")
    seen = []
    for progress in laboratory.run(lambda: len(seen) >= 8):  # in the midst of the second run
        seen.append(progress)
    assert len(laboratory.results()["runs"]) == 1
    untouched = tmp_path / "runs" / "000-seed-0" / "result.json"
    before = untouched.stat().st_mtime_ns
    again = Laboratory(lengthy(), tmp_path, "cpu")
    steps = [progress.step.step for progress in again.run() if progress.step is not None]
    assert steps[0] > 1, "the run that was stopped begins where it was"
    assert len(steps) == 24 - sum(progress.step is not None for progress in seen), "no step is done twice"
    assert untouched.stat().st_mtime_ns == before
    assert without_time(again.results()) == without_time(finished[1])


def test_a_kill_between_two_runs_loses_nothing(tmp_path: Path, finished: tuple[Path, dict[str, Any]]) -> None:
    for progress in Laboratory(lengthy(), tmp_path, "cpu").run():
        if progress.ended is not None:
            break  # the process is gone; nobody told it to save
    again = Laboratory(lengthy(), tmp_path, "cpu")
    assert len(again.results()["runs"]) == 1
    ended = [progress for progress in again.run() if progress.ended is not None]
    assert len(ended) == 3
    assert without_time(again.results()) == without_time(finished[1])


def test_a_run_that_another_process_has_is_left_to_it(tmp_path: Path) -> None:
    laboratory = Laboratory(lengthy(seeds=[0]), tmp_path, "cpu")
    (laboratory.runs[0].folder).mkdir(parents=True)
    with FileLock(laboratory.runs[0].folder / ".lock"):
        assert [run["arm"]["norm"] for run in run_all(laboratory)["runs"]] == ["none"]
    assert len(run_all(laboratory)["runs"]) == 2


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    Laboratory(lengthy(), tmp_path, "cpu")
    with pytest.raises(CheckpointError, match="another recipe"):
        Laboratory(lengthy(seeds=[4]), tmp_path, "cpu")


def test_a_folder_of_another_text_is_refused(tmp_path: Path) -> None:
    whole = raw(
        lab={"compare": "norm", "against": "rms_norm", "seeds": [3]}, sources=[{"path": "text.txt"}], train={}
    )  # fmt: skip
    del whole["task"]
    text = tmp_path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    Laboratory(LabRecipe.from_dict(whole, "text", (tmp_path,)), tmp_path / "out", "cpu")
    Laboratory(LabRecipe.from_dict(whole, "text", (tmp_path,)), tmp_path / "out", "cpu")
    text.write_text(TEXT + "x", encoding="utf-8")
    with pytest.raises(CheckpointError, match="other texts"):
        Laboratory(LabRecipe.from_dict(whole, "text", (tmp_path,)), tmp_path / "out", "cpu")


def test_a_held_back_loss_that_is_no_number_is_told_as_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "evaluate", lambda _: {"task": float("nan")})
    results = run_all(Laboratory(lengthy(seeds=[0]), tmp_path, "cpu"))
    assert [(run["has_diverged"], run["metrics"]) for run in results["runs"]] == [(True, {})] * 2


def test_a_budget_of_seconds_ends_a_run_before_its_tokens(tmp_path: Path) -> None:
    results = run_all(Laboratory(lengthy(seconds=1e-9, seeds=[0]), tmp_path, "cpu"))
    assert [run["steps"] for run in results["runs"]] == [1, 1]


def test_a_rate_that_is_too_high_is_told_as_such_and_the_rest_goes_on(tmp_path: Path) -> None:
    axes = {"norm": raw()["axes"]["norm"], "rate": {"sound": {}, "wild": {"train": {"learning_rate": 1e30}}}}
    train = {"tokens": 32 * 6, "precision": "fp32", "warmup_steps": 1, "gradient_clip": 1e30, "save_every": 100}
    lab = {"compare": "norm", "against": "rms_norm", "metric": "accuracy", "best_of": "rate", "seeds": [0]}
    recipe = made(lab=lab, train=train, axes=axes)
    results = run_all(Laboratory(recipe, tmp_path, "cpu"))
    assert [run["has_diverged"] for run in results["runs"] if run["arm"]["rate"] == "wild"] == [True, True]
    assert [each.best for each in compare(recipe, results["runs"])] == ["sound", "sound"]


def test_figures_of_the_page_are_those_of_the_results(finished: tuple[Path, dict[str, Any]]) -> None:
    pytest.importorskip("matplotlib")
    folder, results = finished
    page = write_report(lengthy(), results, folder).read_text(encoding="utf-8")
    stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", line) for line in page.splitlines() if line.startswith("<tr>")]
    assert cells == comparison_rows(lengthy(), compare(lengthy(), stored["runs"]))
    accuracies = [run["metrics"]["accuracy"] for run in stored["runs"] if run["arm"]["norm"] == "none"]
    (row,) = (row for row in cells if row[0] == "none")
    assert row[1].startswith(f"{sum(accuracies) / 2:.3f} ± ")
    pictures = [base64.b64decode(picture) for picture in re.findall(r"base64,([^\"]+)", page)]
    assert pictures == [
        (folder / name).read_bytes() for name in ("loss.png", "gradients.png", "activations.png", "lengths.png")
    ]
    assert "http" not in re.sub(r"base64,[^\"]+", "", page), "the page needs nothing beside it"


def test_an_experiment_is_read_back_from_its_results(finished: tuple[Path, dict[str, Any]]) -> None:
    experiment = Experiment.of(json.loads(json.dumps(finished[1])))
    difference = experiment.difference("none")
    by_arm = {(run["arm"]["norm"], run["seed"]): run["metrics"]["accuracy"] for run in finished[1]["runs"]}
    expected = sum(by_arm["none", seed] - by_arm["rms_norm", seed] for seed in (0, 1)) / 2
    assert difference is not None
    assert difference.mean == pytest.approx(expected)
