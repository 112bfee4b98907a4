"""POST /v1/completions: text in, text out.

On the token's path: validated fields become jobs, the engine's outputs become choices. Prompt i's completion k is
choice `i * n + k`. A whole answer is put together from the same deltas that a stream sends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pagoda.chat.openai_types import MAX_PROMPTS, CompletionRequest
from pagoda.engine.outputs import CompletionOutput, RequestOutput
from pagoda.engine.text.prompt import Prompt
from pagoda.errors import InvalidParameterError
from pagoda.models.tokenizer.infilling import KNOWN, InfillingTokens, infilling_stop_ids, infilling_tokens
from pagoda.sampling_params import SamplingParams, StructuredOutputsParams
from pagoda.server.aside.answers import is_long
from pagoda.server.fields import check_fields
from pagoda.server.generation import Caller, Generation, Job, caller_of
from pagoda.server.openai.answering import answered
from pagoda.server.openai.reporting import CompletionLogprobs, Usage, head, prompt_logprobs, timings
from pagoda.server.openai.sampling import constraint_field, sampling_params, shape
from pagoda.server.routing import GENERATING, JsonRoute, prepared
from pagoda.server.state import ServerState, state_of
from pagoda.server.streaming import event

router = APIRouter(route_class=JsonRoute)

DEFAULT_MAX_TOKENS = 16


@router.post("/v1/completions", responses=GENERATING)
async def create_completion(body: CompletionRequest, request: Request) -> Response:
    """Complete one prompt or several."""
    state, caller = state_of(request), caller_of(request)
    name = state.check_model(body.model)
    jobs = await prepared(request, completion_jobs, body, state)
    answer = CompletionAnswer(body, jobs, state, name, caller)
    return await answered(request, caller, jobs, answer, stream=body.stream)


def completion_jobs(body: CompletionRequest, state: ServerState) -> list[Job]:
    """A job for each prompt; takes long for long prompts. Raises InvalidRequestError."""
    check_fields(body, strict=state.config.strict)
    if body.best_of not in (None, body.n or 1):
        raise InvalidParameterError(
            f"best_of is {body.best_of}, but choosing among more than n is not supported: leave it out", param="best_of"
        )
    found = shape(body)
    params, tokens = _params(body, state, found.constraint), _infilling(body, state)
    if tokens is not None:
        stops = infilling_stop_ids(state.tokenizer, tokens)
        params = params.clone(stop_token_ids=[*(params.stop_token_ids or ()), *stops])
    jobs = []
    for prompt in prompts_of(body.prompt, "prompt"):
        text, token_ids = _encoded(prompt, body, tokens, state)
        state.check_token_ids(token_ids, "prompt")
        state.check_length(len(token_ids), body.max_tokens)
        prompt_of_both: Prompt = (
            {"prompt_token_ids": token_ids}
            if text is None
            else {
                "prompt": text,
                "prompt_token_ids": token_ids,
            }
        )
        field = constraint_field(body)
        jobs.append(Job(prompt_of_both, params, body.priority, body.cache_salt, field, found.unenforced))
    return jobs


def _encoded(
    prompt: Prompt, body: CompletionRequest, tokens: InfillingTokens | None, state: ServerState
) -> tuple[str | None, list[int]]:
    """A prompt as the client wrote it, and its ids, with the suffix in its place."""
    if tokens is None or body.suffix is None:
        return state.encode(prompt, add_special_tokens=body.add_special_tokens)
    if not isinstance(prompt, str):
        raise InvalidParameterError("with suffix the prompt must be text, not token ids", param="prompt")
    whole = tokens.prompt(prompt, body.suffix)
    return prompt, state.encode(whole, add_special_tokens=body.add_special_tokens)[1]


def _infilling(body: CompletionRequest, state: ServerState) -> InfillingTokens | None:
    """The model's tokens for filling in, where the request has a suffix. Raises InvalidParameterError."""
    if not body.suffix:
        return None
    tokens = infilling_tokens(state.tokenizer)
    if tokens is None:
        raise InvalidParameterError(
            f"suffix is given, but the tokenizer of this model has no tokens for filling in the middle (such as "
            f"{', '.join(KNOWN[0])}): leave it out, or ask a model of code that has them",
            param="suffix",
        )
    return tokens


def _params(body: CompletionRequest, state: ServerState, constraint: StructuredOutputsParams | None) -> SamplingParams:
    if body.logprobs is not None and body.logprobs < 0:
        raise InvalidParameterError(f"logprobs is {body.logprobs}, but 0 or more are expected", param="logprobs")
    defaults = dict(state.engine.info.default_sampling_params)
    max_tokens = defaults.pop("max_tokens", DEFAULT_MAX_TOKENS) if body.max_tokens is None else body.max_tokens
    scored = body.prompt_logprobs
    if body.echo and body.logprobs is not None:
        scored = max(scored or 0, body.logprobs)
    if max_tokens == 0:
        if not body.echo:
            raise InvalidParameterError(
                "max_tokens is 0, which only scores the prompt: set echo as well", param="max_tokens"
            )
        scored = scored or 0
    return sampling_params(
        body,
        defaults,
        max_tokens=max_tokens,
        logprobs=body.logprobs,
        structured_outputs=constraint,
        prompt_logprobs=scored,
    )


