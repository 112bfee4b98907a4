"""Verdicts follow from figures: made-up results in, other verdicts out; and the whole command, in miniature."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pagoda.cli.app import app
from pagoda.errors import ConfigError
from pagoda.lab import recipe as recipes
from pagoda.lab.claims import CLAIMS, OPEN, RIGHT, WRONG, Experiment, Finding, recipes_of
from pagoda.lab.claims_page import UNMEASURED, write_claims
from pagoda.lab.kept import keep, kept
from pagoda.lab.norm_time import _median, _norm_pairs
from pagoda.lab.recipe import Arm, LabRecipe
from pagoda.lab.shifts import shift_rows

Metric = Callable[[Arm, int], dict[str, float] | None]
NOISE = (0.001, -0.002, 0.0)
"""By seed: of the difference of an arm from the others."""


def results(name: str, metric: Metric, **more: Any) -> dict[str, Any]:
    """As `results.json` has them; None for a run is one that diverged."""
    recipe = LabRecipe.open(name)
    runs = [
        {
            "arm": arm, "seed": seed, "has_diverged": metric(arm, seed) is None, "metrics": metric(arm, seed) or {},
            "losses": [1.0], "gradient_norms": [1.0],
        }
        for seed in (0, 1, 2) for arm in recipe.arms()
    ]  # fmt: skip
    return {"recipe": name, "raw": recipe.raw, "num_runs": len(runs), "runs": runs, **more}


def judged(said: str, found: dict[str, Any]) -> Finding:
    (claim,) = (claim for claim in CLAIMS if said in claim.said)
    return claim.judge(Experiment.of(found))


def losses(**shifts: float) -> Metric:
    """Seeds differ by far more than norms do: pairing has to take that out."""
    return lambda arm, seed: {
        "loss": 2.0 + 0.5 * seed + shifts.get(arm["norm"], 0.0) + NOISE[seed] * (arm["norm"] != "rms_norm")
    }


@pytest.mark.parametrize(
    ("shifts", "verdict"),
    [({"layer_norm": 0.002}, RIGHT), ({"layer_norm": 0.5}, f"{RIGHT}, it is better"), ({"layer_norm": -0.5}, WRONG)],
)
def test_as_good_means_within_one_percent(shifts: dict[str, float], verdict: str) -> None:
    assert judged("as good as LayerNorm", results("norms", losses(**shifts))).verdict == verdict


def test_one_seed_settles_nothing() -> None:
    found = results("norms", losses())
    found["runs"] = [run for run in found["runs"] if run["seed"] == 0]
    assert judged("as good as LayerNorm", found).verdict == OPEN
    assert judged("Adjusting the norm", found).verdict == OPEN


def test_two_ways_to_adjust_a_norm_have_a_verdict_each() -> None:
    both = judged("Adjusting", results("norms", losses(rms_norm_adaptive=-0.1, rms_norm_scheduled=-0.1)))
    assert both.verdict == RIGHT
    one = judged("Adjusting", results("norms", losses(rms_norm_adaptive=-0.1, rms_norm_scheduled=0.1)))
    assert one.verdict == f"rms_norm_adaptive: {RIGHT}; rms_norm_scheduled: {WRONG}"
    assert "-0.1003 ± " in one.figure


def rated(best: dict[str, str]) -> Metric:
    """A loss of 1 at an optimiser's best rate, 2 elsewhere."""
    return lambda arm, seed: {
        "loss": 1.0 + NOISE[seed] + (arm["rate"] != best[arm["optimizer"]]) + (arm["optimizer"] == "sgd")
    }


def test_optimisers_are_compared_each_at_its_own_rate() -> None:
    finding = judged("RMSProp suits", results("optimisers", rated({"adamw": "3e-3", "rmsprop": "1e-3", "sgd": "3e-1"})))
    assert {row[0]: row[1] for row in finding.table[1:]} == {"adamw": "3e-3", "rmsprop": "1e-3", "sgd": "3e-1"}
    assert finding.verdict == f"rmsprop: {OPEN}; sgd: {WRONG}", "equal losses, and losses that are 1 apart"


def up_to(**rates: float) -> Metric:
    return lambda arm, _: {"loss": 1.0} if float(arm["rate"]) <= rates[arm["norm"]] else None


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        ({"rms_norm": 0.3, "layer_norm": 0.3, "none": 0.01}, RIGHT),
        ({"rms_norm": 0.1, "layer_norm": 0.3, "none": 0.01}, WRONG),
        ({"rms_norm": 0.3, "layer_norm": 0.3, "none": 0.3}, "not settled: all reach the same rate"),
    ],
)
def test_stable_means_as_high_a_rate_as_layer_norm(rates: dict[str, float], verdict: str) -> None:
    finding = judged("stable", results("stability", up_to(**rates)))
    assert finding.verdict == verdict
    assert f"{rates['rms_norm']:g} (loss 1.00) with RMSNorm" in finding.figure


