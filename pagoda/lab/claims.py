"""What is said of RMSNorm, RoPE and RMSProp, each held against an experiment.

Off the path of training: reads results alone. A verdict follows from figures by a rule that stands in the claim's
protocol; none is written down here. Where an experiment is too small to tell, that is the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.lab.analysis import Estimate, compare, estimate, failed, failures, overall, sound
from pagoda.lab.recipe import LabRecipe
from pagoda.lab.report import comparison_rows, timing_rows
from pagoda.lab.shifts import shift_rows

RIGHT, WRONG, OPEN = "right", "wrong", "not settled by so few runs"
_MARGIN = 0.01
"""A norm is as good as another where its loss is higher by less than this part of it."""
_CLAIMED_PERCENT, _CLAIMED_MOST = 20.0, 30.0
"""What RMSNorm is said to save, at the least and at the most."""
_MORE = f"{RIGHT}, and more"
_WITH = {"rms_norm": "with RMSNorm", "layer_norm": "with LayerNorm", "none": "without a norm"}
_MOVED = 1e-5
"""By how much a logit may move that depends on distances alone."""
_POINTS = 10.0
"""Percentage points of accuracy that the length claims are about."""
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Experiment:
    """One recipe and its results."""

    recipe: LabRecipe
    results: Mapping[str, Any]

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Experiment:
        """With the recipe as it was run."""
        return cls(LabRecipe.from_dict(dict(results["raw"]), results["recipe"], ()), results)

    def difference(self, choice: str) -> Estimate | None:
        """Of the choice from the one that all are held against."""
        return overall(self.recipe, self.results["runs"], choice)

    def failures(self, choice: str, against: str) -> tuple[int, int]:
        """Runs of either choice that diverged, of those that both have."""
        return failures(self.recipe, self.results["runs"], choice, against)

    def mean(self, choice: str, metric: str, less: str = "") -> Estimate | None:
        """Of a choice over all panels, seed by seed; None where no seed has all of them.

        less: a metric of the same run that is taken off
        """
        comparisons = compare(self.recipe, self.results["runs"])
        panels = {each.panel for each in comparisons}
        by_seed: dict[int, list[float]] = {}
        for each in comparisons:
            if each.choice == choice:
                for run in sound(each.runs, metric):
                    taken_off = run["metrics"][less] if less else 0.0
                    by_seed.setdefault(run["seed"], []).append(run["metrics"][metric] - taken_off)
        whole = [sum(values) / len(values) for values in by_seed.values() if len(values) == len(panels)]
        return estimate(whole) if whole else None

    @property
    def table(self) -> Rows:
        """The report's."""
        return comparison_rows(self.recipe, compare(self.recipe, self.results["runs"]))


@dataclass(frozen=True)
class Finding:
    """What came of a claim: the figure with its interval, the verdict, and the table behind them."""

    figure: str
    verdict: str
    table: Rows


@dataclass(frozen=True)
class Claim:
    """One thing that is said, and how it is tried.

    recipe: name of the shipped recipe; "" where nothing is trained or timed
    """

    said: str
    recipe: str
    protocol: str
    judge: Callable[[Experiment | None], Finding]


def recipes_of(claims: Sequence[Claim]) -> list[str]:
    """The experiments that the claims need, each once."""
    return list(dict.fromkeys(claim.recipe for claim in claims if claim.recipe))


def _norm_time(experiment: Experiment | None) -> Finding:
    return _saved(experiment, lambda what: what.startswith("norm,") and "as torch has them" not in what)


def _torch_time(experiment: Experiment | None) -> Finding:
    return _saved(experiment, lambda what: what.startswith("norm,") and "as torch has them" in what)


def _step_time(experiment: Experiment | None) -> Finding:
    return _saved(experiment, lambda what: what.startswith("whole step"))