def prompts_of(given: Any, param: str) -> list[Prompt]:
    """One prompt or many, as text or as token ids. Raises InvalidParameterError for an empty one or too many."""
    if not given or (not isinstance(given, str) and not all(item or item == 0 for item in given)):
        raise InvalidParameterError(f"{param} is empty: give some text or at least one token id", param=param)
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [{"prompt_token_ids": given}]
    if len(given) > MAX_PROMPTS:
        raise InvalidParameterError(f"{len(given)} prompts in one request, but at most {MAX_PROMPTS} may", param=param)
    return [item if isinstance(item, str) else {"prompt_token_ids": item} for item in given]


class CompletionAnswer:
    """One answer under way: the engine's outputs become choices of chunks or of the whole."""

    def __init__(
        self, body: CompletionRequest, jobs: Sequence[Job], state: ServerState, name: str, caller: Caller
    ) -> None:
        self._body, self._jobs, self._state, self._caller = body, jobs, state, caller
        self._n = jobs[0].params.n
        self._head = head(f"cmpl-{caller.request_id}", "text_completion", name)
        self._logprobs: dict[int, CompletionLogprobs] = {}
        self._begun: set[int] = set()
        self._scores: dict[int, Sequence[Any]] = {}
        """Log-probabilities of each job's prompt; they come once, with the job's first output."""

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        choices: dict[int, dict[str, Any]] = {}
        extra: dict[str, Any] = {}
        async with self._state.generate(self._caller, self._jobs) as generation:
            usage = Usage(generation.num_prompt_tokens)
            async for job, output in generation.outputs():
                usage.add(job, output)
                told = await self._state.aside.run_if(self._is_long(output), self._choices, job, output, generation)
                choices |= {choice["index"]: choice for choice in told}
                extra = self._timings(output)
        ordered = [choices[index] for index in sorted(choices)]
        return {**self._head, "choices": ordered, "usage": usage.as_dict(), **extra}

    async def events(self, generation: Generation) -> AsyncGenerator[bytes]:
        """The answer as events."""
        options = self._body.stream_options
        usage = Usage(generation.num_prompt_tokens)
        async for job, output in generation.outputs():
            usage.add(job, output)
            beside = {**usage.beside_chunk(options), **self._timings(output)}
            long = self._is_long(output)
            yield await self._state.aside.run_if(long, self._chunk, job, output, generation, beside, long)
        if options is not None and options.include_usage:
            yield event({**self._head, "choices": [], "usage": usage.as_dict()})

    def _is_long(self, output: RequestOutput) -> bool:
        return is_long(output, with_prompt=self._body.echo or self._body.return_token_ids)

    def _chunk(
        self, job: int, output: RequestOutput, generation: Generation, beside: Mapping[str, Any], long: bool
    ) -> bytes:
        """One event a choice: clients read choices[0]."""
        choices = self._choices(job, output, generation)
        return b"".join(event({**self._head, "choices": [choice], **beside}, long=long) for choice in choices)

    def _choices(self, job: int, output: RequestOutput, generation: Generation) -> list[dict[str, Any]]:
        if output.prompt_logprobs is not None:
            self._scores[job] = output.prompt_logprobs
        return [self._choice(job * self._n + c.index, c, output, generation, job) for c in output.outputs]

    def _choice(
        self, index: int, completion: CompletionOutput, output: RequestOutput, generation: Generation, job: int
    ) -> dict[str, Any]:
        first = index not in self._begun
        self._begun.add(index)
        echoed = self._echo(generation, job) if first and self._body.echo else ""
        choice: dict[str, Any] = {
            "index": index,
            "text": echoed + completion.text,
            "logprobs": self._logprobs_of(index, completion, output, job, first),
            "finish_reason": completion.finish_reason,
            "stop_reason": completion.stop_reason,
        }
        if self._body.prompt_logprobs is not None and output.prompt_logprobs is not None:
            choice["prompt_logprobs"] = prompt_logprobs(output.prompt_logprobs)
        if self._body.return_token_ids:
            choice["token_ids"] = list(completion.token_ids)
            choice["prompt_token_ids"] = list(output.prompt_token_ids) if first else None
        return choice

    def _echo(self, generation: Generation, job: int) -> str:
        """The prompt as text: what the client wrote, or what its ids stand for."""
        prompt = self._jobs[job].prompt
        assert isinstance(prompt, dict), "completion_jobs makes mappings"
        text = prompt.get("prompt")
        return str(text) if text is not None else self._state.tokenizer.decode(generation.streams[job].prompt_token_ids)

    def _logprobs_of(
        self, index: int, completion: CompletionOutput, output: RequestOutput, job: int, first: bool
    ) -> dict[str, Any] | None:
        if self._body.logprobs is None or completion.logprobs is None:
            return None
        if index not in self._logprobs:
            as_ids = self._body.return_tokens_as_token_ids
            self._logprobs[index] = CompletionLogprobs(self._state.tokenizer, as_token_ids=as_ids)
        token_ids: list[int] = list(completion.token_ids)
        entries: list[Any] = list(completion.logprobs)
        if first and self._body.echo:
            token_ids[:0] = output.prompt_token_ids
            entries[:0] = self._scores[job]
        return self._logprobs[index].of(token_ids, entries, self._body.logprobs)

    def _timings(self, output: RequestOutput) -> dict[str, Any]:
        if not (self._body.return_timings and output.finished):
            return {}
        return {"timings": timings(output.metrics, output.num_cached_tokens)}
