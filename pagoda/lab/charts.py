"""Pictures of an experiment: losses with bands over seeds, gradients, activations by depth, rates, lengths.

Fifth station. Each draws what there is to draw into one PNG, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pagoda.errors import MissingExtraError
from pagoda.lab.analysis import ArmComparison, Outcome
from pagoda.lab.recipe import LabRecipe
from pagoda.train.curves import smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECAY = 0.9
_POINTS = 400
Draw = Callable[["Axes", ArmComparison], bool]
"""Draws one choice into its panel; whether there was anything."""


def draw_all(comparisons: Sequence[ArmComparison], directory: Path) -> dict[str, Path]:
    """Title -> PNG in `directory`. Raises MissingExtraError without matplotlib."""
    if not comparisons:
        return {}
    charts: dict[str, tuple[str, str, str, Draw]] = {
        "Loss in training (band: all seeds)": ("loss.png", "optimiser step", "nats a token", _curve("losses")),
        "Norm of the gradients": ("gradients.png", "optimiser step", "before clipping", _curve("gradient_norms")),
        "Size of activations": ("activations.png", "behind layer", "root mean square", _activations),
        "Accuracy by length": ("lengths.png", "letters of the string", "% of the answer", _lengths),
    }
    drawn = {}
    for title, (name, x_label, y_label, draw) in charts.items():
        path = _panels(directory / name, comparisons, x_label, y_label, draw)
        if path is not None:
            drawn[title] = path
    return drawn


def draw_rates(recipe: LabRecipe, runs: Sequence[Outcome], path: Path) -> Path | None:
    """The metric over the choices of `best_of`, where a recipe has that axis; runs that diverged are left out."""
    lab = recipe.lab
    if not lab.best_of:
        return None
    axes, save = _figure(path, ["the metric by " + lab.best_of])
    choices = list(recipe.axes[lab.best_of])
    others = [axis for axis in recipe.axes if axis != lab.best_of]
    lines: dict[str, list[Outcome]] = {}
    for run in runs:
        lines.setdefault(", ".join(run["arm"][axis] for axis in others), []).append(run)
    for name, own in lines.items():
        sound = [run for run in own if lab.metric in run["metrics"] and not run["has_diverged"]]
        points = {
            choice: [r["metrics"][lab.metric] for r in sound if r["arm"][lab.best_of] == choice] for choice in choices
        }
        there = [(choices.index(choice), sum(values) / len(values)) for choice, values in points.items() if values]
        if there:
            axes[0].plot(*zip(*there, strict=True), marker="o", markersize=4, label=name)
    axes[0].set_xticks(range(len(choices)), choices)
    axes[0].set_xlabel(lab.best_of)
    axes[0].set_ylabel(lab.metric)
    if axes[0].lines:  # not where every run diverged
        axes[0].legend(fontsize="x-small")
    return save()


def _panels(path: Path, comparisons: Sequence[ArmComparison], x_label: str, y_label: str, draw: Draw) -> Path | None:
    names = list(dict.fromkeys(comparison.panel for comparison in comparisons))
    axes, save = _figure(path, names)
    has_any = False
    for name, axis in zip(names, axes, strict=False):
        for comparison in comparisons:
            if comparison.panel == name:
                has_any |= draw(axis, comparison)
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="x-small")
    return save() if has_any else None


def _figure(path: Path, titles: Sequence[str]) -> tuple[list[Axes], Callable[[], Path]]:
    """Panels two in a row, and what writes them."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing an experiment", "train") from error
    columns = min(2, len(titles))
    rows = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(5.5 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title, fontsize="medium")
    for axis in axes[len(titles) :]:
        axis.set_axis_off()

    def save() -> Path:
        figure.savefig(path, dpi=100)
        return path

    return axes, save


def _curve(key: str) -> Draw:
    def draw(axis: Axes, comparison: ArmComparison) -> bool:
        curves = [smoothed(run[key], _DECAY) for run in comparison.runs if len(run[key]) > 1]
        if not curves:
            return False
        length = min(len(curve) for curve in curves)
        steps = range(0, length, max(1, length // _POINTS))
        columns = [[curve[step] for curve in curves] for step in steps]
        line = axis.plot(steps, [sum(column) / len(column) for column in columns], label=_label(comparison))[0]
        axis.fill_between(
            steps, [min(column) for column in columns], [max(column) for column in columns],
            color=line.get_color(), alpha=0.2,
        )  # fmt: skip
        return True

    return draw


def _activations(axis: Axes, comparison: ArmComparison) -> bool:
    found = [run["activation_rms"] for run in comparison.runs if run.get("activation_rms")]
    if not found:
        return False
    axis.plot([sum(column) / len(column) for column in zip(*found, strict=True)], marker="o", label=_label(comparison))
    axis.set_yscale("log")
    return True


def _lengths(axis: Axes, comparison: ArmComparison) -> bool:
    found = [run["accuracy_by_length"] for run in comparison.runs if run.get("accuracy_by_length")]
    if not found:
        return False
    lengths = sorted(found[0], key=int)
    means = [sum(by_length[length] for by_length in found) / len(found) for length in lengths]
    axis.plot([int(length) for length in lengths], means, marker="o", markersize=3, label=_label(comparison))
    axis.set_ylim(0, 103)
    return True


def _label(comparison: ArmComparison) -> str:
    return f"{comparison.choice} ({comparison.best})" if comparison.best else comparison.choice