def _saved(experiment: Experiment | None, is_meant: Callable[[str], bool]) -> Finding:
    """Whether 20 to 30 % are saved in every row that is meant, or more, in some, or in none."""
    assert experiment is not None
    rows = [row for row in experiment.results.get("timing", ()) if is_meant(row["what"])]
    if not rows:
        return Finding("", OPEN, [])
    saved = [100 * (1 - row["ratio"]) for row in rows]
    figure = f"{min(saved):.1f} to {max(saved):.1f} % saved"
    verdicts: dict[str, dict[str, list[str]]] = {WRONG: {}, OPEN: {}, RIGHT: {}, _MORE: {}}
    for row in rows:
        verdicts[_of_saving(row)].setdefault(row["what"].split(", ", 1)[-1], []).append(str(row["width"]))
    parts = {
        verdict: "; ".join(f"{what} (width {', '.join(widths)})" for what, widths in where.items())
        for verdict, where in verdicts.items()
        if where
    }
    told = "; ".join(f"{verdict}: {where}" for verdict, where in reversed(parts.items()))
    overall_verdict = told if len(parts) > 1 else next(iter(parts))
    shares = [f"{100 * row['share']:.1f} % at width {row['width']}" for row in rows if "share" in row]
    if shares:
        figure += f"; of the step, LayerNorm is {', '.join(shares)}"
    return Finding(figure, overall_verdict, timing_rows(rows))


def _of_saving(row: Mapping[str, Any]) -> str:
    """The verdict on one row, by where its interval lies."""
    at_least, at_most = 100 * (1 - row["high"]), 100 * (1 - row["low"])
    if at_most < _CLAIMED_PERCENT:
        return WRONG
    if at_least < _CLAIMED_PERCENT:
        return OPEN
    return _MORE if at_least > _CLAIMED_MOST else RIGHT


def _as_good(choice: str, against: str) -> Callable[[Experiment | None], Finding]:
    """Whether two norms reach the same loss, within the margin, and neither diverges where the other does not."""

    def judge(experiment: Experiment | None) -> Finding:
        assert experiment is not None
        difference, loss = _between(experiment, choice, against), experiment.mean(against, "loss")
        if difference is None or loss is None:
            return Finding("", _diverged(experiment, choice, against) or OPEN, experiment.table)
        margin = _MARGIN * loss.mean
        verdict = OPEN
        if difference.high < margin:
            verdict = RIGHT if difference.high >= 0 else f"{RIGHT}, it is better"
        elif difference.low > margin:
            verdict = WRONG
        figure = f"{choice} {difference.told(4)} nats a byte from {against}, which reaches {loss.told(3)}"
        return Finding(figure, _diverged(experiment, choice, against) or verdict, experiment.table)

    return judge


def _diverged(experiment: Experiment, choice: str, against: str) -> str:
    """The verdict on a choice that diverged more often than the other: figures are of those that survived. Or ""."""
    own, theirs = experiment.failures(choice, against)
    if own <= theirs:
        return ""
    return f"{WRONG}, diverged in {own} run{'s' * (own > 1)}" + f" (against {theirs})" * bool(theirs)


def _between(experiment: Experiment, choice: str, against: str) -> Estimate | None:
    """`choice` from `against`, either of which may be the recipe's own."""
    base = experiment.recipe.lab.against
    if against == base:
        return experiment.difference(choice)
    assert choice == base
    other = experiment.difference(against)
    return None if other is None else Estimate(-other.mean, other.half_width, other.count)


def _better(*choices: str, unit: str) -> Callable[[Experiment | None], Finding]:
    """Whether choices do better than the one they are held against."""

    def judge(experiment: Experiment | None) -> Finding:
        assert experiment is not None
        told, verdicts = [], {}
        for choice in choices:
            difference = experiment.difference(choice)
            if difference is not None:
                told.append(f"{choice} {difference.told(4)} {unit}")
            is_less = difference is not None and difference.high < 0
            is_more = difference is not None and difference.low > 0
            lost = _diverged(experiment, choice, experiment.recipe.lab.against)
            verdicts[choice] = lost or (RIGHT if is_less else WRONG if is_more else OPEN)
        listed = "; ".join(f"{choice}: {verdict}" for choice, verdict in verdicts.items())
        is_one = len(set(verdicts.values())) == 1
        return Finding("; ".join(told), verdicts[choices[0]] if is_one else listed, experiment.table)

    return judge


