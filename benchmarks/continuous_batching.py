"""Our side of the headline comparison: the engine, fed a trace through the door that every caller uses.

The engine is told max_tokens, as the client set it, and not where the answer ends. When it gets there the caller
leaves, which frees its blocks, as an end-of-sequence token would. So the scheduler can plan with nothing that
the static server does not know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bookkeeping import Clock, Result, Usage
from traces import Job

from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import RequestOutput
from pagoda.sampling_params import RequestOutputKind, SamplingParams


class ContinuousServer:
    """Serves jobs through an engine. `max_at_once` holds the others back at the door, for a load of that many."""

    def __init__(self, engine: LLMEngine, *, max_at_once: int | None = None) -> None:
        self.engine = engine
        self.max_at_once = max_at_once
        self.usage = Usage()
        self._live: dict[str, Job] = {}

    def serve(self, jobs: Sequence[Job], clock: Clock | None = None) -> Result:
        """Run all jobs; `arrival_s` counts from the call."""
        clock = clock or Clock()
        num_preemptions = self.engine.core.scheduler.stats.num_preemptions
        waiting = deque(sorted(jobs, key=lambda job: job.arrival_s))
        while waiting or self._live:
            if not self._live:
                clock.wait_until(waiting[0].arrival_s)
            before = clock.now()
            while waiting and waiting[0].arrival_s <= before and self._is_open():
                self._add(waiting.popleft())
            self._step(before, clock)
        num_preemptions = self.engine.core.scheduler.stats.num_preemptions - num_preemptions
        return Result(clock.now(), jobs, self.usage, num_preemptions)

    def _is_open(self) -> bool:
        return self.max_at_once is None or len(self._live) < self.max_at_once

    def _add(self, job: Job) -> None:
        params = SamplingParams(
            temperature=0,
            max_tokens=job.max_tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        request_id = str(id(job))
        self._live[request_id] = job
        self.engine.add_request(request_id, {"prompt_token_ids": job.prompt_token_ids}, params)

    def _step(self, before: float, clock: Clock) -> None:
        outputs = self.engine.step()
        now = clock.now()
        self._note_usage(now - before)
        for output in outputs:
            assert isinstance(output, RequestOutput)
            job = self._live[output.request_id]
            for token_id in output.outputs[0].token_ids:
                job.take(token_id, now)
            if job.is_finished:
                self.engine.abort_request(output.request_id)
                del self._live[output.request_id]

    def _note_usage(self, seconds: float) -> None:
        """Blocks held and tokens in them. The token just sampled is in no block yet, so it does not count as held."""
        scheduler = self.engine.core.scheduler
        config = scheduler.kv_cache_manager.config
        running = scheduler.running_requests
        reserved = round(scheduler.kv_cache_usage * config.num_blocks) * config.block_size
        used = sum(request.num_computed_tokens for request in running)
        self.usage.add(seconds, reserved=reserved, used=used, running=len(running))
