"""One call's way through the engine: who calls, what is to be completed, and the outputs as they come, counted.

On the token's path: given out by `server.state`, read by the endpoints. Each output is counted where it passes, and a
request that ended is written into the books: metrics, traces and the access log's line.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from pagoda.engine.outputs import CompletionOutput, RequestOutput
from pagoda.engine.process.async_engine import RequestStream
from pagoda.engine.text.prompt import Prompt
from pagoda.errors import ConstraintError, EngineDeadError, InvalidRequestError, PagodaError
from pagoda.sampling_params import SamplingParams
from pagoda.server.interleaving import interleaved
from pagoda.server.observing.metrics import Metrics
from pagoda.server.observing.tracing import RequestFacts, Tracer

logger = logging.getLogger(__name__)

_CONSTRAINT = re.compile(r"\bstructured_outputs(\.\w+)?")


@dataclass(frozen=True)
class Caller:
    """Who sent a request, and what it is remembered by.

    request_id: ours, which the answer carries; key: if the server asks for one; operation: GenAI conventions' word;
    headers: for a trace that the caller began; log: what the access log tells beside the answer's status.
    """

    request_id: str
    key: str | None = None
    operation: str = "chat"
    headers: Mapping[str, str] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One prompt to complete.

    constraint_field: what the client calls the grammar, schema or tools that shape it; unenforced: places in the
    client's schemas that it is not held to.
    """

    prompt: Prompt
    params: SamplingParams
    priority: int = 0
    cache_salt: str | None = None
    constraint_field: str | None = None
    unenforced: tuple[str, ...] = ()

    def in_clients_words(self, error: InvalidRequestError) -> InvalidRequestError:
        """An error of the engine's door or of a step, which call the constraint by the engine's own name."""
        field = self.constraint_field
        if field is None:
            return error
        message = _CONSTRAINT.sub(field, str(error))
        named = error.param is not None and _CONSTRAINT.match(error.param)
        return type(error)(message, param=field if named else error.param)


@dataclass(frozen=True)
class Books:
    """Where finished requests are written down: metrics, traces, and the line of the access log."""

    metrics: Metrics
    tracer: Tracer
    model: str

    def note(
        self, caller: Caller, output: RequestOutput, num_tokens: int, params: SamplingParams, reasons: Sequence[str]
    ) -> None:
        """One request has ended; `output` is its last."""
        self.metrics.on_request_finished(output, num_tokens, params, reasons)
        num_prompt_tokens = len(output.prompt_token_ids)
        caller.log["model"] = self.model
        for name, count in (("prompt_tokens", num_prompt_tokens), ("completion_tokens", num_tokens)):
            caller.log[name] = caller.log.get(name, 0) + count
        if self.tracer.enabled:
            facts = RequestFacts(
                request_id=caller.request_id,
                operation=caller.operation,
                model=self.model,
                num_prompt_tokens=num_prompt_tokens,
                params=params,
                num_cached_tokens=output.num_cached_tokens,
                num_generation_tokens=num_tokens,
                finish_reasons=reasons,
                times=output.metrics,
            )
            self.tracer.record(caller.headers, facts)


class Generation:
    """The streams of one call's jobs. Iterating gives `(index of the job, output)` as they come."""

    def __init__(self, streams: Sequence[RequestStream], jobs: Sequence[Job], caller: Caller, books: Books) -> None:
        self.streams = streams
        self.jobs = jobs
        self._caller = caller
        self._books = books

    @property
    def num_prompt_tokens(self) -> int:
        """Of all prompts, each counted once."""
        return sum(len(stream.prompt_token_ids) for stream in self.streams)

    async def outputs(self) -> AsyncGenerator[tuple[int, RequestOutput]]:
        """All outputs of all jobs, each job's in order.

        Raises ConstraintError where a job's own constraints ended it, EngineDeadError where the engine did.
        """
        if len(self.streams) == 1:
            async for output in self._told(0):
                yield 0, output
            return
        async with aclosing(interleaved([self._told(index) for index in range(len(self.streams))])) as outputs:
            async for index, output in outputs:
                yield index, output

    async def _told(self, index: int) -> AsyncGenerator[RequestOutput]:
        """One job's outputs, counted."""
        last = 0.0
        num_tokens = 0
        reasons: list[str] = []
        async for output in self.streams[index]:
            now = time.monotonic()
            new = sum(len(completion.token_ids) for completion in output.outputs)
            self._books.metrics.on_tokens(new, now - last if num_tokens else None)
            num_tokens, last = num_tokens + new, now
            reasons += [c.finish_reason for c in output.outputs if c.finish_reason is not None]
            if output.finished:
                self._books.note(self._caller, output, num_tokens, self.jobs[index].params, reasons)
            failure = next((failed for one in output.outputs if (failed := self._failure(one, index))), None)
            if failure is not None:
                raise failure
            yield output

    def _failure(self, completion: CompletionOutput, index: int) -> PagodaError | None:
        """The error of a completion that ended for a reason that no API has a word for."""
        if completion.finish_reason == "error" and isinstance(completion.stop_reason, str):
            logger.warning("request %s ended with an error: %s", self._caller.request_id, completion.stop_reason)
            job = self.jobs[index]
            return job.in_clients_words(ConstraintError(completion.stop_reason, param=job.constraint_field))
        if completion.finish_reason in ("abort", "error"):
            return EngineDeadError("the engine could not finish this answer: send the request again")
        return None


def caller_of(request: Request) -> Caller:
    """Who is calling, as the middleware found out."""
    log = request.scope.setdefault("state", {})
    operation = "text_completion" if request.url.path == "/v1/completions" else "chat"
    return Caller(secrets.token_hex(12), log.get("api_key"), operation, request.headers, log)
