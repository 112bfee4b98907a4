"""A whole engine behind four methods: add, abort, step, has_unfinished_requests.

On the token's path: the first stop behind the API, and the last before it. Text goes in and comes out here; the
core in between knows token ids only. `LLM` drives it in a loop, a server from a thread of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Self

from pagoda.engine.args import EngineArgs
from pagoda.engine.build import EngineParts, build_parts
from pagoda.engine.outputs import EmbeddingOutput, EmbeddingRequestOutput, RequestOutput
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.scheduling.plan import RequestUpdate
from pagoda.engine.scheduling.request import FinishReason
from pagoda.engine.text.input_processor import InputProcessor, Prompt, child_id
from pagoda.engine.text.output_processor import OutputProcessor
from pagoda.engine.text.prompt import cache_salt_of, prompt_to_embed
from pagoda.errors import EngineDeadError, InvalidRequestError, missing_method
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, SamplingParams
from pagoda.startup import collector_paused
from pagoda.vllm_names import CALLS, METHODS


@dataclass
class _Generation:
    """One user request: its core requests by id, each with its place among the n, and where their tokens are put
    together.

    num_copies: how many equal completions the caller gets of a greedy one, which is computed once.
    """

    children: dict[str, tuple[int, CoreRequest]]
    processor: OutputProcessor
    num_copies: int = 1

    def next_output(self, pause_s: float = 0.0) -> RequestOutput | None:
        output = self.processor.next_output(pause_s)
        if output is None or self.num_copies == 1:
            return output
        copies = (replace(told, index=i) for i in range(self.num_copies) for told in output.outputs)
        return replace(output, outputs=tuple(copies))


@dataclass
class _Pooling:
    """One embedding under way."""

    prompt_token_ids: Sequence[int]


@dataclass(frozen=True)
class PreparedRequest:
    """A request whose words are tokenised and whose grammar is compiled: all that is left is to queue it."""

    request_id: str
    children: Sequence[CoreRequest]
    live: _Generation | _Pooling


class LLMEngine:
    """Requests in, RequestOutputs out. Not thread-safe: one thread calls everything, but another may `prepare`."""

    def __init__(self, parts: EngineParts) -> None:
        self.parts = parts
        self.config = parts.config
        self.tokenizer = parts.tokenizer
        self.core = parts.core
        self.max_model_len = parts.memory_plan.max_model_len
        self.input_processor = InputProcessor(
            parts.config,
            parts.tokenizer,
            parts.eos_token_ids,
            max_model_len=self.max_model_len,
            max_logprobs=parts.args.max_logprobs,
            seed=parts.args.seed,
            embedder=parts.embedder,
        )
        self._requests: dict[str, _Generation | _Pooling] = {}
        self._owner: dict[str, str] = {}  # core request id -> user request id
        limit = parts.args.max_outputs_per_s
        self._s_per_output = 0.0 if limit is None else 1 / limit

    @classmethod
    def from_args(cls, args: EngineArgs) -> LLMEngine:
        """Load a model and build the engine around it; see EngineArgs for every setting."""
        with collector_paused():
            return cls(build_parts(args, _silence if args.disable_log_stats else _say))

    def add_request(
        self,
        request_id: str,
        prompt: Prompt,
        params: SamplingParams | PoolingParams,
        *,
        priority: int = 0,
        cache_salt: str | None = None,
    ) -> None:
        """Queue a request. Raises InvalidRequestError where it cannot be served; nothing is queued then."""
        self.queue(self.prepare(request_id, prompt, params, priority=priority, cache_salt=cache_salt))

    def prepare(
        self,
        request_id: str,
        prompt: Prompt,
        params: SamplingParams | PoolingParams,
        *,
        priority: int = 0,
        cache_salt: str | None = None,
    ) -> PreparedRequest:
        """The part that may take long. One thread may do it while another steps. Raises InvalidRequestError."""
        if isinstance(params, PoolingParams):
            prompt = prompt_to_embed(prompt, self.parts.embedder, params.prompt_name)
        text, token_ids = self.input_processor.token_ids(prompt)
        cache_salt = cache_salt or cache_salt_of(prompt)
        params = copy(params)  # the caller may change his own while the request runs
        if isinstance(params, PoolingParams):
            pooling = self.input_processor.pooling_request(request_id, token_ids, params, cache_salt=cache_salt)
            return PreparedRequest(request_id, [pooling], _Pooling(token_ids))
        num_copies = params.n if params.is_greedy else 1
        if num_copies > 1:
            params = params.clone(n=1)
        children = self.input_processor.generation_requests(
            request_id, token_ids, params, priority=priority, cache_salt=cache_salt
        )
        processor = OutputProcessor(
            request_id,
            token_ids,
            params,
            self.tokenizer,
            prompt=text,
            arrival_time=children[0].request.arrival_time,
        )
        by_id = {child.request.request_id: (index, child) for index, child in enumerate(children)}
        return PreparedRequest(request_id, children, _Generation(by_id, processor, num_copies))

    def queue(self, prepared: PreparedRequest) -> None:
        """Queue what `prepare` made. Raises InvalidRequestError where it cannot be served."""
        request_id = prepared.request_id
        if request_id in self._requests:
            raise InvalidRequestError(f"request id {request_id!r} is in use: give every request its own id")
        self._add_core_requests(request_id, prepared.children)
        self._requests[request_id] = prepared.live

    @classmethod
    def from_engine_args(cls, engine_args: EngineArgs, **vllm: Any) -> LLMEngine:
        """vLLM's name for `from_args`."""
        CALLS.sort("LLMEngine.from_engine_args", vllm, ())
        return cls.from_args(engine_args)

    def close(self) -> None:
        """Let go of the model and end its ranks; requests under way are gone. Whoever asks it for more afterwards gets
        an EngineDeadError.
        """
        if not self.is_closed:
            self._requests.clear()
            self._owner.clear()
            self.core.close()
            del self.core, self.parts

    @property
    def is_closed(self) -> bool:
        return "core" not in vars(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("core", "parts"):
            raise EngineDeadError("the engine was closed: make a new one")
        raise missing_method("LLMEngine", name, METHODS)

    def get_tokenizer(self) -> Tokenizer:
        """Raises InvalidRequestError where the engine has none."""
        if self.tokenizer is None:
            raise InvalidRequestError("this checkpoint has no tokenizer: pass tokenizer=... to the engine")
        return self.tokenizer

    def get_num_unfinished_requests(self) -> int:
        return len(self._requests)

    def reset_prefix_cache(self) -> bool:
        """Forget all cached blocks; False, and nothing happens, while requests hold some."""
        return self.core.scheduler.kv_cache_manager.pool.forget_all()

    def abort_request(self, request_id: str | Iterable[str]) -> RequestOutput | None:
        """End a request whose caller has left; its blocks are free at once. Its last output, if it generates.

        Of several ids, as vLLM's programs give them, nothing comes back.
        """
        if not isinstance(request_id, str):
            for each in tuple(request_id):
                self.abort_request(each)
            return None
        live = self._requests.pop(request_id, None)
        self._finish_core_requests(live.children if isinstance(live, _Generation) else [child_id(request_id, 0)])
        if not isinstance(live, _Generation):
            return None
        live.processor.finish_all(FinishReason.ABORT)
        return live.next_output()

    def has_unfinished_requests(self) -> bool:
        return self.core.has_unfinished_requests()

    def step(self) -> list[RequestOutput | EmbeddingRequestOutput]:
        """Advance everything by one step; outputs of the requests that have something new to tell.

        Raises EngineDeadError where the model's ranks end: see `give_up`.
        """
        touched: dict[str, _Generation] = {}
        results: list[RequestOutput | EmbeddingRequestOutput] = []
        for update in self.core.step():
            owner = self._owner.get(update.request_id)
            live = None if owner is None else self._requests.get(owner)
            if owner is None or live is None:
                continue
            if isinstance(live, _Generation):
                self._process(live, update)
                touched[owner] = live
            elif update.pooled is not None:
                results.append(self._embedding(owner, live, update.pooled))
        pause_s = len(touched) * self._s_per_output
        for owner, generation in touched.items():
            results.extend(self._tell(owner, generation, pause_s))
        return results

    def give_up(self) -> list[str]:
        """After an EngineDeadError: end requests under which ranks ended twice in the same place, and return their ids.

        All others go on once `core.recover` has brought the ranks back.
        """
        lost = list(dict.fromkeys(self._owner[name] for name in self.core.give_up()))
        self.abort_request(lost)
        return lost

    def _add_core_requests(self, request_id: str, children: Sequence[CoreRequest]) -> None:
        """All or none: should one be refused, those before it go again."""
        try:
            for child in children:
                self.core.add_request(child)
                self._owner[child.request.request_id] = request_id
        except InvalidRequestError:
            self._finish_core_requests([child.request.request_id for child in children])
            raise

    def _finish_core_requests(self, names: Iterable[str]) -> None:
        for name in names:
            self.core.finish_request(name, FinishReason.ABORT)
            self._owner.pop(name, None)

    def _process(self, live: _Generation, update: RequestUpdate) -> None:
        index, child = live.children[update.request_id]
        if update.prompt_logprobs and index == 0:
            live.processor.add_prompt_logprobs(update.prompt_logprobs)
        if not update.tokens and update.finish_reason is None:
            return
        if index == 0:
            live.processor.num_cached_tokens = child.request.num_cached_tokens
            live.processor.metrics.first_scheduled_time = child.first_scheduled_time
        stop = live.processor.process(index, update)
        if stop is not None:
            self.core.finish_request(update.request_id, FinishReason.STOP, stop)
        if stop is not None or update.finish_reason is not None:
            live.processor.metrics.num_preemptions += child.request.num_preemptions
            self._owner.pop(update.request_id, None)

    def _tell(self, request_id: str, live: _Generation, pause_s: float) -> list[RequestOutput | EmbeddingRequestOutput]:
        if live.processor.finished:
            self._requests.pop(request_id, None)
        output = live.next_output(pause_s)
        return [] if output is None else [output]

    def _embedding(self, request_id: str, live: _Pooling, vector: tuple[float, ...]) -> EmbeddingRequestOutput:
        del self._requests[request_id]
        self._owner.pop(child_id(request_id, 0), None)
        return EmbeddingRequestOutput(request_id, EmbeddingOutput(vector), live.prompt_token_ids)


def _say(line: str) -> None:
    """To stderr: a program's stdout is its own."""
    print(line, file=sys.stderr, flush=True)


def _silence(line: str) -> None:
    """For `disable_log_stats`."""
