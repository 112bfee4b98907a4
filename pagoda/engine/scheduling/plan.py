"""The messages of a step: the plan on its way out, what it brought on its way back, and the news of each request.

On the token's path: `scheduler` makes the plan, `execution` runs it and answers with a StepOutput, and out of that the
scheduler makes one RequestUpdate a request, which goes on to the text. All are plain values, so that the same message
drives any rank, and a recorded list of them replays a bug. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pagoda.engine.outputs import Logprob, SampledToken
from pagoda.engine.scheduling.request import FinishReason, is_decode


class ScheduledRequest(NamedTuple):
    """One request's share of a step; plain values, all that a runner needs to know of it.

    token_ids: tokens to feed, at positions num_computed_tokens, num_computed_tokens + 1, ...
    block_ids: its whole block table; position p lives in block `block_ids[p // block_size]`.
    samples: the last token known is fed: a token is sampled after it and after each proposal, or a hidden state pooled.
    num_logits: so many of the last tokens fed have their logits computed; all of them for prompt_logprobs.
    num_prompt_tokens: length of the prompt, on which some RoPE variants depend.
    num_proposed: so many of the last tokens fed are proposals; what is sampled says which of them were right.
    """

    request_id: str
    token_ids: tuple[int, ...]
    num_computed_tokens: int
    block_ids: tuple[int, ...]
    samples: bool
    num_logits: int
    num_prompt_tokens: int
    num_proposed: int = 0

    @property
    def proposed(self) -> tuple[int, ...]:
        """The proposals among the tokens fed."""
        return self.token_ids[len(self.token_ids) - self.num_proposed :]


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

    @property
    def num_decode_tokens(self) -> int:
        """So many of the total belong to answers that run; the others compute prompts. Only a pacer asks."""
        return sum(len(entry.token_ids) for entry in self.scheduled if is_decode(entry))


@dataclass(frozen=True)
class StepOutput:
    """What a step brought, by request id; whoever is in none of these was only computed.

    tokens: new ones, one or several, in order; at least one for every request of the plan that samples.
    prompt_logprobs: of the next prompt tokens, from the second token on, in order.
    pooled: an embedding, as the request's PoolingParams shape it.
    pooled_so_far: of a text that goes on in the next step, what its PoolRow is to bring then.
    errors: requests that cannot go on, and why; they alone end.
    """

    tokens: Mapping[str, tuple[SampledToken, ...]] = field(default_factory=dict)
    prompt_logprobs: Mapping[str, tuple[dict[int, Logprob], ...]] = field(default_factory=dict)
    pooled: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    pooled_so_far: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


class RequestUpdate(NamedTuple):
    """News of a request after a step: new tokens, its end, what its prompt gave, or several of these."""

    request_id: str
    tokens: tuple[SampledToken, ...] = ()
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    """The stop token or stop string that ended it; of an error, what went wrong."""
    prompt_logprobs: tuple[dict[int, Logprob], ...] = ()
    pooled: tuple[float, ...] | None = None


class SchedulerStats(NamedTuple):
    """Gauges (the first three; preempted requests wait) and counters, of tokens but for preemptions and drafts.

    A draft is the proposals of one request for one step; those that were sampled are accepted.
    """

    num_running: int = 0
    num_waiting: int = 0
    kv_cache_usage: float = 0.0
    num_preemptions: int = 0
    prefix_cache_queries: int = 0
    prefix_cache_hits: int = 0
    num_scheduled_tokens: int = 0
    spec_decode_num_drafts: int = 0
    spec_decode_num_draft_tokens: int = 0
    spec_decode_num_accepted_tokens: int = 0
