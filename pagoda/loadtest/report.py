"""A load test's findings for people and programs: a table, JSON under vLLM's names, a picture.

The last station: nothing is computed here that `metrics` does not say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from pagoda.errors import MissingExtraError
from pagoda.loadtest.client import Outcome
from pagoda.loadtest.metrics import PERCENTS, Summary, end_to_end_s, first_token_s, inter_token_s

LATENCIES = ("ttft", "tpot", "itl", "e2el", "send_delay")


def as_dict(summary: Summary) -> dict[str, Any]:
    """Plain values for JSON, named as `vllm bench serve` names them; None where there is no figure."""
    figures: dict[str, Any] = {
        "duration": summary.duration_s,
        "completed": summary.completed,
        "failed": summary.failed,
        "unfinished": summary.num_unfinished,
        "total_input_tokens": summary.num_prompt_tokens,
        "total_output_tokens": summary.num_output_tokens,
        "request_throughput": summary.requests_per_s,
        "request_goodput": summary.goodput,
        "output_throughput": summary.output_tokens_per_s,
        "total_token_throughput": summary.total_tokens_per_s,
        "errors": dict(summary.errors),
    }
    for name in LATENCIES:
        distribution = getattr(summary, name)
        figures[f"mean_{name}_ms"] = distribution.mean
        figures |= {f"p{percent}_{name}_ms": value for percent, value in distribution.percentiles.items()}
    return {name: None if _is_nan(value) else value for name, value in figures.items()}


def table(summary: Summary, title: str, targets: Mapping[str, float]) -> Table:
    """Rates above, latencies below, for a terminal."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False)
    grid.add_column("")
    for name in ("mean", *(f"p{percent}" for percent in PERCENTS)):
        grid.add_column(name, justify="right")
    for label, value in _rates(summary, targets):
        grid.add_row(label, value)
    grid.add_section()
    for name in LATENCIES:
        distribution = getattr(summary, name)
        values = (distribution.mean, *distribution.percentiles.values())
        grid.add_row(f"{name} ms", *(_number(value) for value in values), style="bold")
    return grid


def failures(summary: Summary) -> list[str]:
    """A line for each kind of failure, with one message of it."""
    return [
        f"{count} x {kind}: {summary.messages[kind]}" for kind, count in sorted(summary.errors.items(), reverse=True)
    ]


def plot(outcomes: Sequence[Outcome], title: str, path: Path) -> None:
    """Write a PNG: shares of requests by TTFT and E2EL, of gaps by ITL, and tokens a second over the test.

    Raises MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("the picture of a load test", "train") from error
    done = [outcome for outcome in outcomes if outcome.error is None]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    latency, gaps, rate = figure.subplots(1, 3)
    figure.suptitle(title)
    _share(latency, [s for s in map(first_token_s, done) if s is not None], "TTFT")
    _share(latency, [end_to_end_s(outcome) for outcome in done], "E2EL")
    latency.legend()
    _share(gaps, [s for outcome in done for s in inter_token_s(outcome)], "ITL")
    for axes, name in ((latency, "latency from due time, ms"), (gaps, "between pieces (ITL), ms")):
        axes.set(xlabel=name, ylabel="share", ylim=(0, 1))
    times = sorted(s for outcome in done for s in outcome.chunk_times_s)
    origin = min((outcome.due_s for outcome in outcomes), default=0.0)
    rate.plot(*_per_second([s - origin for s in times]))
    rate.set(xlabel="seconds", ylabel="pieces of text a second", ylim=(0, None))
    figure.savefig(path, dpi=150, format="png")


def _share(axes: Any, values_s: Sequence[float], label: str) -> None:
    """The empirical distribution function."""
    ordered = sorted(1000 * value for value in values_s)
    axes.step(ordered, [(place + 1) / len(ordered) for place in range(len(ordered))], where="post", label=label)


def _per_second(times_s: Sequence[float], num_bins: int = 50) -> tuple[list[float], list[float]]:
    """Middles of equal spans of time, and events a second in each."""
    width = max(times_s, default=0.0) / num_bins
    if width <= 0:
        return [], []
    counts = [0] * num_bins
    for seconds in times_s:
        counts[min(int(seconds / width), num_bins - 1)] += 1
    return [(place + 0.5) * width for place in range(num_bins)], [count / width for count in counts]


def _rates(summary: Summary, targets: Mapping[str, float]) -> list[tuple[str, str]]:
    rows = [
        ("requests completed", f"{summary.completed:,}"),
        ("requests failed", f"{summary.failed:,}"),
        ("duration s", _number(summary.duration_s)),
        ("requests/s", _number(summary.requests_per_s)),
        ("output tokens/s", _number(summary.output_tokens_per_s)),
        ("total tokens/s", _number(summary.total_tokens_per_s)),
    ]
    if summary.num_unfinished:
        rows.insert(2, ("requests unfinished", f"{summary.num_unfinished:,}"))
    if summary.goodput is not None:
        wanted = ", ".join(f"{name} {limit:g} ms" for name, limit in targets.items())
        rows.append((f"goodput requests/s ({wanted})", _number(summary.goodput)))
    return rows


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.2f}"


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
