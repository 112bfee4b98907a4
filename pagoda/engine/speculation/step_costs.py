"""What a row more costs a step: seconds by number of rows, measured when the engine starts.

Beside the token's path: `gain` decides by it how many proposals pay. On a processor a step of one row reads all weights
for it, and so a few rows more are nearly free; with many rows each costs what it computes. Where that turns depends on
model, format and machine, so it is measured, once: what is proposed then depends on tokens and not on a clock.
Imports no torch.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pagoda.engine.execution.executor import Executor
from pagoda.engine.sampling.rows import SampleRow, StepRows
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput
from pagoda.sampling_params import SamplingParams

NUM_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
"""Numbers of rows that are measured; what lies between is interpolated."""
_CONTEXT = 96
"""Tokens before the rows."""
_FEWEST_ROUNDS, _MOST_ROUNDS, _ENOUGH_S = 3, 12, 1.5


@dataclass(frozen=True)
class StepCosts:
    """Seconds of a step by number of rows; `seconds` rise."""

    num_rows: tuple[int, ...]
    seconds: tuple[float, ...]

    def of(self, num_rows: int) -> float:
        """Between two figures, and beyond the last, in a straight line."""
        if len(self.num_rows) == 1:
            return self.seconds[0]
        right = min(max(bisect_left(self.num_rows, num_rows), 1), len(self.num_rows) - 1)
        x0, x1 = self.num_rows[right - 1 : right + 1]
        y0, y1 = self.seconds[right - 1 : right + 1]
        return y0 + (y1 - y0) * (num_rows - x0) / (x1 - x0)


def measured(
    executor: Executor,
    *,
    max_num_tokens: int,
    block_size: int,
    vocab_size: int,
    clock: Callable[[], float] = time.perf_counter,
) -> StepCosts:
    """Run steps of made-up tokens on an executor that has no requests yet.

    max_num_tokens: that one sequence, one step and the KV cache may have. The best of several rounds counts, each
    through all numbers of rows, so that what else the machine does meanwhile falls on none of them alone.
    """
    context = min(_CONTEXT, max_num_tokens // 2)
    sizes = [size for size in NUM_ROWS if context + size <= max_num_tokens] or [1]
    tokens = [position % vocab_size for position in range(context + sizes[-1])]
    if context:
        executor.execute(_plan(tokens, 0, context, block_size), StepRows())
    best = dict.fromkeys(sizes, float("inf"))
    began = clock()
    for round_ in range(_MOST_ROUNDS):
        if round_ >= _FEWEST_ROUNDS and clock() - began > _ENOUGH_S:
            break
        for size in sizes:
            plan, rows = _plan(tokens, context, context + size, block_size), _rows(size)
            before = clock()
            executor.execute(plan, rows)
            best[size] = min(best[size], clock() - before)
    return StepCosts(tuple(sizes), tuple(accumulate(best.values(), max)))


def _plan(tokens: Sequence[int], start: int, end: int, block_size: int) -> SchedulerOutput:
    """Of one request that feeds its tokens at positions [start, end), all but the first of them proposals."""
    num_tokens = end - start
    entry = ScheduledRequest(
        request_id="",
        token_ids=tuple(tokens[start:end]),
        num_computed_tokens=start,
        block_ids=tuple(range(-(-end // block_size))),
        samples=True,
        num_logits=num_tokens,
        num_prompt_tokens=start,
        num_proposed=num_tokens - 1,
    )
    return SchedulerOutput(0, (entry,), {"": num_tokens}, num_tokens, (), (), ())


def _rows(num_rows: int) -> StepRows:
    params = SamplingParams(temperature=0)
    return StepRows([SampleRow("", params, seed=0, position=position) for position in range(num_rows)])
