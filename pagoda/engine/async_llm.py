"""vLLM's asyncio engine by its own name: `async for output in AsyncLLM.from_engine_args(args).generate(...)`.

On the token's path where a program of vLLM's steps in: a thin face over `async_engine`, which runs the engine in a
process of its own. Outputs are cumulative, new or final as the parameters' `output_kind` says.
"""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn, Self

from pagoda.engine.args import EngineArgs
from pagoda.engine.outputs import EmbeddingRequestOutput, RequestOutput, merge_outputs
from pagoda.engine.process.async_engine import AsyncEngine, EngineState
from pagoda.engine.process.request_stream import RequestStream
from pagoda.engine.text.prompt import Prompt
from pagoda.errors import EngineDeadError, InvalidParameterError, InvalidRequestError, missing_method
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, RequestOutputKind, SamplingParams
from pagoda.vllm_names import CALLS, METHODS


class AsyncLLM:
    """A model and its engine, in a process of its own, for programs with an event loop, which makes all calls.

    The process starts with the first call that needs it and ends with `shutdown`, at the end of `async with`, or with
    the program.

    >>> engine = AsyncLLM.from_engine_args(EngineArgs(model="qwen3-0.6b"))               # doctest: +SKIP
    >>> async for output in engine.generate("你好", SamplingParams(), request_id="1"):    # doctest: +SKIP
    ...     print(output.outputs[0].text)
    """

    def __init__(self, engine_args: EngineArgs) -> None:
        self._engine = AsyncEngine(engine_args)
        self._starting = asyncio.Lock()
        self._streams: dict[str, RequestStream] = {}

    @classmethod
    def from_engine_args(cls, engine_args: EngineArgs, **vllm: Any) -> AsyncLLM:
        """Of settings; nothing is loaded yet. Raises InvalidParameterError for a keyword that is not served."""
        CALLS.sort("AsyncLLM.from_engine_args", vllm, ())
        return cls(engine_args)

    def __getattr__(self, name: str) -> NoReturn:
        raise missing_method("AsyncLLM", name, METHODS)

    async def generate(
        self,
        prompt: Prompt,
        sampling_params: SamplingParams,
        request_id: str,
        *,
        priority: int = 0,
        **vllm: Any,
    ) -> AsyncIterator[RequestOutput]:
        """Complete one prompt. Leaving the loop, or being cancelled in it, ends the request.

        Raises InvalidRequestError where it cannot be served, EngineOverloadedError, EngineDeadError, and what keeps
        the model from loading.
        """
        kind = sampling_params.output_kind if isinstance(sampling_params, SamplingParams) else None
        stream = await self.add_request(request_id, prompt, sampling_params, priority=priority, **vllm)
        whole: RequestOutput | None = None
        try:
            async with stream:
                async for output in stream:
                    whole = output if whole is None else merge_outputs([whole, output])
                    yield whole if kind is RequestOutputKind.CUMULATIVE else output
        finally:
            self._streams.pop(request_id, None)

    async def add_request(
        self, request_id: str, prompt: Prompt, params: SamplingParams, *, priority: int = 0, **vllm: Any
    ) -> RequestStream:
        """Queue a prompt; what it returns is read with `async for`, and brings what is new. Raises as `generate`."""
        CALLS.sort("AsyncLLM.add_request", vllm, ())
        if not isinstance(params, SamplingParams):
            raise InvalidParameterError(
                f"sampling_params is {reprlib.repr(params)}, but SamplingParams are expected", param="sampling_params"
            )
        if not isinstance(request_id, str) or not isinstance(priority, int):
            raise InvalidParameterError(
                f"request_id is {reprlib.repr(request_id)} and priority {reprlib.repr(priority)}, "
                "but a string and a whole number are expected",
                param="request_id",
            )
        engine = await self._started()
        self._streams[request_id] = await engine.add_request(request_id, prompt, params, priority=priority)
        return self._streams[request_id]

    async def encode(
        self, prompt: Prompt, pooling_params: PoolingParams, request_id: str, **vllm: Any
    ) -> AsyncIterator[EmbeddingRequestOutput]:
        """The embedding of one prompt, in one output; errors as with `generate`."""
        CALLS.sort("AsyncLLM.encode", vllm, ("priority",))
        if not isinstance(pooling_params, PoolingParams):
            raise InvalidParameterError(
                f"pooling_params is {reprlib.repr(pooling_params)}, but PoolingParams are expected",
                param="pooling_params",
            )
        engine = await self._started()
        yield await engine.embed(request_id, prompt, pooling_params)

    async def abort(self, request_id: str | Iterable[str]) -> None:
        """End requests; the loops that read them end, too. One that is not there is passed over."""
        for each in (request_id,) if isinstance(request_id, str) else tuple(request_id):
            if each in self._streams:
                self._streams[each].abort()

    async def get_tokenizer(self) -> Tokenizer:
        """Raises InvalidRequestError where the checkpoint has none."""
        return _tokenizer(await self._started())

    @property
    def tokenizer(self) -> Tokenizer:
        """The same, once the engine has started; InvalidRequestError before."""
        return _tokenizer(self._engine)

    async def is_tracing_enabled(self) -> bool:
        return False

    async def get_supported_tasks(self) -> tuple[str, ...]:
        return ("generate", "embed")

    async def do_log_stats(self) -> None:
        """Nothing: figures are at a server's /metrics."""

    async def check_health(self) -> None:
        """Raises EngineDeadError where the engine has ended."""
        if self.errored:
            raise self.dead_error

    @property
    def is_running(self) -> bool:
        return not self.is_stopped

    @property
    def is_stopped(self) -> bool:
        return self._engine.state is EngineState.DEAD

    @property
    def errored(self) -> bool:
        return self.is_stopped

    @property
    def dead_error(self) -> EngineDeadError:
        return EngineDeadError("the engine has ended: make a new one")

    def get_num_unfinished_requests(self) -> int:
        return self._engine.num_live_requests

    async def wait_for_requests_to_drain(self, drain_timeout: float = 300) -> None:
        """Return when no request runs. Raises TimeoutError after so many seconds."""
        async with asyncio.timeout(drain_timeout):
            while self._engine.num_live_requests:
                await asyncio.sleep(0.01)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.shutdown()

    def shutdown(self, timeout: float | None = None) -> None:
        """End the process at once; requests under way get an EngineDeadError."""
        self._engine.kill()

    async def _started(self) -> AsyncEngine:
        async with self._starting:
            if self._engine.state is EngineState.LOADING:
                await self._engine.start()
        return self._engine


AsyncLLMEngine = AsyncLLM
"""The name of the same class in older programs."""


def _tokenizer(engine: AsyncEngine) -> Tokenizer:
    if engine.tokenizer is None:
        raise InvalidRequestError("the engine has no tokenizer, or has not started: prompts as token ids need none")
    return engine.tokenizer
