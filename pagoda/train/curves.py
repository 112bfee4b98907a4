"""Curves of a training run, to look at: loss, learning rate and sequence length over tokens.

Beside the training loop; reads `metrics.jsonl` only, so it can be run at any time, on a finished run too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.installation import program


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """The reports of a run, one per optimiser step. Raises ConfigError where there are none."""
    path = directory / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if not lines:
        raise ConfigError(f"{path} holds no training metrics: give the folder that `{program()} train --out` named")
    return [json.loads(line) for line in lines]


def write_curves(directory: str | Path) -> Path:
    """Write `loss.png` and TensorBoard events (`tensorboard/`) for the run in `directory`; returns the PNG's path.

    Raises MissingExtraError without matplotlib; TensorBoard's events are left out where it is not installed.
    """
    directory = Path(directory)
    reports = read_metrics(directory)
    _write_events(directory / "tensorboard", reports)
    return _draw(directory / "loss.png", reports)


def _draw(path: Path, reports: list[dict[str, Any]]) -> Path:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing the loss curve", "train") from error
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axis, rate_axis = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    steps = [report["step"] for report in reports]
    loss_axis.plot(steps, [report["loss"] for report in reports], color="0.8", linewidth=0.8, label="training batch")
    loss_axis.plot(steps, smoothed([report["loss"] for report in reports]), color="0.2", label="smoothed")
    evaluated = [report for report in reports if report["eval_loss"]]
    for name in evaluated[-1]["eval_loss"] if evaluated else ():
        points = [(report["step"], report["eval_loss"][name]) for report in evaluated if name in report["eval_loss"]]
        loss_axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"held back: {name}")
    loss_axis.set_ylabel("loss (nats a token)")
    loss_axis.set_ylim(top=min(max(report["loss"] for report in reports), 7.5))
    loss_axis.legend(fontsize="small")
    rate_axis.plot(steps, [report["learning_rate"] for report in reports], color="tab:red")
    rate_axis.set_ylabel("learning rate", color="tab:red")
    rate_axis.set_xlabel("optimiser step")
    length_axis = rate_axis.twinx()
    length_axis.plot(steps, [report["sequence_length"] for report in reports], color="tab:blue")
    length_axis.set_ylabel("sequence length", color="tab:blue")
    figure.savefig(path, dpi=110)
    return path


def smoothed(values: list[float], decay: float = 0.97) -> list[float]:
    """Exponential moving average, corrected for its start."""
    averages, average = [], 0.0
    for count, value in enumerate(values, start=1):
        average = decay * average + (1 - decay) * value
        averages.append(average / (1 - decay**count))
    return averages


def _write_events(directory: Path, reports: list[dict[str, Any]]) -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    for old in directory.glob("events.*"):
        old.unlink()
    with SummaryWriter(str(directory)) as writer:
        for report in reports:
            for key in ("loss", "learning_rate", "gradient_norm", "tokens_per_s", "sequence_length"):
                writer.add_scalar(f"train/{key}", report[key], report["step"])
            for name, loss in (report["eval_loss"] or {}).items():
                writer.add_scalar(f"held_back/{name}", loss, report["step"])
