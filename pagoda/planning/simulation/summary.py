"""What a simulation found, as a load test would tell it: distributions, throughput, goodput, hits, preemptions.

After `simulator`. Names and units are those of `loadtest/metrics` and so of `vllm bench serve`. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pagoda.loadtest.metrics import PERCENTS, Distribution
from pagoda.planning.simulation.simulator import Simulation


@dataclass(frozen=True)
class SimulatedSummary:
    """Of the requests that ended. goodput: a second, of those that met all targets; None where there are none."""

    completed: int
    refused: int
    duration_s: float
    num_output_tokens: int
    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    e2el: Distribution
    goodput: float | None
    hit_rate: float
    num_preemptions: int
    load_imbalance: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where there is no figure."""
        figures: dict[str, Any] = {
            "duration": self.duration_s,
            "completed": self.completed,
            "refused": self.refused,
            "total_output_tokens": self.num_output_tokens,
            "request_throughput": self.completed / self.duration_s if self.duration_s else None,
            "output_throughput": self.num_output_tokens / self.duration_s if self.duration_s else None,
            "request_goodput": self.goodput,
            "prefix_cache_hit_rate": self.hit_rate,
            "preemptions": self.num_preemptions,
            "load_imbalance": self.load_imbalance,
        }
        for name in ("ttft", "tpot", "itl", "e2el"):
            distribution: Distribution = getattr(self, name)
            figures[f"mean_{name}_ms"] = _or_none(distribution.mean)
            figures |= {f"p{percent}_{name}_ms": _or_none(ms) for percent, ms in distribution.percentiles.items()}
        return figures


def summarize_simulation(found: Simulation, targets: Mapping[str, float]) -> SimulatedSummary:
    """targets: milliseconds by ttft, tpot or e2el, as `loadtest.metrics.parse_goodput` reads them."""
    times = found.times
    ended = [number for number, end_s in enumerate(times.end_s) if not math.isnan(end_s)]
    ttft = [times.first_s[number] - times.arrival_s[number] for number in ended]
    e2el = [times.end_s[number] - times.arrival_s[number] for number in ended]
    tpot = [_per_token_s(found, number) for number in ended]
    limits = {name: limit / 1e3 for name, limit in targets.items()}
    measured = {"ttft": ttft, "tpot": tpot, "e2el": e2el}
    good = sum(
        all(measured[name][place] <= limit or math.isnan(measured[name][place]) for name, limit in limits.items())
        for place in range(len(ended))
    )
    return SimulatedSummary(
        completed=len(ended),
        refused=sum(found.refused.values()),
        duration_s=found.duration_s,
        num_output_tokens=sum(times.num_output_tokens[number] for number in ended),
        ttft=Distribution.of(ttft),
        tpot=Distribution.of([seconds for seconds in tpot if not math.isnan(seconds)]),
        itl=weighted(times.gaps),
        e2el=Distribution.of(e2el),
        goodput=good / found.duration_s if targets and found.duration_s else None,
        hit_rate=found.hit_rate,
        num_preemptions=found.num_preemptions,
        load_imbalance=found.load_imbalance,
    )


def weighted(counts: Mapping[float, int]) -> Distribution:
    """Of values in seconds that occur so often: the smallest with at least the share below it."""
    total = sum(counts.values())
    if not total:
        return Distribution.of(())
    ordered = sorted(counts.items())
    wanted = {percent: total * percent / 100 for percent in PERCENTS}
    percentiles: dict[int, float] = {}
    below = 0
    for value, count in ordered:
        below += count
        percentiles |= {p: 1e3 * value for p, rank in wanted.items() if p not in percentiles and below >= rank}
    return Distribution(1e3 * sum(value * count for value, count in ordered) / total, percentiles)


def _per_token_s(found: Simulation, number: int) -> float:
    """nan where an answer had one token."""
    times = found.times
    gaps = times.num_output_tokens[number] - 1
    return (times.end_s[number] - times.first_s[number]) / gaps if gaps else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
