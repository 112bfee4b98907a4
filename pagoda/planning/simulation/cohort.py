"""The scheduler, with the answers that only grow counted together instead of walked one by one.

Under `replica`. Most requests of most steps get one token and nothing else happens to them: no block is taken or named,
none of them ends. Those are the *cohort*; the scheduler's own loops, inherited unchanged, see only the others: prompts,
and every answer in the very step in which it ends, or fills or needs a block that the prefix cache may name. As the
scheduler promises each running request a token in each step, the cohort takes its tokens from the budget first; where
blocks might not do for all, so that somebody may be preempted, the cohort is dissolved and the whole step is the
scheduler's. What comes out is what `Scheduler` does by itself, down to which block holds what where blocks have names;
a test holds the two against each other.

A plan that names nobody says that until somebody of the cohort is due nothing changes but lengths: so many steps are
one `jump`. Where nobody waits, no decision hangs on blocks while there are enough of them, so it goes on to the first
end, and blocks are taken and named on the way, step by step in the order of rank. Imports no torch.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import RequestUpdate, ScheduledRequest, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import FinishReason, Request, RequestStatus
from pagoda.engine.scheduling.scheduler import NO_PROPOSALS, Scheduler

_RANK = attrgetter("rank")
_BLOCKS_A_STEP = 2
"""Most that a running request takes in a step: one to grow, one to copy."""


class _Member(NamedTuple):
    """joined: the tick from which its tokens are counted; due: the tick of the step in which more happens to it than
    one token; end: of that in which it ends.
    """

    request: Request
    joined: int
    due: int
    end: int


class CohortScheduler(Scheduler):
    """As `Scheduler`, for a simulation: every token sampled is 0, and nothing is proposed."""

    def __init__(self, scheduler_config: SchedulerConfig, cache_config: CacheConfig) -> None:
        super().__init__(scheduler_config, cache_config)
        self._cohort: dict[str, _Member] = {}
        self._due: list[tuple[int, tuple[int, float, int], str]] = []  # a heap; of members that left before, too
        self._ends: list[tuple[int, str]] = []  # likewise
        self._told_ends: dict[str, int] = {}  # which of these are there
        self._others: list[Request] = []  # running ones that the next plan names
        self._tick = 0
        self._lengths = 0  # of the members, less the tick at which each joined

    @property
    def cohort_size(self) -> int:
        """Requests that get a token in the step that was planned last without being named in it."""
        return len(self._cohort)

    @property
    def cohort_keys(self) -> int:
        """Keys that these see in it."""
        return self._lengths + self._tick * len(self._cohort)

    @property
    def num_quiet_steps(self) -> int:
        """After a plan that names nobody: so many steps, that one the first, may be one jump."""
        while not self._is_due(self._due[0][2], self._due[0][0]):
            heapq.heappop(self._due)
        nearest = self._due[0][0] - self._tick
        if self.num_waiting:
            return nearest
        manager = self.kv_cache_manager
        num_blocks_each = manager.pool.num_free_blocks // len(self._cohort)
        return max(nearest, min(self._first_end() - self._tick, (num_blocks_each - 1) * manager.config.block_size))

    def _first_end(self) -> int:
        while True:
            end, request_id = self._ends[0]
            member = self._cohort.get(request_id)
            if member is not None and member.end == end:
                return end
            heapq.heappop(self._ends)
            if self._told_ends.get(request_id) == end:
                del self._told_ends[request_id]

    def schedule(
        self, max_prefill_tokens: int | None = None, proposals: Mapping[str, Sequence[int]] = NO_PROPOSALS
    ) -> SchedulerOutput:
        """See `Scheduler.schedule`. Without the cohort, which is part of the step all the same."""
        if not self._is_quiet():
            self._name_the_due()
        return super().schedule(max_prefill_tokens, proposals)

    def _is_quiet(self) -> bool:
        """Whether the next step is sure to be one of a jump: what is due is blocks alone, and there are enough."""
        if self._others or not self._cohort or self.num_waiting:
            return False
        num_free = self.kv_cache_manager.pool.num_free_blocks
        return num_free >= _BLOCKS_A_STEP * len(self._cohort) and self._first_end() > self._tick

    def _name_the_due(self) -> None:
        """Those of the cohort to whom more happens in the next step than a token are the scheduler's again."""
        manager = self.kv_cache_manager
        has_room = manager.pool.num_free_blocks >= _BLOCKS_A_STEP * len(self._running)
        stays = has_room and not manager.config.enable_prefix_caching
        while self._due and self._due[0][0] <= self._tick:
            due, _, name = self._due[0]
            if stays and self._is_due(name, due) and self._cohort[name].end > due:
                self._take_blocks(self._tick + 1)
            elif (request := self._pop_due()) is not None:
                self._others.append(request)
        self._others.sort(key=_RANK)

    def _is_due(self, request_id: str, due: int) -> bool:
        member = self._cohort.get(request_id)
        return member is not None and member.due == due

    def _pop_due(self) -> Request | None:
        """The next of the cohort leaves it, where it has not before."""
        due, _, request_id = heapq.heappop(self._due)
        return self._leave(request_id) if self._is_due(request_id, due) else None

    def _advance_running(self, scheduled: list[ScheduledRequest], preempted: list[str], budget: int) -> int:
        others = self._others
        if self.kv_cache_manager.pool.num_free_blocks < _BLOCKS_A_STEP * len(others):
            self._dissolve()
            return super()._advance_running(scheduled, preempted, budget)
        running, self._running = self._running, others
        try:
            return super()._advance_running(scheduled, preempted, budget - len(self._cohort))
        finally:
            self._running = running

    def update(self, plan: SchedulerOutput, output: StepOutput) -> list[RequestUpdate]:
        """See `Scheduler.update`; of the cohort there is no news but its tokens."""
        updates = super().update(plan, output)
        self._grow(1)
        self._others = []
        for entry in plan.scheduled:
            request = self._requests.get(entry.request_id)
            if request is not None and request.status is RequestStatus.RUNNING:
                self._sort_in(request)
        return updates

    def jump(self, num_steps: int) -> None:
        """In place of `update`, after a plan that names nobody: `num_quiet_steps` at most, in one call or several."""
        target = self._tick + num_steps
        names_blocks = self.kv_cache_manager.config.enable_prefix_caching
        while self._due and self._due[0][0] < target:
            if not names_blocks:
                self._take_blocks(target)
                continue
            self._grow(self._due[0][0] - self._tick)
            at_once: list[Request] = []
            while self._due and self._due[0][0] == self._tick:
                if (request := self._pop_due()) is not None:
                    at_once.append(request)
            self._touch(at_once)
        self._grow(target - self._tick)

    def _take_blocks(self, until: int) -> None:
        """Where blocks have no names, a member that needs some before that tick stays where it is."""
        due, rank, name = self._due[0]
        if not self._is_due(name, due):
            heapq.heappop(self._due)
            return
        (request, joined, _, end), block_size = self._cohort[name], self.kv_cache_manager.config.block_size
        more = (until - 1 - due) // block_size * block_size
        has_room = self.kv_cache_manager.reserve(request, due + more - joined) == due + more - joined
        assert has_room, "a jump goes no further than there are blocks"
        later = min(due + more + block_size, end)
        self._cohort[name] = _Member(request, joined, later, end)
        heapq.heapreplace(self._due, (later, rank, name))

    def _touch(self, requests: list[Request]) -> None:
        """A step in which each of these, by rank, takes a block, or fills one, or both."""
        manager = self.kv_cache_manager
        for request in requests:
            has_room = manager.allocate(request)
            assert has_room, "a jump goes no further than there are blocks"
        for request in requests:
            before = request.num_computed_tokens
            request.num_computed_tokens += 1
            manager.cache_blocks(request, before)
            request.output_token_ids.append(0)
        self._grow(1)
        self._num_scheduled_tokens += len(requests)
        for request in requests:
            self._join(request)

    def _grow(self, num_steps: int) -> None:
        self._tick += num_steps
        self._num_scheduled_tokens += num_steps * len(self._cohort)

    def finish(self, request_id: str, reason: FinishReason, stop_reason: int | str | None = None) -> bool:
        """See `Scheduler.finish`."""
        if request_id in self._cohort:
            self._leave(request_id)
        self._others = [each for each in self._others if each.request_id != request_id]
        return super().finish(request_id, reason, stop_reason)

    def revoke(self) -> None:
        """See `Scheduler.revoke`."""
        self._dissolve()
        self._others = []
        super().revoke()

    def _sort_in(self, request: Request) -> None:
        """A running request that was named: to the cohort where it decodes now."""
        if request.output_token_ids and request.num_tokens - request.num_computed_tokens == 1:
            self._join(request)
        else:
            self._others.append(request)

    def _join(self, request: Request) -> None:
        """One that decodes, until the step in which more happens to it than one token."""
        manager, num_outputs = self.kv_cache_manager, len(request.output_token_ids)
        block_size = manager.config.block_size
        num_computed = request.num_computed_tokens
        left = min(request.max_tokens - num_outputs, self.config.max_model_len - num_computed - 1) - 1
        num_steps = min(left, manager.num_blocks_held(request) * block_size - num_computed)
        if manager.config.enable_prefix_caching:
            num_steps = min(num_steps, block_size - 1 - num_computed % block_size)
        name, due, end = request.request_id, self._tick + num_steps, self._tick + left
        self._cohort[name] = _Member(request, self._tick, due, end)
        self._lengths += num_computed + 1 - self._tick
        heapq.heappush(self._due, (due, request.rank, name))
        if self._told_ends.get(name) != end:
            self._told_ends[name] = end
            heapq.heappush(self._ends, (end, name))

    def _leave(self, request_id: str) -> Request:
        """Its tokens are put down, and the scheduler sees it again."""
        request, joined, _, _ = self._cohort.pop(request_id)
        self._lengths -= request.num_computed_tokens + 1 - joined
        count = self._tick - joined
        request.output_token_ids += [0] * count
        request.num_computed_tokens += count
        return request

    def _dissolve(self) -> None:
        for request_id in list(self._cohort):
            self._leave(request_id)
