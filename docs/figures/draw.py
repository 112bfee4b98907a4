"""Draws the pictures of docs/engine.md from the real scheduler, on made-up token ids.

python docs/figures/draw.py            # writes block-tables.png and timeline.png beside this file
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.sampling_params import SamplingParams

HERE = Path(__file__).parent
COLOURS = ["#4C78A8", "#F58518", "#54A24B", "#B279A2", "#E45756", "#72B7B2", "#9D755D", "#EECA3B"]


def make_request(name: str, prompt: list[int], max_tokens: int, **settings: object) -> Request:
    return Request(
        request_id=name,
        prompt_token_ids=prompt,
        sampling_params=SamplingParams(max_tokens=max_tokens),
        max_tokens=max_tokens,
        **settings,  # type: ignore[arg-type]
    )


def run_step(scheduler: Scheduler) -> SchedulerOutput:
    plan = scheduler.schedule()
    scheduler.update(
        plan, StepOutput({entry.request_id: (SampledToken(7),) for entry in plan.scheduled if entry.samples})
    )
    return plan


def draw_block_tables(path: Path) -> None:
    """Four requests: two answers to one prompt (a fork), one that opens with the same words, one of its own."""
    scheduler = Scheduler(SchedulerConfig(max_model_len=256, max_num_seqs=8), CacheConfig(num_blocks=24, block_size=16))
    shared = list(range(40))
    scheduler.add_request(make_request("A", shared, 60))
    run_step(scheduler)
    scheduler.add_request(make_request("A/1", shared, 60, fork_of="A"))
    scheduler.add_request(make_request("B", shared[:32] + list(range(900, 915)), 60))
    scheduler.add_request(make_request("C", list(range(500, 550)), 60))
    for _ in range(14):
        plan = run_step(scheduler)
    tables = {entry.request_id: (entry.block_ids, entry.num_computed_tokens + 1) for entry in plan.scheduled}
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    _draw_tables(axis, tables)
    _draw_pool(axis, tables, scheduler)
    axis.set_xlim(-2.2, 24.4)
    axis.set_ylim(-2.6, len(tables) + 0.9)
    axis.axis("off")
    figure.savefig(path, dpi=120)


def _draw_tables(axis: Axes, tables: dict[str, tuple[tuple[int, ...], int]]) -> None:
    axis.text(-2, len(tables) + 0.45, "block tables: a position's block, in order", fontsize=10, weight="bold")
    for row, (name, (block_ids, num_tokens)) in enumerate(tables.items()):
        y = len(tables) - 1 - row
        axis.text(-2, y + 0.4, f"{name}: {num_tokens} tokens", fontsize=9, va="center")
        for index, block_id in enumerate(block_ids):
            filled = min(16, num_tokens - 16 * index) / 16
            x = 3 + index * 1.6
            axis.add_patch(Rectangle((x, y), 1.4 * filled, 0.75, color=COLOURS[row], alpha=0.55))
            axis.add_patch(Rectangle((x, y), 1.4, 0.75, fill=False, edgecolor="0.3"))
            axis.text(x + 0.7, y + 0.37, str(block_id), ha="center", va="center", fontsize=9)


def _draw_pool(axis: Axes, tables: dict[str, tuple[tuple[int, ...], int]], scheduler: Scheduler) -> None:
    pool = scheduler.kv_cache_manager.pool
    axis.text(-2, -0.55, "block pool: a stripe for each holder, 16 tokens a block", fontsize=10, weight="bold")
    for block_id in range(pool.num_blocks):
        holders = [row for row, (block_ids, _) in enumerate(tables.values()) if block_id in block_ids]
        for stripe, row in enumerate(holders):
            height = 0.9 / len(holders)
            axis.add_patch(Rectangle((block_id, -2 + stripe * height), 0.9, height, color=COLOURS[row], alpha=0.55))
        axis.add_patch(Rectangle((block_id, -2), 0.9, 0.9, fill=False, edgecolor="0.3"))
        axis.text(block_id + 0.45, -1.55, str(block_id), ha="center", va="center", fontsize=8)


def draw_timeline(path: Path) -> None:
    """Eight requests through four places: one static batch after the other, and continuous batching."""
    lengths = [9, 30, 14, 6, 22, 5, 12, 18]
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    static_axis, continuous_axis = figure.subplots(2, 1, sharex=True)
    _draw_bars(static_axis, _static_spans(lengths), "static batches: the whole batch waits for its longest")
    title = "continuous batching: a place is taken over at the next step"
    _draw_bars(continuous_axis, _continuous_spans(lengths), title)
    continuous_axis.set_xlabel("step")
    figure.savefig(path, dpi=120)


def _static_spans(lengths: list[int]) -> list[tuple[int, int, int, int]]:
    """(place, request, first step, steps of work) in batches of four."""
    spans, start = [], 0
    for first in range(0, len(lengths), 4):
        batch = lengths[first : first + 4]
        spans += [(place, first + place, start, length) for place, length in enumerate(batch)]
        start += max(batch)
    return spans


def _continuous_spans(lengths: list[int]) -> list[tuple[int, int, int, int]]:
    scheduler = Scheduler(SchedulerConfig(max_model_len=256, max_num_seqs=4), CacheConfig(num_blocks=64, block_size=16))
    for index, length in enumerate(lengths):
        scheduler.add_request(make_request(str(index), [index] * 10, length))
    places: dict[str, int] = {}
    spans: dict[str, list[int]] = {}
    step = 0
    while scheduler.has_unfinished_requests():
        plan = run_step(scheduler)
        running = {entry.request_id for entry in plan.scheduled}
        free = [place for place in range(4) if place not in {places[name] for name in places if name in running}]
        for name in sorted(running - places.keys(), key=int):
            places[name] = free.pop(0)
            spans[name] = [step, 0]
        for name in running:
            spans[name][1] += 1
        step += 1
    return [(places[name], int(name), start, length) for name, (start, length) in spans.items()]


def _draw_bars(axis: Axes, spans: list[tuple[int, int, int, int]], title: str) -> None:
    for place, request, start, length in spans:
        axis.barh(place, length, left=start, color=COLOURS[request], edgecolor="white", height=0.8)
        axis.text(start + length / 2, place, str(request), ha="center", va="center", fontsize=9)
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_yticks(range(4), [f"place {place}" for place in range(4)], fontsize=8)
    axis.invert_yaxis()


if __name__ == "__main__":
    draw_block_tables(HERE / "block-tables.png")
    draw_timeline(HERE / "timeline.png")
