"""A comparison as a table, as JSON and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pagoda.models.config import ModelConfig
from rivals.comparison import Samples, median_rate, median_ratio
from rivals.measures import Measure

OURS = "pagoda"
COLUMNS = ("shape", "measure", "engine", "tokens/s", "pagoda against it", "of the limit", "GB/s", "GFLOP/s beside")
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


@dataclass(frozen=True)
class Row:
    """One engine in one measure. ratio: pagoda's speed over its own; share: of the machine's limit"""

    shape: str
    measure: str
    engine: str
    tokens_per_s: float
    ratio: float | None
    share: float | None
    bandwidth: float
    peak: float
    rates: Sequence[float]
    told: Mapping[str, float]

    def __str__(self) -> str:
        ratio = "" if self.ratio is None or self.engine == OURS else f"x {self.ratio:.2f}"
        share = "" if self.share is None else f"{100 * self.share:.0f} %"
        cells = [self.shape, self.measure, self.engine, f"{self.tokens_per_s:,.1f}", ratio, share]
        return f"| {' | '.join([*cells, f'{self.bandwidth / 1e9:.1f}', f'{self.peak / 1e9:.0f}'])} |"


def rows_of(shape: str, measure: Measure, samples: Samples, config: ModelConfig, dtype: str) -> list[Row]:
    """A row for each engine."""
    rows = []
    for engine, found in samples.items():
        limits = [measure.limit(config, dtype, sample.limits.bandwidth, sample.limits.peak) for sample in found]
        shares = [sample.rate / limit for sample, limit in zip(found, limits, strict=True) if limit is not None]
        rows.append(
            Row(
                shape=shape,
                measure=measure.name,
                engine=engine,
                tokens_per_s=median_rate(found),
                ratio=median_ratio(samples[OURS], found) if OURS in samples else None,
                share=statistics.median(shares) if shares else None,
                bandwidth=statistics.median(sample.limits.bandwidth for sample in found),
                peak=statistics.median(sample.limits.peak for sample in found),
                rates=[sample.rate for sample in found],
                told={name: statistics.median(sample.told[name] for sample in found) for name in found[0].told},
            )
        )
    return rows


@dataclass(frozen=True)
class Fact:
    """What is no speed: seconds to the first token, or bytes of memory. values: of each try"""

    shape: str
    name: str
    engine: str
    value: float
    values: Sequence[float]

    def __str__(self) -> str:
        told = f"{self.value / 1e6:,.0f} MB" if self.name == "memory" else f"{self.value:.2f} s"
        return f"| {self.shape} | {self.name} | {self.engine} | {told} | | | | |"


def as_json(rows: Sequence[Row], facts: Sequence[Fact], **about: Any) -> dict[str, Any]:
    """Everything that was measured, and where."""
    return {**about, "speeds": [asdict(row) for row in rows], "facts": [asdict(fact) for fact in facts]}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Tokens a second of every engine, a panel for each shape and measure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row.shape, row.measure) for row in rows))
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(3.2 * across, 2.6 * down), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).flatten()
    for axis, (shape, measure) in zip(axes, panels, strict=False):
        shown = [row for row in rows if (row.shape, row.measure) == (shape, measure)]
        colours = ["#2a7f62" if row.engine == OURS else "#9aa0a6" for row in shown]
        axis.barh([row.engine for row in shown], [row.tokens_per_s for row in shown], color=colours)
        axis.invert_yaxis()
        axis.set_title(f"{shape}: {measure}", fontsize=9)
        axis.tick_params(labelsize=8)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=120)
