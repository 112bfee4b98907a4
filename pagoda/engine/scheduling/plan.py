"""What the scheduler says: the plan of a step, on its way out, and the news of each request, on its way back.

On the token's path between `scheduler` and `execution`. A plan is frozen and made of plain values, so that the same
message drives any rank, and a recorded list of them replays a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pagoda.engine.scheduling.request import FinishReason


class ScheduledRequest(NamedTuple):
    """One request's share of a step; plain values, all that a runner needs to know of it.

    token_ids: tokens to feed, at positions num_computed_tokens, num_computed_tokens + 1, ...
    block_ids: its whole block table; position p lives in block `block_ids[p // block_size]`.
    samples: the last token fed is the last one known: a token is sampled after it, or a hidden state pooled.
    num_logits: so many of the last tokens fed have their logits computed; all of them for prompt_logprobs.
    num_prompt_tokens: length of the prompt, on which some RoPE variants depend.
    """

    request_id: str
    token_ids: tuple[int, ...]
    num_computed_tokens: int
    block_ids: tuple[int, ...]
    samples: bool
    num_logits: int
    num_prompt_tokens: int


@dataclass(frozen=True)
class SchedulerOutput:
    """The plan of a step, frozen: every rank gets the same, and a recorded list of them replays a run.

    num_scheduled_tokens: request id -> tokens it advances; the ids of `scheduled`, in the same order.
    blocks_to_copy: (source, destination) blocks, to be copied before the step writes anything.
    preempted_request_ids: lost their blocks in this step and wait again.
    finished_request_ids: ended since the last step; to be forgotten before `scheduled` is read, as an id may return.
    """

    step: int
    scheduled: tuple[ScheduledRequest, ...]
    num_scheduled_tokens: dict[str, int]
    total_num_scheduled_tokens: int
    blocks_to_copy: tuple[tuple[int, int], ...]
    preempted_request_ids: tuple[str, ...]
    finished_request_ids: tuple[str, ...]


class RequestUpdate(NamedTuple):
    """News of a request after a step: a new token, its end, or both."""

    request_id: str
    new_token_id: int | None
    finish_reason: FinishReason | None
    stop_reason: int | str | None


@dataclass(frozen=True)
class SchedulerStats:
    """Gauges (the first three; preempted requests wait) and counters; the last three count tokens."""

    num_running: int
    num_waiting: int
    kv_cache_usage: float
    num_preemptions: int
    prefix_cache_queries: int
    prefix_cache_hits: int
    num_scheduled_tokens: int
