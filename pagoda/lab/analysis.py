"""From runs to figures: which choices are compared, by how much they differ, and how sure that is.

Fourth station of an experiment; reads `results.json` alone. Runs of one seed share first weights and data, so
differences are taken seed by seed: what a seed does to both arms falls out. Intervals are Student's (1908), 95 %, over
those differences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.lab.recipe import LabConfig, LabRecipe

Outcome = Mapping[str, Any]
"""The `result.json` of one run."""

# Student's t at 97.5 %, by degrees of freedom from 1 on; beyond the list the last.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120)


@dataclass(frozen=True)
class Estimate:
    """A mean of `count` values with half the width of its 95 % interval; None where there is one value."""

    mean: float
    half_width: float | None
    count: int

    @property
    def low(self) -> float:
        return -math.inf if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float:
        return math.inf if self.half_width is None else self.mean + self.half_width

    def told(self, digits: int = 3) -> str:
        """As it stands in a table: "1.234 ± 0.056"."""
        if self.half_width is None:
            return f"{self.mean:.{digits}f} (one seed)"
        return f"{self.mean:.{digits}f} ± {self.half_width:.{digits}f}"


@dataclass(frozen=True)
class ArmComparison:
    """One choice in one panel: its metric, and how far it is from the choice that all are held against.

    panel:      the choices of the other axes, as they are shown; "" where there are none
    best:       its best choice on the axis `best_of`; "" where the recipe has none
    metric:     over seeds; None where all runs diverged
    difference: from the choice `against`, seed by seed; None for that choice itself, or where no seed has both
    diverged:   runs that did, of all rates
    """

    panel: str
    choice: str
    best: str
    metric: Estimate | None
    difference: Estimate | None
    diverged: int
    runs: tuple[Outcome, ...]


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and interval of one value or more.

    >>> estimate([1.0, 2.0, 3.0]).told(2)
    '2.00 ± 2.48'
    """
    count, mean = len(values), sum(values) / len(values)
    if count == 1:
        return Estimate(mean, None, 1)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return Estimate(mean, _T[min(count - 1, len(_T)) - 1] * deviation / math.sqrt(count), count)


def compare(recipe: LabRecipe, runs: Sequence[Outcome]) -> list[ArmComparison]:
    """Panel by panel, choices in the recipe's order; what no run has ended of is left out."""
    lab = recipe.lab
    others = [axis for axis in recipe.axes if axis not in (lab.compare, lab.best_of)]
    panels: dict[str, dict[str, list[Outcome]]] = {}
    for run in runs:
        panel = ", ".join(run["arm"][axis] for axis in others)
        panels.setdefault(panel, {}).setdefault(run["arm"][lab.compare], []).append(run)
    found = []
    for panel, choices in panels.items():
        best = {choice: _best(lab, of_choice) for choice, of_choice in choices.items()}
        for choice in recipe.axes[lab.compare]:
            if choice in choices:
                num_diverged = sum(failed(run) for run in choices[choice])
                found.append(_comparison(lab, panel, choice, best, num_diverged))
    return found


def overall(recipe: LabRecipe, runs: Sequence[Outcome], choice: str, metric: str | None = None) -> Estimate | None:
    """Difference of `choice` from `against` over all panels: their mean, seed by seed. None where no seed has all."""
    metric = metric or recipe.lab.metric
    by_seed: dict[int, list[float]] = {}
    comparisons = compare(recipe, runs)
    panels = {comparison.panel for comparison in comparisons}
    for panel in panels:
        of_panel = {each.choice: each.runs for each in comparisons if each.panel == panel}
        for seed, difference in _differences(of_panel.get(choice, ()), of_panel.get(recipe.lab.against, ()), metric):
            by_seed.setdefault(seed, []).append(difference)
    whole = [sum(values) / len(values) for values in by_seed.values() if len(values) == len(panels)]
    return estimate(whole) if whole else None


def failed(run: Outcome) -> bool:
    """Whether a run diverged; one whose held-back loss is no number has, whatever else it tells."""
    return bool(run["has_diverged"]) or not all(math.isfinite(value) for value in run["metrics"].values())


def sound(runs: Sequence[Outcome], metric: str) -> list[Outcome]:
    """Runs that did not diverge, and have the metric."""
    return [run for run in runs if not failed(run) and metric in run["metrics"]]


def failures(recipe: LabRecipe, runs: Sequence[Outcome], choice: str, against: str) -> tuple[int, int]:
    """How many runs of `choice` and of `against` diverged, each at its best, of the panels and seeds that both have.

    Differences are of runs that both survived: a choice that loses some of them must not look better for it.
    """
    compared = compare(recipe, runs)
    own, theirs = (
        {(each.panel, run["seed"]): failed(run) for each in compared if each.choice == name for run in each.runs}
        for name in (choice, against)
    )
    both = own.keys() & theirs.keys()
    return sum(own[key] for key in both), sum(theirs[key] for key in both)


def _best(lab: LabConfig, runs: Sequence[Outcome]) -> tuple[str, list[Outcome]]:
    """The choice of `best_of` with the best mean; one with which a run diverged is taken only where all have."""
    if not lab.best_of:
        return "", list(runs)
    by_choice: dict[str, list[Outcome]] = {}
    for run in runs:
        by_choice.setdefault(run["arm"][lab.best_of], []).append(run)

    def worth(choice: str) -> tuple[int, float]:
        values = [run["metrics"][lab.metric] for run in sound(by_choice[choice], lab.metric)]
        mean = sum(values) / len(values) if values else math.inf
        return len(by_choice[choice]) - len(values), mean if lab.less_is_better else -mean

    best = min(by_choice, key=worth)
    return best, by_choice[best]


def _comparison(
    lab: LabConfig, panel: str, choice: str, best: Mapping[str, tuple[str, list[Outcome]]], num_diverged: int
) -> ArmComparison:
    name, runs = best[choice]
    values = [run["metrics"][lab.metric] for run in sound(runs, lab.metric)]
    against = best[lab.against][1] if choice != lab.against and lab.against in best else []
    differences = [difference for _, difference in _differences(runs, against, lab.metric)]
    return ArmComparison(
        panel, choice, name, estimate(values) if values else None, estimate(differences) if differences else None,
        num_diverged, tuple(runs),
    )  # fmt: skip


def _differences(runs: Sequence[Outcome], against: Sequence[Outcome], metric: str) -> list[tuple[int, float]]:
    """(seed, by how much `runs` are above `against`) for each seed that both have."""
    theirs = {run["seed"]: run["metrics"][metric] for run in sound(against, metric)}
    own = ((run["seed"], run["metrics"][metric]) for run in sound(runs, metric))
    return [(seed, value - theirs[seed]) for seed, value in own if seed in theirs]
