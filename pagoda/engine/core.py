"""The heart: one step of continuous batching over everything that is in flight.

On the token's path: `step` asks the scheduler for a plan, has the executor run it, samples, and lets the
scheduler record the result. Requests join and leave between any two steps (Orca, Yu et al., OSDI 2022). The core
knows token ids only; text is the business of `output_processor`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from pagoda.engine.execution.executor import Executor
from pagoda.engine.execution.model_runner import ModelOutput
from pagoda.engine.outputs import Logprob
from pagoda.engine.sampling.logprobs import prompt_logprobs
from pagoda.engine.sampling.sampler import NO_TOKEN, SampledToken, Sampler, SampleRow
from pagoda.engine.sampling.structured import GrammarMatcher
from pagoda.engine.scheduling.pacing import PrefillPacer
from pagoda.engine.scheduling.plan import RequestUpdate, ScheduledRequest, SchedulerOutput
from pagoda.engine.scheduling.request import FinishReason, Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.errors import StructuredOutputError


@dataclass(eq=False)
class CoreRequest:
    """A request with what sampling it takes beyond its tokens.

    seed: fixes its random numbers; bad_words_ids: token sequences whose last token is forbidden after the others;
    matcher: its place in a grammar, or None.
    """

    request: Request
    seed: int
    bad_words_ids: Sequence[Sequence[int]] = ()
    matcher: GrammarMatcher | None = None
    first_scheduled_time: float | None = field(default=None, init=False)
    """Seconds of time.monotonic() at its first step."""
    num_prompt_logprobs: int = field(default=0, init=False)
    """Prompt tokens whose log-probabilities are out already: recomputation must not tell them twice."""


class CoreOutput(NamedTuple):
    """What a step brought for one request."""

    request_id: str
    new_token_id: int | None
    finish_reason: FinishReason | None
    stop_reason: int | str | None
    logprobs: dict[int, Logprob] | None = None
    prompt_logprobs: tuple[dict[int, Logprob], ...] = ()
    hidden_state: torch.Tensor | None = None
    """[hidden_size] of the last prompt token, for a pooling request."""


class EngineCore:
    """Scheduler, executor and sampler, and the requests between them. Not thread-safe: one thread calls everything."""

    def __init__(self, scheduler: Scheduler, executor: Executor, pacer: PrefillPacer | None = None) -> None:
        self.scheduler = scheduler
        self.executor = executor
        self.pacer = pacer
        self.sampler = Sampler()
        self._requests: dict[str, CoreRequest] = {}

    def add_request(self, core_request: CoreRequest) -> None:
        """Queue a request. Raises InvalidRequestError where it could never finish; nothing else changes then."""
        self.scheduler.add_request(core_request.request)
        self._requests[core_request.request.request_id] = core_request

    def finish_request(self, request_id: str, reason: FinishReason, stop_reason: str | None = None) -> None:
        """End a request from outside: its caller left, or its text met a stop string. Its blocks are free at once."""
        self.scheduler.finish(request_id, reason, stop_reason)
        self._requests.pop(request_id, None)

    def step(self) -> list[CoreOutput]:
        """Advance everything that fits by one step; news of the requests that got any.

        Where execution breaks off, be it by Ctrl-C, the exception goes on and no request has lost anything but time.
        """
        plan = self.scheduler.schedule(None if self.pacer is None else self.pacer.max_prefill_tokens)
        if not plan.scheduled:
            return []
        began = time.monotonic()
        try:
            self._note_first_steps(plan)
            computed = self.executor.execute(plan)
            sampled = self._sample(plan, computed)
        except BaseException:
            self.scheduler.revoke()
            raise
        if self.pacer is not None:
            num_decodes = sum(entry.num_computed_tokens >= entry.num_prompt_tokens for entry in plan.scheduled)
            self.pacer.observe(
                num_decodes=num_decodes,
                num_prefill_tokens=plan.total_num_scheduled_tokens - num_decodes,
                elapsed_s=time.monotonic() - began,
            )
        return self._update(plan, computed, sampled)

    def has_unfinished_requests(self) -> bool:
        return self.scheduler.has_unfinished_requests()

    def _note_first_steps(self, plan: SchedulerOutput) -> None:
        now = time.monotonic()
        for entry in plan.scheduled:
            core_request = self._requests[entry.request_id]
            if core_request.first_scheduled_time is None:
                core_request.first_scheduled_time = now

    def _sample(self, plan: SchedulerOutput, computed: ModelOutput) -> dict[str, SampledToken]:
        """One token for every request whose last known token was fed."""
        rows, indices, request_ids = [], [], []
        end = 0
        for entry in plan.scheduled:
            end += entry.num_logits
            if entry.samples and (core_request := self._requests[entry.request_id]).request.wants_tokens:
                rows.append(_sample_row(core_request))
                indices.append(end - 1)
                request_ids.append(entry.request_id)
        if not rows:
            return {}
        wanted = computed.logits if len(indices) == end else computed.logits[indices]
        return dict(zip(request_ids, self.sampler.sample(wanted, rows), strict=True))

    def _update(
        self, plan: SchedulerOutput, computed: ModelOutput, sampled: dict[str, SampledToken]
    ) -> list[CoreOutput]:
        failed = self._advance_grammars(sampled)
        told = self._prompt_outputs(plan, computed)
        token_ids = {request_id: token.token_id for request_id, token in sampled.items()}
        outputs = []
        for update in self.scheduler.update(plan, token_ids):
            told.setdefault(update.request_id, CoreOutput(update.request_id, None, None, None))
            outputs.append(self._output(update, sampled.get(update.request_id), told.pop(update.request_id)))
        return outputs + list(told.values()) + failed

    def _advance_grammars(self, sampled: dict[str, SampledToken]) -> list[CoreOutput]:
        """Take the tokens into the grammars. A request left without any token to sample ends, it alone."""
        failed = []
        for request_id, token in sampled.items():
            matcher = self._requests[request_id].matcher
            try:
                if token.token_id == NO_TOKEN:
                    raise StructuredOutputError(f"request {request_id}: its constraints allow no token")
                if matcher is not None:
                    matcher.advance(token.token_id)
            except StructuredOutputError as error:
                self.finish_request(request_id, FinishReason.ERROR)
                failed.append(CoreOutput(request_id, None, FinishReason.ERROR, str(error)))
        return failed

    def _prompt_outputs(self, plan: SchedulerOutput, computed: ModelOutput) -> dict[str, CoreOutput]:
        """What prompts themselves give: log-probabilities of their tokens, or a hidden state."""
        outputs: dict[str, CoreOutput] = {}
        logit_row = hidden_row = 0
        for entry in plan.scheduled:
            core_request = self._requests.get(entry.request_id)
            logits = computed.logits[logit_row : logit_row + entry.num_logits]
            logit_row += entry.num_logits
            hidden_row += len(entry.token_ids)
            if core_request is None:
                continue
            told = CoreOutput(entry.request_id, None, None, None)
            if core_request.request.is_pooling and entry.samples:
                outputs[entry.request_id] = told._replace(hidden_state=computed.hidden_states[hidden_row - 1])
            elif logprobs := _prompt_logprobs(core_request, entry, logits):
                outputs[entry.request_id] = told._replace(prompt_logprobs=logprobs)
        return outputs

    def _output(self, update: RequestUpdate, token: SampledToken | None, told: CoreOutput) -> CoreOutput:
        if update.finish_reason is not None:
            self._requests.pop(update.request_id, None)
        return told._replace(
            new_token_id=update.new_token_id,
            finish_reason=update.finish_reason,
            stop_reason=update.stop_reason,
            logprobs=token.logprobs if token is not None else None,
        )


def _sample_row(core_request: CoreRequest) -> SampleRow:
    request = core_request.request
    assert request.sampling_params is not None, "a pooling request samples nothing"
    return SampleRow(
        params=request.sampling_params,
        seed=core_request.seed,
        position=len(request.output_token_ids),
        prompt_token_ids=request.prompt_token_ids,
        output_token_ids=request.output_token_ids,
        stop_token_ids=request.stop_token_ids,
        token_bitmask=None if core_request.matcher is None else core_request.matcher.bitmask(),
        bad_words_ids=core_request.bad_words_ids,
    )


def _prompt_logprobs(
    core_request: CoreRequest, entry: ScheduledRequest, logits: torch.Tensor
) -> tuple[dict[int, Logprob], ...]:
    """Log-probabilities of the prompt tokens that this step's rows predict and that were not told before."""
    request = core_request.request
    wanted = None if request.sampling_params is None else request.sampling_params.prompt_logprobs
    if wanted is None or entry.num_logits < len(entry.token_ids):
        return ()
    # Row i, at position p, predicts the token at p + 1; the first prompt token has no prediction.
    first = max(entry.num_computed_tokens, core_request.num_prompt_logprobs)
    last = min(entry.num_computed_tokens + len(entry.token_ids), request.num_prompt_tokens - 1)
    if first >= last:
        return ()
    core_request.num_prompt_logprobs = last
    rows = logits[first - entry.num_computed_tokens : last - entry.num_computed_tokens]
    return tuple(prompt_logprobs(rows, request.prompt_token_ids[first + 1 : last + 1], wanted))
