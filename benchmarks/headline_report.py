"""The headline comparison as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bookkeeping import Result

COLOURS = ("#9aa0a6", "#c9a227", "#2a7f62")


@dataclass(frozen=True)
class Claim:
    """One row of the table.

    claim, aim: as in the sources, and what we want to reach; "" for none
    static, kind, ours: the figures of the three servers; `kind` None where it was not measured
    less: the aim is a saving in per cent, not a factor; ceiling: the aim is a bound for `ours` itself
    """

    name: str
    claim: str
    aim: str
    static: float
    kind: float | None
    ours: float
    less: bool = False
    ceiling: float | None = None

    def against(self, base: float | None) -> str:
        """Ours against another server, in the form of the claim.

        >>> Claim("latency", "- 40 %", "- 60 %", 10.0, 4.0, 2.0, less=True).against(10.0)
        '- 80 %'
        """
        if base is None or self.ceiling is not None:
            return ""
        if self.less:
            return f"{'-' if self.ours <= base else '+'} {100 * abs(1 - self.ours / base):.0f} %"
        return f"x {self.ours / base:.1f}"

    @property
    def verdict(self) -> str:
        """Whether the aim is reached; "" without one."""
        if not self.aim:
            return ""
        if self.ceiling is not None:
            return "yes" if self.ours < self.ceiling else "no"
        wanted = float(self.aim.split()[1])
        reached = 100 * (1 - self.ours / self.static) if self.less else self.ours / self.static
        return "yes" if reached >= wanted else "no"


def render(claims: Sequence[Claim], footnote: str) -> str:
    """A Markdown table, and under it where it was measured."""
    lines = [
        "| | claim | aim | static | kind static | continuous, paged | against static | against kind static | reached |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for claim in claims:
        kind = "" if claim.kind is None else f"{claim.kind:,.4g}"
        cells = [claim.name, claim.claim, claim.aim, f"{claim.static:,.4g}", kind, f"{claim.ours:,.4g}"]
        cells += [claim.against(claim.static), claim.against(claim.kind), claim.verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", footnote])


def draw(runs: Mapping[str, tuple[Result, Result]], path: Path) -> None:
    """Throughput, KV waste, requests at once and the distribution of latencies, as a PNG.

    runs: by server, its run with all requests at once and its run under arrivals.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 4)
    at_once = [result for result, _ in runs.values()]
    bars = (
        ("output tokens/s", [result.tokens_per_s for result in at_once]),
        ("requests at once, mean", [result.usage.mean_running for result in at_once]),
        ("KV slots reserved but empty, %", [100 * result.usage.waste for result in at_once]),
    )
    for panel, (title, values) in zip(panels, bars, strict=False):
        drawn = panel.bar(list(runs), values, color=COLOURS)
        panel.bar_label(drawn, fmt="{:,.0f}" if max(values) > 100 else "{:.1f}")
        panel.set_title(title)
        panel.spines[["top", "right"]].set_visible(False)
    latency = panels[3]
    for (name, (_, result)), colour in zip(runs.items(), COLOURS, strict=True):
        latencies = np.sort([job.latency_s for job in result.jobs])
        latency.step(latencies, np.arange(1, len(latencies) + 1) / len(latencies), color=colour, label=name)
    latency.set(title="share of requests done within", xlabel="seconds", xscale="log")
    latency.spines[["top", "right"]].set_visible(False)
    latency.legend(frameon=False)
    figure.savefig(path, dpi=110)
