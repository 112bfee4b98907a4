"""What a quantisation came to, to read and to look at: report.json, and errors by layer as a picture.

Beside the token's path, at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.models.checkpoint.saving import write_json
from pagoda.models.quantise.job import QuantisationOutcome
from pagoda.models.quantise.plans import HEAD, Size

REPORT, PICTURE = "quantisation.json", "quantisation.svg"


def facts_of(
    outcome: QuantisationOutcome, size: Size, settings: Mapping[str, Any], *, packed_head: bool = True
) -> dict[str, Any]:
    """Everything that was found, in words and numbers that JSON has.

    packed_head: whether the head is written in its codes; otherwise as floats of 16 bits, of what its codes mean
    """
    head = str(outcome.plan[HEAD]) if HEAD in outcome.plan else None
    return {
        **settings,
        "num_bytes": size.num_bytes,
        "bits_per_weight": round(size.bits_per_weight, 4),
        "quality": {
            name: {**asdict(quality), "perplexity_change": quality.perplexity_change}
            for name, quality in outcome.quality.items()
        },
        "schemes": dict(Counter(str(scheme) for name, scheme in outcome.plan.items() if name != HEAD)),
        "head": head if head is None or packed_head else f"{head}; written as floats of 16 bits",
        "plan": {name: str(scheme) for name, scheme in outcome.plan.items()},
        "relative_errors": dict(outcome.errors),
        "layer_drift": outcome.drifts,
    }


def write_report(directory: Path, facts: Mapping[str, Any]) -> list[Path]:
    """The files that were written; without matplotlib the numbers alone."""
    write_json(directory / REPORT, dict(facts))
    try:
        _draw(directory / PICTURE, facts)
    except MissingExtraError:
        return [directory / REPORT]
    return [directory / REPORT, directory / PICTURE]


def _draw(path: Path, facts: Mapping[str, Any]) -> None:
    """Relative squared error of each kind of matrix over the layers, and how far activations have drifted."""
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing the errors of layers", "train") from error
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasSVG(figure)
    axis = figure.subplots()
    for kind, points in _by_kind(facts["relative_errors"]).items():
        axis.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=0.8, label=kind)
    axis.plot(facts["layer_drift"], color="black", linestyle="--", label="activations behind the layer")
    axis.set_yscale("log")
    axis.set_xlabel("layer")
    axis.set_ylabel("squared error over square")
    axis.legend(fontsize="small", ncols=2)
    figure.savefig(path)


def _by_kind(errors: Mapping[str, float]) -> dict[str, list[tuple[int, float]]]:
    """Layer and error of the matrices of each kind; experts count as one kind, each a point."""
    kinds: dict[str, list[tuple[int, float]]] = {}
    for name, error in errors.items():
        _, _, layer_idx, *rest = name.split(".")
        kinds.setdefault(rest[-1], []).append((int(layer_idx), max(error, 1e-12)))
    return kinds