def _stable(experiment: Experiment | None) -> Finding:
    """The highest rate below which no run diverged."""
    assert experiment is not None
    recipe, runs = experiment.recipe, experiment.results["runs"]
    rates = list(recipe.axes[recipe.lab.best_of])
    reached, told = {}, []
    rows = [[recipe.lab.compare, *rates]]
    for norm in recipe.axes[recipe.lab.compare]:
        by_rate = {
            rate: [run for run in runs if run["arm"] == {recipe.lab.compare: norm, recipe.lab.best_of: rate}]
            for rate in rates
        }
        rows.append([norm, *(_outcome(own) for own in by_rate.values())])
        highest = _highest_sound(by_rate)
        reached[norm] = float(highest or 0)
        loss = f" (loss {_mean_loss(by_rate[highest]):.2f})" if highest else ""
        told.append(f"{reached[norm]:g}{loss} {_WITH[norm]}")
    rms, layer, none = (reached[norm] for norm in ("rms_norm", "layer_norm", "none"))
    verdict = RIGHT if rms >= layer and rms > none else WRONG
    if rms == layer == none:
        verdict = "not settled: all reach the same rate"
    if len(runs) < experiment.results["num_runs"]:
        verdict = f"{OPEN}: {len(runs)} of {experiment.results['num_runs']} runs have ended"
    return Finding(f"every run sound up to a rate of {', '.join(told)}", verdict, rows)