def test_stability_is_not_settled_before_all_runs_have_ended() -> None:
    found = results("stability", up_to(rms_norm=0.3, layer_norm=0.3, none=0.01))
    found["runs"] = [run for run in found["runs"] if run["arm"] != {"norm": "layer_norm", "rate": "3e-2"}]
    assert judged("stable", found).verdict == f"{OPEN}: 51 of 54 runs have ended"
    assert judged("stable", found).table[2][3] == "not run"


def test_a_loss_that_is_no_number_is_a_run_that_diverged() -> None:
    found = results("stability", lambda arm, _: {"loss": float("nan") if arm["rate"] == "1.0" else 1.0})
    assert "up to a rate of 0.3 (loss 1.00) with RMSNorm" in judged("stable", found).figure
    assert judged("stable", found).table[1][-1] == "3 of 3"
    never_best = results("optimisers", lambda arm, _: {"loss": float("nan") if arm["rate"] == "1e-3" else 1.0})
    assert {row[1] for row in judged("RMSProp suits", never_best).table[1:]} == {"3e-3"}


def but_lost(metric: Metric, **lost: int) -> Metric:
    """The same, but runs of some choices diverge: those of seeds below the number."""
    return lambda arm, seed: None if any(seed < lost.get(choice, 0) for choice in arm.values()) else metric(arm, seed)


def test_a_choice_that_diverges_more_often_is_wrong_however_good_its_other_runs() -> None:
    better = losses(rms_norm_adaptive=-0.1, rms_norm_scheduled=-0.1, rms_norm=-0.1)
    adjusted = judged("Adjusting", results("norms", but_lost(better, rms_norm_scheduled=1)))
    assert adjusted.verdict == f"rms_norm_adaptive: {OPEN}; rms_norm_scheduled: {WRONG}, diverged in 1 run"
    every = judged("Adjusting", results("norms", but_lost(better, rms_norm_adaptive=3)))
    assert every.verdict.startswith(f"rms_norm_adaptive: {WRONG}, diverged in 3 runs; rms_norm_scheduled: {OPEN}")
    good = judged("as good as LayerNorm", results("norms", but_lost(better, rms_norm=2, layer_norm=1)))
    assert good.verdict == f"{WRONG}, diverged in 2 runs (against 1)"
    helped = accurate(ordinary=50.0, random_integers=80.0, random_floats=75.0)
    lost = results("lengths", but_lost(helped, random_integers=1, random_floats=1))
    assert judged("at random", lost).verdict == WRONG


def test_a_choice_without_a_difference_is_open_and_the_others_keep_their_verdicts() -> None:
    found = results("norms", losses(rms_norm_scheduled=0.1))
    found["runs"] = [run for run in found["runs"] if run["arm"]["norm"] != "rms_norm_adaptive"]
    assert judged("Adjusting", found).verdict == f"rms_norm_adaptive: {OPEN}; rms_norm_scheduled: {WRONG}"


def accurate(**beyond: float) -> Metric:
    return lambda arm, seed: {
        "accuracy": beyond[arm["positions"]] + seed, "accuracy_within": 99.0 + 0.1 * seed,
    }  # fmt: skip


def test_length_claims_follow_accuracy_beyond_training() -> None:
    helped = results("lengths", accurate(ordinary=50.0, random_integers=80.0, random_floats=75.0))
    assert judged("beyond the length", helped).verdict == WRONG
    assert judged("at random", helped).verdict == RIGHT
    assert "random_integers 30.0 ± 0.0 points" in judged("at random", helped).figure
    equal = results("lengths", accurate(ordinary=98.8, random_integers=98.8, random_floats=90.0))
    assert judged("beyond the length", equal).verdict != WRONG
    assert judged("at random", equal).verdict != RIGHT


@pytest.mark.parametrize(
    ("beyond", "verdict"),
    [
        ({"ordinary": 50.0, "random_integers": 40.0, "random_floats": 30.0}, WRONG),
        ({"ordinary": 50.0, "random_integers": 40.0, "random_floats": 50.0}, OPEN),
        ({"ordinary": 50.0, "random_integers": 40.0, "random_floats": 53.0}, f"{RIGHT}, by less than 10 points"),
    ],
)
def test_random_positions_are_wrong_only_where_every_scheme_harms(beyond: dict[str, float], verdict: str) -> None:
    assert judged("at random", results("lengths", accurate(**beyond))).verdict == verdict


