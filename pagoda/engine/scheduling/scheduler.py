"""Who advances in this step, and by how many tokens: the first half of `core.step`, and its bookkeeping.

A step is *request id -> number of tokens*. Every request is pushed from `num_computed_tokens` towards
`num_tokens`, so a prompt, a chunk of one, a decode, what is left after a prefix hit and what is lost to preemption are
one case. Iteration-level scheduling is Orca's (Yu et al., OSDI 2022); long prompts computed in chunks beside decodes
are Sarathi-Serve's (Agrawal et al. 2024, arXiv 2403.02310); preemption by recomputation is from PagedAttention (Kwon
et al. 2023, arXiv 2309.06180, section 4.5).

Three promises, and what keeps them. *Every running request advances in every step*: each is left one token of
the budget. *Every request ends*: admission proves that each fits into the pool alone, and only requests of larger rank
are preempted for one of smaller rank, so the first always moves on. *Nobody is overtaken*: waiting requests are
admitted in order of rank, and one that does not fit holds back all behind it. Policies differ in the rank alone. Tokens
that are proposed for an answer (speculative decoding) take what all others have left, so no promise depends on them.
Imports no torch.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.admission import check_can_finish
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.kv_cache_manager import ComputedPrefix, KVCacheManager
from pagoda.engine.scheduling.plan import RequestUpdate, ScheduledRequest, SchedulerOutput, SchedulerStats, StepOutput
from pagoda.engine.scheduling.request import FinishReason, Request, RequestStatus, is_decode
from pagoda.errors import InvalidRequestError

NO_PROPOSALS: Mapping[str, Sequence[int]] = MappingProxyType({})


class Scheduler:
    """Waiting and running requests over one KV cache. schedule() and update() alternate; aborts may come between.

    Not thread-safe: one thread calls everything.
    """

    def __init__(self, scheduler_config: SchedulerConfig, cache_config: CacheConfig) -> None:
        self.config = scheduler_config
        self.kv_cache_manager = KVCacheManager(cache_config)
        self._num_watermark_blocks = int(cache_config.watermark * cache_config.num_blocks)
        self._requests: dict[str, Request] = {}
        self._running: list[Request] = []  # by rank; the last is the first to be preempted
        self._waiting: list[tuple[tuple[int, float, int], Request]] = []  # a heap; finished ones are dropped on sight
        self._in_flight: dict[str, Request] = {}  # scheduled, not yet updated
        self._finished_request_ids: list[str] = []
        self._num_arrivals = 0
        self._num_preemptions = 0
        self._num_scheduled_tokens = 0
        self._num_drafts = 0
        self._num_draft_tokens = 0
        self._num_accepted_tokens = 0
        self._step = 0

    # Arrival and departure

    def add_request(self, request: Request) -> None:
        """Queues a request. Raises InvalidRequestError (PromptTooLongError) if it could never finish."""
        self._check_is_new(request)
        check_can_finish(request, self.config, self.kv_cache_manager.config)
        priority = request.priority if self.config.policy == "priority" else 0
        request.rank = (priority, request.arrival_time, self._num_arrivals)
        self._num_arrivals += 1
        self._requests[request.request_id] = request
        heapq.heappush(self._waiting, (request.rank, request))

    def _check_is_new(self, request: Request) -> None:
        assert request.status is RequestStatus.WAITING, f"{request.request_id} was given to a scheduler before"
        if request.request_id in self._requests:
            raise InvalidRequestError(f"request id {request.request_id!r} is in use: give every request its own id")
        sibling = None if request.fork_of is None else self._requests.get(request.fork_of)
        if sibling is not None and not request.shares_prompt_with(sibling):
            raise InvalidRequestError(
                f"request {request.request_id!r} is a fork of {sibling.request_id!r}, but prompt or cache_salt differ: "
                "fork only for another answer to the same prompt"
            )

    def finish(self, request_id: str, reason: FinishReason, stop_reason: int | str | None = None) -> bool:
        """Ends a request and frees its blocks at once; False if it is unknown or has ended before."""
        request = self._requests.pop(request_id, None)
        if request is None:
            return False
        if request.status is RequestStatus.RUNNING:
            self._running.remove(request)
            self.kv_cache_manager.free(request)
        self._in_flight.pop(request_id, None)
        request.status = RequestStatus.FINISHED
        request.finish_reason = reason
        request.stop_reason = stop_reason
        self._finished_request_ids.append(request_id)
        return True

    def abort(self, request_id: str) -> bool:
        """finish() for a caller who has left."""
        return self.finish(request_id, FinishReason.ABORT)

    # Planning a step

    def schedule(
        self, max_prefill_tokens: int | None = None, proposals: Mapping[str, Sequence[int]] = NO_PROPOSALS
    ) -> SchedulerOutput:
        """Plans the next step; empty if nothing is left to do. The step before must have been update()d.

        max_prefill_tokens: most tokens of prompts that it may compute while answers run; None sets no limit.
        proposals: by id, tokens that may come next, of `decoding_requests`; fed along as far as there is room.
        """
        assert not self._in_flight, f"step {self._step} is scheduled before the last one is updated"
        scheduled: list[ScheduledRequest] = []
        preempted: list[str] = []
        budget = self._advance_running(scheduled, preempted, self._budget(max_prefill_tokens))
        if not preempted:
            self._admit_waiting(scheduled, budget)
            if proposals:
                self._feed_proposals(scheduled, proposals)
        return self._freeze(scheduled, preempted)

    def _budget(self, max_prefill_tokens: int | None) -> int:
        """Tokens of the next step; each running request is sure of one."""
        budget = self.config.max_num_batched_tokens
        if max_prefill_tokens is None or not self.config.enable_chunked_prefill:
            return budget
        num_decodes = sum(map(is_decode, self._running))
        return min(budget, max(num_decodes + max_prefill_tokens, len(self._running))) if num_decodes else budget

    def _advance_running(self, scheduled: list[ScheduledRequest], preempted: list[str], budget: int) -> int:
        """Advances running requests in order of rank; returns what is left of the token budget."""
        running = self._running
        index = 0
        while index < len(running):
            request = running[index]
            if not (self.kv_cache_manager.allocate(request) or self._make_room(request, preempted)):
                break
            index += 1
            num_behind = len(running) - index  # each of these is left one token
            num_tokens = request.num_tokens - request.num_computed_tokens
            if num_tokens > 1:
                num_tokens = min(self._demand(request, request.num_computed_tokens), budget - num_behind)
                scheduled.append(self._advance(request, num_tokens))
            else:
                scheduled.append(self._decode(request))
            budget -= num_tokens
        return budget

    def _make_room(self, request: Request, preempted: list[str]) -> bool:
        """Preempts from the end until `request` has its blocks; False if it was itself the last."""
        while not self.kv_cache_manager.allocate(request):
            victim = self._running.pop()
            self._preempt(victim)
            preempted.append(victim.request_id)
            if victim is request:
                assert self._running, f"{request.request_id} is alone and short of blocks: admission is broken"
                return False
        return True

    def _preempt(self, request: Request) -> None:
        self.kv_cache_manager.free(request)
        request.status = RequestStatus.PREEMPTED
        request.num_computed_tokens = 0
        request.num_preemptions += 1
        self._num_preemptions += 1
        heapq.heappush(self._waiting, (request.rank, request))

    def _demand(self, request: Request, num_computed_tokens: int) -> int:
        num_tokens = request.num_tokens - num_computed_tokens
        threshold = self.config.long_prefill_token_threshold
        return min(num_tokens, threshold) if threshold else num_tokens

    def _advance(self, request: Request, num_tokens: int) -> ScheduledRequest:
        start = request.num_computed_tokens
        end = start + num_tokens
        self._in_flight[request.request_id] = request
        return ScheduledRequest(
            request.request_id,
            request.tokens_between(start, end),
            start,
            self.kv_cache_manager.block_ids(request),
            end == request.num_tokens,
            request.num_logits(start, end),
            len(request.prompt_token_ids),
        )

    def _decode(self, request: Request) -> ScheduledRequest:
        """`_advance` by the last known token: what most requests do in most steps, in fewer words."""
        self._in_flight[request.request_id] = request
        if not request.output_token_ids:
            return self._advance(request, 1)
        return ScheduledRequest(
            request.request_id,
            (request.output_token_ids[-1],),
            request.num_computed_tokens,
            self.kv_cache_manager.block_ids(request),
            True,
            1,
            len(request.prompt_token_ids),
        )

    def _admit_waiting(self, scheduled: list[ScheduledRequest], budget: int) -> None:
        """Admits in order of rank while tokens, sequences and blocks allow; forks that must wait are stepped over."""
        deferred = []
        while budget > 0 and len(self._running) < self.config.max_num_seqs:
            request = self._next_waiting()
            if request is None:
                break
            if request.is_suspect and any(each.is_suspect for each in self._running):
                break
            if self._awaits_sibling(request):
                deferred.append(heapq.heappop(self._waiting))
                continue
            num_tokens = self._try_admit(request, budget)
            if num_tokens == 0:
                break
            heapq.heappop(self._waiting)
            scheduled.append(self._advance(request, num_tokens))
            budget -= num_tokens
        for entry in deferred:
            heapq.heappush(self._waiting, entry)

    def _next_waiting(self) -> Request | None:
        while self._waiting and self._waiting[0][1].is_finished:
            heapq.heappop(self._waiting)
        return self._waiting[0][1] if self._waiting else None

    def _try_admit(self, request: Request, budget: int) -> int:
        """Moves a request to the running ones and returns how many tokens it may advance; 0 if it must wait."""
        prefix = self._computed_prefix(request)
        demand = self._demand(request, prefix.num_tokens)
        if demand > budget and not self.config.enable_chunked_prefill:
            return 0
        # Alone, a request may take the last block; beside others it leaves them room to grow.
        num_spare_blocks = self._num_watermark_blocks if self._running else 0
        if not self.kv_cache_manager.admit(request, prefix, num_spare_blocks):
            return 0
        if request.num_preemptions == 0:
            request.num_cached_tokens = prefix.num_tokens
        request.num_computed_tokens = prefix.num_tokens
        request.status = RequestStatus.RUNNING
        insort(self._running, request, key=attrgetter("rank"))
        return min(demand, budget)

    def _computed_prefix(self, request: Request) -> ComputedPrefix:
        """The longer of what the prefix cache and a running sibling hold."""
        cached = self.kv_cache_manager.get_computed_blocks(request)
        sibling = self._running_sibling(request)
        if sibling is None:
            return cached
        return max(cached, self.kv_cache_manager.fork(sibling), key=attrgetter("num_tokens"))

    def _running_sibling(self, request: Request) -> Request | None:
        """The running request whose prompt blocks a fork may share; None, and it runs like any other."""
        if request.fork_of is None or not request.read_prefix_cache:
            return None
        sibling = self._requests.get(request.fork_of)
        if sibling is None or sibling.status is not RequestStatus.RUNNING:
            return None
        # An id may have been taken over by another request since this one came.
        return sibling if request.shares_prompt_with(sibling) else None

    def _awaits_sibling(self, request: Request) -> bool:
        sibling = self._running_sibling(request)
        return sibling is not None and sibling.num_computed_tokens < sibling.num_prompt_tokens - 1

    def _feed_proposals(self, scheduled: list[ScheduledRequest], proposals: Mapping[str, Sequence[int]]) -> None:
        """Lets answers advance by what is proposed for them, out of the tokens and blocks that all others left."""
        budget = self.config.max_num_batched_tokens - sum(len(entry.token_ids) for entry in scheduled)
        for index, entry in enumerate(scheduled):
            proposed = proposals.get(entry.request_id, ())[:budget]
            if not proposed:
                continue
            request = self._in_flight[entry.request_id]
            assert len(entry.token_ids) == 1, f"{entry.request_id} has more than its last token to compute"
            proposed = proposed[: self.kv_cache_manager.reserve(request, min(len(proposed), self._room(request)))]
            scheduled[index] = entry._replace(
                token_ids=(*entry.token_ids, *proposed),
                block_ids=self.kv_cache_manager.block_ids(request),
                num_logits=1 + len(proposed),
                num_proposed=len(proposed),
            )
            budget -= len(proposed)

    def _room(self, request: Request) -> int:
        """Most tokens that may be proposed: after them comes one that is sampled."""
        num_left = request.max_tokens - len(request.output_token_ids)
        return max(min(num_left, self.config.max_model_len - request.num_tokens) - 1, 0)

    def _freeze(self, scheduled: list[ScheduledRequest], preempted: list[str]) -> SchedulerOutput:
        num_scheduled_tokens = {entry.request_id: len(entry.token_ids) for entry in scheduled}
        output = SchedulerOutput(
            step=self._step,
            scheduled=tuple(scheduled),
            num_scheduled_tokens=num_scheduled_tokens,
            total_num_scheduled_tokens=sum(num_scheduled_tokens.values()),
            blocks_to_copy=self.kv_cache_manager.take_copies(),
            preempted_request_ids=tuple(preempted),
            finished_request_ids=tuple(self._finished_request_ids),
        )
        self._finished_request_ids.clear()
        self._num_scheduled_tokens += output.total_num_scheduled_tokens
        self._step += 1
        return output

    # Recording a step

    def update(self, plan: SchedulerOutput, output: StepOutput) -> list[RequestUpdate]:
        """Records a step that was run. `output` holds tokens for every scheduled request that samples.

        Returns news only: nothing for a prompt that is still being computed. Requests that ended in between are
        passed over, whatever was sampled for them. Raises KeyError if a sample is missing.
        """
        assert plan.step == self._step - 1, f"step {plan.step} is updated, but step {self._step - 1} is due"
        updates = []
        block_size = self.kv_cache_manager.config.block_size
        for entry in plan.scheduled:
            request = self._in_flight.pop(entry.request_id, None)
            if request is None:
                continue
            start, count = entry.num_computed_tokens, len(entry.token_ids) - entry.num_proposed
            request.num_computed_tokens = start + count
            if start % block_size + count >= block_size:
                self.kv_cache_manager.cache_blocks(request, start)
            if entry.samples:
                updates.append(self._record(request, output, entry.num_proposed))
            elif entry.request_id in output.prompt_logprobs:
                told = output.prompt_logprobs[entry.request_id]
                updates.append(RequestUpdate(entry.request_id, prompt_logprobs=told))
        return updates

    def _record(self, request: Request, output: StepOutput, num_proposed: int) -> RequestUpdate:
        """Takes a request's new tokens up to the one that ends it; ends it, where it has come to its end."""
        request_id = request.request_id
        tokens: tuple[SampledToken, ...] = ()
        reason: FinishReason | None = None
        stop_reason: int | str | None = output.errors.get(request_id) if output.errors else None
        if stop_reason is not None:
            reason = FinishReason.ERROR
        elif request.wants_tokens:
            tokens, reason, stop_reason = self._take(request, output.tokens[request_id])
            if num_proposed:
                self._settle(request, num_proposed, min(len(tokens) - 1, num_proposed))
        else:
            reason, stop_reason = request.check_stop(self.config.max_model_len)
        if reason is not None:
            self.finish(request_id, reason, stop_reason)
        if not (output.prompt_logprobs or output.pooled):
            return RequestUpdate(request_id, tokens, reason, stop_reason)
        prompt_logprobs = output.prompt_logprobs.get(request_id, ())
        return RequestUpdate(request_id, tokens, reason, stop_reason, prompt_logprobs, output.pooled.get(request_id))

    def _take(
        self, request: Request, sampled: tuple[SampledToken, ...]
    ) -> tuple[tuple[SampledToken, ...], FinishReason | None, int | None]:
        """(tokens, finish_reason, stop_reason): what comes behind the token that ends the request is dropped."""
        if len(sampled) == 1:
            request.output_token_ids.append(sampled[0].token_id)
            return sampled, *request.check_last_token(self.config.max_model_len)
        for num_taken, token in enumerate(sampled, start=1):
            request.output_token_ids.append(token.token_id)
            reason, stop_reason = request.check_last_token(self.config.max_model_len)
            if reason is not None:
                return sampled[:num_taken], reason, stop_reason
        return sampled, None, None

    def _settle(self, request: Request, num_proposed: int, num_accepted: int) -> None:
        """Proposals that were sampled are computed; of the others nothing stays but the count."""
        before = request.num_computed_tokens
        request.num_computed_tokens += num_accepted
        self.kv_cache_manager.cache_blocks(request, before)
        self.kv_cache_manager.give_back(request)
        self._num_drafts += 1
        self._num_draft_tokens += num_proposed
        self._num_accepted_tokens += num_accepted

    def revoke(self) -> None:
        """Takes the last schedule() back where its step broke off: nothing of what it computed is relied on.

        Whoever ran loses its blocks, copies that may be half made among them, and is computed anew.
        """
        self._in_flight.clear()
        while self._running:
            self._preempt(self._running.pop())

    def has_unfinished_requests(self) -> bool:
        return bool(self._requests)

    @property
    def running_requests(self) -> list[Request]:
        """By rank; a copy, for benchmarks to look at and not to change."""
        return list(self._running)

    @property
    def decoding_requests(self) -> list[Request]:
        """Running ones of which the last sampled token is all that is left to compute, by rank."""
        return [
            request
            for request in self._running
            if request.output_token_ids and request.num_tokens - request.num_computed_tokens == 1
        ]

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        return len(self._requests) - len(self._running)

    @property
    def kv_cache_usage(self) -> float:
        return self.kv_cache_manager.usage

    @property
    def stats(self) -> SchedulerStats:
        return SchedulerStats(
            num_running=self.num_running,
            num_waiting=self.num_waiting,
            kv_cache_usage=self.kv_cache_usage,
            num_preemptions=self._num_preemptions,
            prefix_cache_queries=self.kv_cache_manager.num_queried_tokens,
            prefix_cache_hits=self.kv_cache_manager.num_hit_tokens,
            num_scheduled_tokens=self._num_scheduled_tokens,
            spec_decode_num_drafts=self._num_drafts,
            spec_decode_num_draft_tokens=self._num_draft_tokens,
            spec_decode_num_accepted_tokens=self._num_accepted_tokens,
        )
