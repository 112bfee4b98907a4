"""What the endpoints share: the engine, the settings, and the one door through which every generation goes.

On the token's path: between the endpoints and `async_engine`. `ServerState.generate` checks that the server takes
requests at all, keeps one key's share, gives each key a prefix cache of its own, and ends every request that was left
early. What comes out of the door is a `generation.Generation`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import Request

from pagoda.engine.outputs import EmbeddingRequestOutput
from pagoda.engine.process.async_engine import AsyncEngine, EngineState, RequestStream
from pagoda.engine.text.prompt import Prompt, check_token_ids, text_or_ids
from pagoda.errors import (
    ConstraintError,
    EngineOverloadedError,
    InvalidRequestError,
    PagodaError,
    PromptTooLongError,
    StructuredOutputError,
)
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams
from pagoda.server.aside.threads import Aside
from pagoda.server.config import ServerConfig
from pagoda.server.errors import ModelNotFoundError, TooManyRequestsError, UnavailableError
from pagoda.server.generation import Books, Caller, Generation, Job
from pagoda.server.observing.metrics import Metrics
from pagoda.server.observing.tracing import Tracer
from pagoda.version import __version__

SYSTEM_FINGERPRINT = f"pagoda-{__version__}"


class ServerState:
    """Engine, settings and counters of one running server."""

    def __init__(self, engine: AsyncEngine, config: ServerConfig, metrics: Metrics) -> None:
        self.engine = engine
        self.config = config
        self.metrics = metrics
        self.aside = Aside()
        self.tracer = Tracer.off() if config.otlp_endpoint is None else Tracer.to(config.otlp_endpoint)
        self.draining = False
        self.created = int(time.time())
        self._salt_secret = secrets.token_bytes(32)
        self._num_in_flight = 0
        self._per_key: Counter[str] = Counter()
        self._idle = asyncio.Event()
        self._idle.set()
        engine.add_stats_listener(metrics.on_step)

    @property
    def model_names(self) -> tuple[str, ...]:
        """Names under which the model answers."""
        return self.engine.args.served_names

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises InvalidRequestError where the model has none."""
        if self.engine.tokenizer is None:
            raise InvalidRequestError("this model has no tokenizer: send prompts as token ids")
        return self.engine.tokenizer

    def check_model(self, name: str | None) -> str:
        """The name to answer under: the first, as vLLM does. Raises ModelNotFoundError for a model not served."""
        self.check_ready()
        if name is None or name == "" or name in self.engine.args.accepted_names:
            return self.model_names[0]
        raise ModelNotFoundError(
            f"The model `{name}` does not exist. This server has {', '.join(self.model_names)}.", param="model"
        )

    def check_ready(self, *, needs_model: bool = True) -> None:
        """Raises UnavailableError while no request can be taken; one that needs no model need not wait for it."""
        if self.draining:
            raise UnavailableError(
                "the server is shutting down: send the request to another one, or again later",
                retry_after_s=self.config.drain_timeout_s,
            )
        if needs_model and self.engine.state is not EngineState.READY:
            raise UnavailableError(f"the model is not ready, the engine is {self.engine.state}: try again in a moment")

    def check_length(self, num_prompt_tokens: int, max_tokens: int | None, param: str = "prompt") -> None:
        """Raises PromptTooLongError where prompt and answer do not fit: not one new token, or not all of them if the
        operator wants that refused. max_tokens: 0 where nothing is generated; param: where the prompt came from.
        """
        limit = self.engine.info.max_model_len
        most = self.config.max_prompt_tokens
        if most is not None and num_prompt_tokens > most:
            raise PromptTooLongError(
                f"This model's maximum context length is {limit} tokens, and this server takes at most {most} in a "
                f"prompt. However, your prompt has {num_prompt_tokens} tokens: shorten it.",
                param=param,
            )
        new = 1 if max_tokens is None else max_tokens
        no_room = num_prompt_tokens + min(new, 1) > limit
        if no_room or (self.config.refuse_overlong and num_prompt_tokens + new > limit):
            raise PromptTooLongError(
                f"This model's maximum context length is {limit} tokens. However, you requested "
                f"{num_prompt_tokens + new} tokens ({num_prompt_tokens} in the prompt, {new} in the completion): "
                "shorten one of them.",
                param=param if no_room else "max_tokens",
            )

    def encode(
        self, prompt: Prompt, *, add_special_tokens: bool = True, param: str = "prompt"
    ) -> tuple[str | None, list[int]]:
        """`(text or None, ids)` of a prompt; takes long for a long one that may fit.

        Raises InvalidRequestError for what is no prompt, PromptTooLongError for what cannot fit in any case.
        """
        text, given = text_or_ids(prompt)
        limit = self.engine.info.max_model_len
        if given is None and self.engine.tokenizer is not None:
            least = self.engine.tokenizer.least_num_tokens(text or "")
            if least > limit:
                raise PromptTooLongError(
                    f"This model's maximum context length is {limit} tokens. However, your prompt has {least} tokens "
                    "at the very least: shorten it.",
                    param=param,
                )
        return self.engine.encode(prompt, add_special_tokens=add_special_tokens)

    def check_token_ids(self, token_ids: Sequence[int], param: str) -> None:
        """Raises InvalidParameterError for an id that this model does not have."""
        check_token_ids(token_ids, self.engine.info.vocab_size, param, self.engine.tokenizer)

    @asynccontextmanager
    async def admitted(self, caller: Caller, *, needs_model: bool = True) -> AsyncIterator[None]:
        """Count a request as under way. Raises TooManyRequestsError where its key has its share already."""
        self.check_ready(needs_model=needs_model)
        key = caller.key or ""
        limit = self.config.max_requests_per_key
        if limit is not None and self._per_key[key] >= limit:
            self.metrics.on_rejection("per_key_limit")
            raise TooManyRequestsError(
                f"{self._per_key[key]} requests of this key are under way and at most {limit} may: wait for one to end",
                retry_after_s=self.engine.retry_after_s(),
            )
        self._enter(key)
        try:
            yield
        finally:
            self._leave(key)

    @asynccontextmanager
    async def generate(self, caller: Caller, jobs: Sequence[Job]) -> AsyncIterator[Generation]:
        """Queue all jobs or none; whatever is unfinished at the end of the block is aborted."""
        async with self.admitted(caller), self.queued(caller, jobs) as generation:
            yield generation

    @asynccontextmanager
    async def queued(self, caller: Caller, jobs: Sequence[Job]) -> AsyncIterator[Generation]:
        """The same within a request that is `admitted` already, and may generate several times."""
        streams: list[RequestStream] = []
        try:
            for index, job in enumerate(jobs):
                streams.append(await self._add(caller, index, job))
            yield Generation(streams, jobs, caller, Books(self.metrics, self.tracer, self.model_names[0]))
        finally:
            for stream in streams:
                if stream.abort():
                    self.metrics.on_request_aborted(len(stream.prompt_token_ids))

    async def embed(
        self, caller: Caller, prompts: Sequence[Prompt], params: PoolingParams
    ) -> list[EmbeddingRequestOutput]:
        """Embeddings of all prompts, in order."""
        salt = self.cache_salt(caller, None)
        async with self.admitted(caller):
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = []
                    for index, prompt in enumerate(prompts):
                        embedding = self.engine.embed(f"{caller.request_id}-{index}", prompt, params, cache_salt=salt)
                        tasks.append(group.create_task(embedding))
                        # A turn for each: two thousand tasks that begin in one would hold up everyone.
                        await asyncio.sleep(0)
            except* PagodaError as errors:
                # The first tells what is wrong; the others were cancelled or say the same.
                self._note_rejection(errors.exceptions[0])
                raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def drain(self, timeout_s: float) -> bool:
        """Take nothing new and wait for what runs; False where some of it still ran at the end."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def cache_salt(self, caller: Caller, given: str | None) -> str | None:
        """Prefix-cached blocks are shared within one key only, so that nobody learns by timing what others asked.

        A keyed hash, and a new key for each start: a client cannot reach another's salt by its own.
        """
        if caller.key is None and given is None:
            return None
        message = repr((caller.key, given)).encode("utf-8", errors="replace")
        return hmac.new(self._salt_secret, message, hashlib.sha256).hexdigest()

    async def _add(self, caller: Caller, index: int, job: Job) -> RequestStream:
        try:
            return await self.engine.add_request(
                f"{caller.request_id}-{index}",
                job.prompt,
                job.params,
                priority=job.priority,
                cache_salt=self.cache_salt(caller, job.cache_salt),
            )
        except EngineOverloadedError as error:
            self._note_rejection(error)
            raise
        except (StructuredOutputError, ConstraintError) as error:
            raise job.in_clients_words(error) from error

    def _note_rejection(self, error: Exception) -> None:
        if isinstance(error, EngineOverloadedError):
            self.metrics.on_rejection("queue_full")

    def _enter(self, key: str) -> None:
        self._per_key[key] += 1
        self._num_in_flight += 1
        self._idle.clear()

    def _leave(self, key: str) -> None:
        self._per_key[key] -= 1
        if not self._per_key[key]:
            del self._per_key[key]
        self._num_in_flight -= 1
        if not self._num_in_flight:
            self._idle.set()


def state_of(request: Request) -> ServerState:
    """The server's state, for an endpoint."""
    state: ServerState = request.app.state.server
    return state