def test_one_scheme_that_harms_says_nothing_of_another_that_is_not_settled() -> None:
    def metric(arm: Arm, seed: int) -> dict[str, float]:
        beyond = {"ordinary": 50.0, "random_integers": 40.0, "random_floats": 49.0 + 20_000 * NOISE[seed]}
        return {"accuracy": beyond[arm["positions"]], "accuracy_within": 99.0}

    assert judged("at random", results("lengths", metric)).verdict == OPEN


def test_a_claim_without_a_run_is_not_measured(tmp_path: Path) -> None:
    found = {name: results(name, lambda *_: None) | {"runs": []} for name in recipes_of(CLAIMS)}
    page = write_claims(found, tmp_path / "claims.md", quick=False).read_text(encoding="utf-8")
    assert f"| Positions drawn at random in training help at length. |  | {UNMEASURED} |" in page
    assert "Recipe: `lengths`, 0 of 36 runs." in " ".join(page.split("\n"))


def test_a_page_keeps_what_it_said_of_an_experiment_that_has_no_run_here(tmp_path: Path) -> None:
    page = tmp_path / "claims.md"
    none = {name: results(name, lambda *_: None) | {"runs": []} for name in recipes_of(CLAIMS)}
    before = write_claims(none | {"norms": results("norms", losses())}, page, quick=False).read_text(encoding="utf-8")
    after = write_claims(none, page, quick=False).read_text(encoding="utf-8")
    assert "As they stood on this page before: claims of `norms`." in " ".join(after.split("\n"))
    of_norms = [claim for claim in CLAIMS if claim.recipe == "norms"]
    for claim in of_norms:
        sections = [page.split(f"\n## {claim.said}\n")[1].split("\n## ")[0].strip() for page in (before, after)]
        rows = [
            [line for line in page.splitlines() if line.startswith(f"| {claim.said} |")] for page in (before, after)
        ]
        assert sections[0] == sections[1]
        assert rows[0] == rows[1] != []
    assert write_claims(none, page, quick=False).read_text(encoding="utf-8") == after, "and so again"
    worse = write_claims(none | {"norms": results("norms", losses(rms_norm=0.4))}, page, quick=False)
    assert "As they stood" not in worse.read_text(encoding="utf-8"), "what is measured takes its place"


@pytest.mark.parametrize(("lost", "verdict"), [(2.0, WRONG), (0.0, RIGHT)])
def test_what_is_lost_beyond_the_lengths_of_training_is_taken_run_by_run(lost: float, verdict: str) -> None:
    def metric(_: Arm, seed: int) -> dict[str, float]:
        return {"accuracy": 60.0 + 15 * seed - lost + 100 * NOISE[seed], "accuracy_within": 60.0 + 15 * seed}

    assert judged("beyond the length", results("lengths", metric)).verdict == verdict, "seeds are 15 points apart"


def timed(ratio: float, step: float) -> dict[str, Any]:
    rows = [
        {"width": 256, "what": what, "ratio": at, "low": at - 0.01, "high": at + 0.01}
        for what, at in (
            ("norm, forward, single operations", ratio),
            ("norm, forward and backward, as torch has them", 1.9),
            ("whole step of training, single operations", step),
        )
    ]
    rows[2] |= {"share": 0.12, "share_low": 0.1, "share_high": 0.14}
    return {"recipe": "norm-time", "raw": LabRecipe.open("norm-time").raw, "num_runs": 0, "runs": [], "timing": rows}


def test_time_claims_tell_the_norm_from_the_step() -> None:
    found = timed(0.7, 0.95)
    assert judged("the work of LayerNorm", found).verdict == RIGHT
    assert judged("% of training", found).verdict == WRONG
    assert judged("% of training", found).figure == "5.0 to 5.0 % saved; of the step, LayerNorm is 12.0 % at width 256"
    assert judged("functions that torch ships", found).verdict == WRONG
    assert judged("the work of LayerNorm", timed(0.9, 0.95)).verdict == WRONG


def test_saving_more_than_is_said_is_told_as_such() -> None:
    assert judged("the work of LayerNorm", timed(0.6, 0.95)).verdict == f"{RIGHT}, and more"


def test_every_row_that_is_measured_belongs_to_a_claim() -> None:
    measured = list(_norm_pairs(64, 2))
    rows = [{"width": 64, "what": what, "ratio": 0.7, "low": 0.69, "high": 0.71} for what in measured]
    found = timed(0.7, 0.95) | {"timing": rows}
    shown = [row[1] for said in ("the work of LayerNorm", "torch ships") for row in judged(said, found).table[1:]]
    assert sorted(shown) == sorted(measured)