def _highest_sound(by_rate: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The last rate up to which runs have ended and none diverged; "" where the first does already."""
    highest = ""
    for rate, runs in by_rate.items():
        if not runs or any(failed(run) for run in runs):
            break
        highest = rate
    return highest


def _mean_loss(runs: Sequence[Mapping[str, Any]]) -> float:
    """Held back, of the runs that have one; NaN where none has."""
    losses = [run["metrics"]["loss"] for run in sound(runs, "loss")]
    return sum(losses) / len(losses) if losses else math.nan


def _outcome(runs: Sequence[Mapping[str, Any]]) -> str:
    """How many of some runs diverged, and the loss of the others."""
    if not runs:
        return "not run"
    counted, loss = f"{sum(failed(run) for run in runs)} of {len(runs)}", _mean_loss(runs)
    return counted if math.isnan(loss) else f"{counted}, loss {loss:.2f}"


def _goes_on(experiment: Experiment | None) -> Finding:
    """Whether plain RoPE is as right on longer strings as on those of training."""
    assert experiment is not None
    beyond, within = experiment.mean("ordinary", "accuracy"), experiment.mean("ordinary", "accuracy_within")
    lost = experiment.mean("ordinary", "accuracy_within", less="accuracy")
    if beyond is None or within is None or lost is None:
        return Finding("", OPEN, experiment.table)
    figure = (
        f"{within.told(1)} % within the lengths of training, {beyond.told(1)} % beyond; of a run, {lost.told(1)} "
        "points are lost"
    )
    verdict = WRONG if lost.low > 0 else RIGHT if lost.high < 1 else OPEN
    return Finding(figure, verdict, experiment.table)


def _random_helps(experiment: Experiment | None) -> Finding:
    """Right where one of the schemes helps, wrong where all of them harm."""
    assert experiment is not None
    told, verdicts, helped = [], [], []
    for choice in ("random_integers", "random_floats"):
        difference = experiment.difference(choice)
        within = overall(experiment.recipe, experiment.results["runs"], choice, "accuracy_within")
        is_lost = bool(_diverged(experiment, choice, experiment.recipe.lab.against))
        verdicts.append(WRONG if is_lost or (difference is not None and difference.high < 0) else OPEN)
        if difference is None or within is None:
            continue
        told.append(f"{choice} {difference.told(1)} points beyond and {within.told(1)} within")
        if difference.low > 0 and not is_lost:
            helped.append(difference.mean)
    verdict = WRONG if set(verdicts) == {WRONG} else OPEN
    if helped:
        verdict = RIGHT if max(helped) >= _POINTS else f"{RIGHT}, by less than {_POINTS:.0f} points"
    return Finding("; ".join(told), verdict, experiment.table)


def _relative(_: Experiment | None) -> Finding:
    """Right for all ways and shifts, wrong for all, or wrong for those that are named."""
    rows = shift_rows()
    largest = {
        thing: max((row["moved"] for row in rows if row["what"].endswith("alone") == is_alone), default=0.0)
        for thing, is_alone in (("logits", False), ("products of the layer alone", True))
    }
    figure = " and ".join(f"{thing} move by {moved:.1e} at most" for thing, moved in largest.items())
    figure += " where all positions are shifted alike"
    worst = [f"{row['what']} shifted by {row['shift']}" for row in rows if not row["moved"] <= _MOVED]
    verdict = RIGHT if not worst else WRONG
    if 0 < len(worst) < len(rows):
        verdict = f"{WRONG} for {', '.join(worst)}; {RIGHT} for the others"
    table = [["positions", "shifted by", "largest move of a logit or product"]]
    table += [[row["what"], f"{row['shift']}", f"{row['moved']:.1e}"] for row in rows]
    return Finding(figure, verdict, table)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "RMSNorm saves 20 to 30 % of the work of LayerNorm.",
        "norm-time",
        "Both written in the same single operations of torch, or both as one loop in C++ (ours; torch's): processor "
        "time on one thread, in turns, the fastest repeat of a round, median of the rounds' ratios. Right where "
        "all of the interval is at 20 % or more (and more, where it is above 30 %), wrong where it is below 20 %.",
        _norm_time,
    ),
    Claim(
        "The same, with the functions that torch ships.",
        "norm-time",
        "`F.rms_norm` against `F.layer_norm`: kernels of unequal quality on CPUs, as a benchmark in passing has them. "
        "Same rule.",
        _torch_time,
    ),
    Claim(
        "RMSNorm saves 20 to 30 % of training.",
        "norm-time",
        "A whole step of one decoder layer with its embedding, head and AdamW, norms in single operations. Same rule. "
        "The paper (arXiv 1910.07467) has 24.7 % for a recurrent network's step and 6.9 % for a Transformer's.",
        _step_time,
    ),
    Claim(
        "RMSNorm is as good as LayerNorm.",
        "norms",
        "Held-back loss of the same network with either, paired by seed. Right where the interval of the difference "
        "ends below 1 % of the loss, better where it ends below 0, wrong where it begins above 1 %, or where more runs "
        "diverged.",
        _as_good("rms_norm", "layer_norm"),
    ),
    Claim(
        "The root mean square of 6.25 % of a row is as good (pRMSNorm).",
        "norms",
        "The same.",
        _as_good("rms_norm_partial", "rms_norm"),
    ),
    Claim(
        "RMSNorm keeps training stable.",
        "stability",
        "The highest learning rate, constant after a warm-up of 10 steps, up to which no run of AdamW without "
        "clipping ends above its first loss. Right where RMSNorm reaches LayerNorm's rate, and a higher one than no "
        "norm. The table has the runs that diverged and the held-back loss of the others: guessing among 260 "
        "bytes costs 5.6, and a run that ends barely below its first loss has not failed, but has learned little.",
        _stable,
    ),
    Claim(
        "Adjusting the norm during training makes it better.",
        "norms",
        "A gain that follows the row's own size by a learned exponent, and one that follows the progress of training, "
        "against plain RMSNorm, paired by seed. Right where the interval of the difference is below 0, wrong where "
        "above, or where more runs diverged.",
        _better("rms_norm_adaptive", "rms_norm_scheduled", unit="nats a byte"),
    ),
    Claim(
        "RMSProp suits such a network better than AdamW.",
        "optimisers",
        "Each optimiser at its own best of the same rates, paired by seed; SGD with momentum beside them. The "
        "rate is chosen by the same runs that are reported. Decay is apart from the gradient in all, and is 0.1 times "
        "the rate a step. Right where the interval of the difference is below 0, wrong where above, or where more "
        "runs diverged.",
        _better("rmsprop", "sgd", unit="nats a byte"),
    ),
    Claim(
        "RoPE makes attention depend on relative positions alone.",
        "",
        "A random Llama of 4 layers reads 64 tokens at positions that are all shifted by one number; and 64 random "
        "queries and keys are turned by the layer alone, their products taken as attention takes them. Right where no "
        "logit or product moves by more than 1e-5, wrong for the rows where one does. The network counts the positions "
        "of a sequence from its first token, so that nothing is left to move; the layer alone computes angles in fp64.",
        _relative,
    ),
    Claim(
        "RoPE goes on beyond the length of training.",
        "lengths",
        "Four tasks over strings of up to 40 letters, tested on 41 to 200, mean over tasks, of the seeds that have all "
        "four: what a run loses from within to beyond. Wrong where the interval is above 0, right where it ends below "
        "one point.",
        _goes_on,
    ),
    Claim(
        "Positions drawn at random in training help at length.",
        "lengths",
        "The same, positions drawn below 512 in training and in the test, against ordinary ones, paired by seed. Right"
        " where a scheme's interval is above 0, wrong where those of both are below, or more of their runs diverged.",
        _random_helps,
    ),
)
