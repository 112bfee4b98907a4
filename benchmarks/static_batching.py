"""The way it was done before: one batch at a time, and a contiguous cache of the longest possible answer for each row.

The same network, weights, kernels, runner and sampler as the engine's serve it, through the same message
(`SchedulerOutput`): a contiguous cache is a block table of consecutive blocks, and the prompts of a batch are computed
together in one step. Only who runs when, and how memory is reserved, differ. Two variants:

* `reserve="context"`: each row reserves the model's whole context, and rows whose answer has ended are computed on
  until the longest of the batch ends, as in FasterTransformer and in transformers' `generate` with a static cache.
* `reserve="request"`: kinder than either. A row reserves its prompt and its max_tokens, and ended rows cost nothing.

In both, an answer counts as delivered with its own last token, not with its batch; and nothing is spent on
stop checks, text or the checks of an API, which the engine does spend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bookkeeping import Clock, Result, Usage
from traces import Job

from pagoda.engine.execution.model_runner import ModelRunner
from pagoda.engine.sampling.sampler import Sampler, SampleRow
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput
from pagoda.sampling_params import SamplingParams

Reserve = Literal["context", "request"]
GREEDY = SamplingParams(temperature=0, max_tokens=None)


@dataclass(eq=False)
class _Row:
    """One job's place in a batch. Tokens that are generated past the answer's end count as history only."""

    job: Job
    block_ids: tuple[int, ...]
    num_computed_tokens: int = 0
    token_ids: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.token_ids = list(self.job.prompt_token_ids)


class StaticServer:
    """Serves jobs in batches, first come first served, over all blocks of the runner's cache."""

    def __init__(self, runner: ModelRunner, *, num_blocks: int, max_model_len: int, reserve: Reserve) -> None:
        self.runner = runner
        self.num_blocks = num_blocks
        self.max_model_len = max_model_len
        self.reserve = reserve
        self.usage = Usage()
        self._block_size = runner.kv_cache.block_size
        self._sampler = Sampler()

    def serve(self, jobs: Sequence[Job], clock: Clock | None = None) -> Result:
        """Run all jobs; `arrival_s` counts from the call."""
        clock = clock or Clock()
        waiting = sorted(jobs, key=lambda job: job.arrival_s)
        while waiting:
            clock.wait_until(waiting[0].arrival_s)
            batch = self._form_batch(waiting, clock.now())
            waiting = waiting[len(batch) :]
            self._run_batch(batch, clock)
        return Result(clock.now(), jobs, self.usage)

    def _form_batch(self, waiting: Sequence[Job], now: float) -> list[_Row]:
        """As many of those that have arrived as fit, each with a run of consecutive blocks."""
        batch: list[_Row] = []
        start = 0
        for job in waiting:
            end = start + self._num_blocks_of(job)
            if job.arrival_s > now or end > self.num_blocks:
                break
            batch.append(_Row(job, tuple(range(start, end))))
            start = end
        assert batch, "the cache holds not even one request"
        return batch

    def _num_blocks_of(self, job: Job) -> int:
        longest = min(len(job.prompt_token_ids) + job.max_tokens, self.max_model_len)
        return -(-(self.max_model_len if self.reserve == "context" else longest) // self._block_size)

    def _run_batch(self, batch: Sequence[_Row], clock: Clock) -> None:
        reserved = sum(len(row.block_ids) for row in batch) * self._block_size
        before = clock.now()
        while any(not row.job.is_finished for row in batch):
            computed = [row for row in batch if self._is_computed(row)]
            tokens = self._step(computed)
            now = clock.now()
            running = [row for row in computed if not row.job.is_finished]
            used = sum(row.num_computed_tokens for row in running)
            self.usage.add(now - before, reserved=reserved, used=used, running=len(running))
            before = now
            for row, token_id in zip(computed, tokens, strict=True):
                row.token_ids.append(token_id)
                row.job.take(token_id, now)

    def _is_computed(self, row: _Row) -> bool:
        """An ended row goes on within the context that it reserved, or not at all."""
        return not row.job.is_finished or (self.reserve == "context" and len(row.token_ids) < self.max_model_len)

    def _step(self, rows: Sequence[_Row]) -> list[int]:
        """Feed every row what it knows and has not computed; the next token of each."""
        scheduled = tuple(_scheduled(index, row) for index, row in enumerate(rows))
        num_tokens = {entry.request_id: len(entry.token_ids) for entry in scheduled}
        plan = SchedulerOutput(
            step=0,
            scheduled=scheduled,
            num_scheduled_tokens=num_tokens,
            total_num_scheduled_tokens=sum(num_tokens.values()),
            blocks_to_copy=(),
            preempted_request_ids=(),
            finished_request_ids=(),
        )
        logits = self.runner.execute(plan).logits
        for row in rows:
            row.num_computed_tokens = len(row.token_ids)
        sampled = self._sampler.sample(logits, [SampleRow("", GREEDY, 0, 0)] * len(rows))
        return [token.token_id for token in sampled]


def _scheduled(index: int, row: _Row) -> ScheduledRequest:
    return ScheduledRequest(
        request_id=str(index),
        token_ids=tuple(row.token_ids[row.num_computed_tokens :]),
        num_computed_tokens=row.num_computed_tokens,
        block_ids=row.block_ids,
        samples=True,
        num_logits=1,
        num_prompt_tokens=len(row.job.prompt_token_ids),
    )
