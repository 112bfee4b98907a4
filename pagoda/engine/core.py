"""The heart: one step of continuous batching over everything that is in flight.

On the token's path: `step` asks the scheduler for a plan, has the executor run it, and lets the scheduler record what
it brought. Requests join and leave between any two steps (Orca, Yu et al., OSDI 2022). The core knows token ids only;
text is the business of `text/output_processor`, tensors are that of `execution/worker`. Imports no torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pagoda.engine.execution.executor import DistributedExecutor, Executor
from pagoda.engine.sampling.core_request import CoreRequest, sample_rows
from pagoda.engine.sampling.rows import PoolRow, SampleRow, ScoreRow, StepRows
from pagoda.engine.scheduling.pacing import PrefillPacer
from pagoda.engine.scheduling.plan import RequestUpdate, ScheduledRequest, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import FinishReason
from pagoda.engine.scheduling.scheduler import NO_PROPOSALS, Scheduler
from pagoda.engine.speculation.speculator import Speculator
from pagoda.errors import EngineDeadError, StructuredOutputError

MOST_BROKEN_STEPS = 1
"""In which ranks may end under a request that is then computed anew: one may be chance."""


class EngineCore:
    """Scheduler and executor, and the requests between them. Not thread-safe: one thread calls everything.

    speculator: proposes tokens ahead; without one, each step brings each request one token.
    clock: tells seconds, to the pacer and of each request's first step.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        executor: Executor,
        pacer: PrefillPacer | None = None,
        speculator: Speculator | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scheduler = scheduler
        self.executor = executor
        self.pacer = pacer
        self.speculator = speculator
        self._clock = clock
        self._requests: dict[str, CoreRequest] = {}
        self._suspects: set[str] = set()
        self._stuck: dict[str, str] = {}
        """Of the step under way: requests that have no row, as their grammar cannot go on, and why."""

    def add_request(self, core_request: CoreRequest) -> None:
        """Queue a request. Raises InvalidRequestError where it could never finish; nothing else changes then."""
        self.scheduler.add_request(core_request.request)
        self._requests[core_request.request.request_id] = core_request

    def finish_request(self, request_id: str, reason: FinishReason, stop_reason: str | None = None) -> None:
        """End a request from outside: its caller left, or its text met a stop string. Its blocks are free at once."""
        self.scheduler.finish(request_id, reason, stop_reason)
        self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        self._suspects.discard(request_id)
        self._requests.pop(request_id, None)
        if self.speculator is not None:
            self.speculator.forget(request_id)

    def has_unfinished_requests(self) -> bool:
        return self.scheduler.has_unfinished_requests()

    def step(self) -> list[RequestUpdate]:
        """Advance everything that fits by one step; news of the requests that got any.

        Where execution breaks off, be it by Ctrl-C, the exception goes on and no request has lost anything but time.
        After an EngineDeadError `give_up` and `recover` are called for.
        """
        plan = self.scheduler.schedule(self._max_prefill_tokens(), self._proposals())
        if not plan.scheduled:
            return []
        began = self._clock()
        try:
            output = self.executor.execute(plan, self._rows(plan, began))
        except BaseException as error:
            self._break_off(plan, error)
            raise
        return self._update(plan, output, began)

    def _break_off(self, plan: SchedulerOutput, error: BaseException) -> None:
        """Take a plan back; whose ranks ended in it is noted, as that may be the request's doing."""
        if isinstance(error, EngineDeadError):
            for entry in plan.scheduled:
                self._requests[entry.request_id].note_broken_step()
                self._suspects.add(entry.request_id)
        self.scheduler.revoke()

    def _clear(self, updates: Sequence[RequestUpdate]) -> None:
        """A request with which a step has gone well is not what breaks them."""
        for update in updates:
            if update.request_id in self._suspects:
                self._suspects.discard(update.request_id)
                self._requests[update.request_id].request.is_suspect = False

    def give_up(self) -> list[str]:
        """End requests under which ranks ended in two steps without a token between: they may be what breaks them.

        After the first, one of those that were in it runs at a time until it gets a token: nobody is taken for another.
        """
        lost = [name for name, each in self._requests.items() if each.num_broken_steps > MOST_BROKEN_STEPS]
        for name in lost:
            self.finish_request(name, FinishReason.ERROR)
        return lost

    def recover(self, error: EngineDeadError) -> None:
        """Bring back ranks that have ended, as `error` says. Requests go on where they were: they are computed anew.

        Raises `error` where there are no ranks to start, EngineDeadError where they end again, and what keeps the model
        from loading.
        """
        if not isinstance(self.executor, DistributedExecutor):
            raise error
        if self.executor.has_ended:
            self.executor.restart()
            self.scheduler.revoke()
            forgotten = self.scheduler.kv_cache_manager.pool.forget_all()
            assert forgotten, "revoked requests hold no blocks"

    @property
    def has_lost_ranks(self) -> bool:
        """Whether the model's ranks have ended, so that the next step would break off."""
        return isinstance(self.executor, DistributedExecutor) and self.executor.has_ended

    def close(self) -> None:
        """End the ranks, where there are any."""
        if isinstance(self.executor, DistributedExecutor):
            self.executor.close()

    def _max_prefill_tokens(self) -> int | None:
        return None if self.pacer is None else self.pacer.max_prefill_tokens

    def _proposals(self) -> Mapping[str, Sequence[int]]:
        """Tokens that may come next, by request id."""
        if self.speculator is None:
            return NO_PROPOSALS
        writing = [self._requests[request.request_id] for request in self.scheduler.decoding_requests]
        return self.speculator.propose(writing) if writing else NO_PROPOSALS

    def _rows(self, plan: SchedulerOutput, now: float) -> StepRows:
        """What is to be done with the logits and hidden states of this step."""
        self._stuck = {}
        samples: list[SampleRow] = []
        scores: list[ScoreRow] = []
        pools: list[PoolRow] = []
        for entry in plan.scheduled:
            core_request = self._requests[entry.request_id]
            if core_request.first_scheduled_time is None:
                core_request.first_scheduled_time = now
            if (score := _score_row(core_request, entry)) is not None:
                scores.append(score)
            if (pool := _pool_row(core_request, entry)) is not None:
                pools.append(pool)
            if not (entry.samples and core_request.request.wants_tokens):
                continue
            try:
                samples += sample_rows(core_request, entry.proposed)
            except StructuredOutputError as error:
                self._stuck[entry.request_id] = str(error)
        return StepRows(samples, scores, pools)

    def _update(self, plan: SchedulerOutput, output: StepOutput, began: float) -> list[RequestUpdate]:
        """Let the pacer, the speculator, the grammars and the scheduler learn what the step brought."""
        if self.pacer is not None:
            num_decodes = plan.num_decode_tokens
            self.pacer.observe(
                num_decodes=num_decodes,
                num_prefill_tokens=plan.total_num_scheduled_tokens - num_decodes,
                elapsed_s=self._clock() - began,
            )
        if self.speculator is not None:
            self.speculator.observe(plan, output)
        for request_id, told in output.prompt_logprobs.items():
            self._requests[request_id].num_prompt_logprobs += len(told)
        for request_id, so_far in output.pooled_so_far.items():
            self._requests[request_id].pooled_so_far = so_far
        if refused := self._stuck | self._advance_grammars(output):
            output = replace(output, errors={**output.errors, **refused})
        updates = self.scheduler.update(plan, output)
        if self._suspects:
            self._clear(updates)
        for update in updates:
            if update.finish_reason is not None:
                self._forget(update.request_id)
        return updates

    def _advance_grammars(self, output: StepOutput) -> dict[str, str]:
        """Take new tokens into the grammars; by id, what went wrong where one did not fit."""
        refused = {}
        for request_id, tokens in output.tokens.items():
            matcher = self._requests[request_id].matcher
            if matcher is None:
                continue
            try:
                for token in tokens:
                    matcher.advance(token.token_id)
            except StructuredOutputError as error:
                refused[request_id] = str(error)
        return refused