@pytest.mark.parametrize(
    ("moved", "verdict"),
    [
        ({"fp32": 0.0, "whole numbers": 1e-6, "fp32, layer alone": 9e-6}, RIGHT),
        ({"fp32": 1.0, "whole numbers": 2.0}, WRONG),
        ({"fp32": 0.0, "whole numbers": 2.0}, f"{WRONG} for whole numbers shifted by 7; {RIGHT} for the others"),
        (
            {"fp32": 0.0, "fp32, layer alone": 3.0},
            f"{WRONG} for fp32, layer alone shifted by 7; {RIGHT} for the others",
        ),
    ],
)
def test_the_figure_of_shifted_positions_is_the_worst_and_the_verdict_names_it(
    moved: dict[str, float], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"what": what, "shift": 7, "moved": value} for what, value in moved.items()]
    monkeypatch.setattr("pagoda.lab.claims.shift_rows", lambda: rows)
    (claim,) = (claim for claim in CLAIMS if "relative positions" in claim.said)
    finding = claim.judge(None)
    assert finding.verdict == verdict
    assert f"{max(moved.values()):.1e} at most" in finding.figure


def test_a_median_has_an_interval_of_its_order_statistics() -> None:
    assert _median([float(i) for i in range(101)]) == {"ratio": 50.0, "low": 40.0, "high": 60.0}
    assert _median([3.0, 1.0]) == {"ratio": 2.0, "low": 1.0, "high": 3.0}


def test_neither_logits_nor_products_see_where_positions_begin() -> None:
    moved = {(row["what"], row["shift"]): row["moved"] for row in shift_rows()}
    assert max(moved.values()) < 1e-5
    assert min(value for (what, _), value in moved.items() if what.endswith("layer alone")) > 0, "something is computed"


def test_results_are_kept_when_they_are_whole_and_read_under_the_same_recipe_alone(tmp_path: Path) -> None:
    recipe, path = LabRecipe.open("norms"), tmp_path / "norms.jsonl"
    found = results("norms", losses())
    assert not keep(recipe, found | {"num_runs": len(found["runs"]) + 1}, path)
    assert kept(recipe, path) is None
    assert keep(recipe, found, path)
    read = kept(recipe, path)
    assert read is not None
    assert read["measured"]["on"].startswith("20")
    assert judged("as good as LayerNorm", read) == judged("as good as LayerNorm", found)
    assert kept(LabRecipe.open("norms", quick=True), path) is None, "another recipe"
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"norms\.jsonl holds no results of `pagoda lab claims --results`"):
        kept(recipe, path)


SMALL = {
    "lab": {"seeds": [0]},
    "model": {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8,
    },
}  # fmt: skip
ONE_STEP = {
    "lengths": {
        "task": {"sequences": 2, "longest": 4, "test_to": 6, "lengths": 2, "strings": 4},
        "train": {"tokens": 16, "position_range": 16},
    },
    "norm-time": {"timing": {"widths": [64], "rows": 128, "rounds": 6, "step_rounds": 6}},
}
OF_TEXT = {
    "train": {
        "tokens": 64, "tokens_per_step": 64, "micro_batch_tokens": 64, "length_schedule": [[0.0, 32]],
        "eval_tokens": 64,
    },
}  # fmt: skip


def test_the_command_runs_every_experiment_and_writes_every_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(recipes.LabRecipe, "open", miniature(recipes.LabRecipe.open))
    page = tmp_path / "claims.md"
    arguments = ["lab", "claims", "--quick", "--out", str(tmp_path / "runs"), "--page", str(page), "--device", "cpu"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    told = page.read_text(encoding="utf-8")
    assert told.count("\n## ") == len(CLAIMS)
    assert all(f"## {claim.said}\n" in told for claim in CLAIMS)
    assert "`lengths` 12 of 12" in told
    assert all((tmp_path / "runs" / f"{name}-quick" / "report.html").is_file() for name in recipes_of(CLAIMS))
    keeping = ["--results", str(tmp_path / "kept")]
    again = CliRunner().invoke(app, [*arguments, *keeping])
    assert again.exit_code == 0
    assert "run 1/" not in again.output, "what was done is not done again"
    shutil.rmtree(tmp_path / "runs")
    elsewhere = CliRunner().invoke(app, [*arguments, *keeping])
    assert elsewhere.exit_code == 0
    assert page.read_text(encoding="utf-8") == told, "what was kept tells the same"
    assert not (tmp_path / "runs").exists(), "and nothing is run for it"


def miniature(opened: Callable[..., LabRecipe]) -> classmethod:  # type: ignore[type-arg]
    """Recipes of one step, of two rates."""

    def open_small(cls: type[LabRecipe], name: str, **options: Any) -> LabRecipe:
        whole = opened(name, **options)
        changes = ONE_STEP.get(name, OF_TEXT)
        raw = recipes._merged(whole.raw, changes | (SMALL if whole.axes else {}))
        if "rate" in raw.get("axes", {}):
            raw["axes"]["rate"] = dict(list(raw["axes"]["rate"].items())[:2])
        return cls.from_dict(raw, name, whole.bases)

    return classmethod(open_small)
