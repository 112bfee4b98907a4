"""A scheduler that the engine's tests drive by hand, step by step, with made-up token ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import RequestUpdate, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.sampling_params import SamplingParams


class DrivenScheduler(Scheduler):
    """A Scheduler with what a test does to it."""

    def add(self, request_id: str, prompt: int | list[int], max_tokens: int = 10, **fields: Any) -> Request:
        """Adds a request; an int stands for a prompt of that length which nobody else has."""
        if isinstance(prompt, int):
            first = 1000 * (1 + ord(request_id[0]))
            prompt = list(range(first, first + prompt))
        fields = {"sampling_params": SamplingParams()} | fields
        request = Request(request_id=request_id, prompt_token_ids=prompt, max_tokens=max_tokens, **fields)
        self.add_request(request)
        return request

    def record(self, output: SchedulerOutput, token_id: int = 7) -> list[RequestUpdate]:
        """Every request that samples gets this token."""
        sampled = {entry.request_id: (SampledToken(token_id),) for entry in output.scheduled if entry.samples}
        return self.update(output, StepOutput(sampled))

    def step(self, token_id: int = 7) -> dict[str, int]:
        """Plans and records one step; returns request id -> tokens."""
        output = self.schedule()
        self.record(output, token_id)
        return output.num_scheduled_tokens

    def run_to_end(self, max_steps: int = 500) -> None:
        """Steps until nobody is left."""
        for _ in range(max_steps):
            if not self.has_unfinished_requests():
                return
            assert self.step()
        raise AssertionError("requests did not end")


@pytest.fixture
def make_scheduler() -> Callable[..., DrivenScheduler]:
    """`make_scheduler(**fields)`: one over a small cache."""

    def make(
        *, num_blocks: int = 64, block_size: int = 4, caching: bool = True, watermark: float = 0.0, **fields: Any
    ) -> DrivenScheduler:
        settings = {"max_model_len": 100, "max_num_seqs": 8, "max_num_batched_tokens": 32} | fields
        cache = CacheConfig(
            num_blocks=num_blocks, block_size=block_size, enable_prefix_caching=caching, watermark=watermark
        )
        return DrivenScheduler(SchedulerConfig(**settings), cache)

    return make