def _score_row(core_request: CoreRequest, entry: ScheduledRequest) -> ScoreRow | None:
    """The prompt tokens that this step's logits predict and that were not told before, if there are any."""
    request = core_request.request
    wanted = None if request.sampling_params is None else request.sampling_params.prompt_logprobs
    if wanted is None or entry.num_logits < len(entry.token_ids):
        return None
    # Row i, at position p, predicts the token at p + 1; the first prompt token has no prediction.
    start = entry.num_computed_tokens
    first = max(start, core_request.num_prompt_logprobs)
    last = min(start + len(entry.token_ids), request.num_prompt_tokens - 1)
    if first >= last:
        return None
    return ScoreRow(request.request_id, first - start, request.prompt_token_ids[first + 1 : last + 1], wanted)


def _pool_row(core_request: CoreRequest, entry: ScheduledRequest) -> PoolRow | None:
    """Of an embedding: in the step of its last token, and before that where every token counts."""
    params, pooling = core_request.pooling_params, core_request.pooling
    if params is None or (pooling == "last" and not entry.samples):
        return None
    # A request that lost its blocks begins anew, and so does its sum.
    so_far = core_request.pooled_so_far if entry.num_computed_tokens else ()
    num_tokens = core_request.request.num_prompt_tokens if entry.samples else None
    return PoolRow(entry.request_id, params, pooling, so_far, num_tokens)
