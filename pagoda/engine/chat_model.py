"""The engine of this machine behind the seam `chat.model`, so that retrieval and dialogue need not know it.

Outermost station of the token's path for whoever holds `Message`s. The engine runs in a process of its own
(`async_engine`), which starts with the first question; a server shares the one that it has.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from pagoda.chat.model import ChatAnswer, ChatParams, FinishReason, Message
from pagoda.engine.args import EngineArgs
from pagoda.engine.outputs import RequestOutput
from pagoda.engine.process.async_engine import LARGE, AsyncEngine, EngineState
from pagoda.engine.process.request_stream import RequestStream
from pagoda.errors import ChatModelError, EngineDeadError, EngineOverloadedError, InvalidRequestError, PagodaError
from pagoda.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams


class EngineChatModel:
    """A model on this machine: a directory, hub id or short name; None is the one that ships with pagoda.

    Further keywords are EngineArgs' fields. All calls belong to one event loop. `shared` takes an engine that runs
    already and is not ended with this object.

    >>> model = EngineChatModel("path/to/model", max_model_len=4096)          # doctest: +SKIP
    >>> (await model.chat([Message("user", "你好")])).text                      # doctest: +SKIP
    """

    def __init__(self, model: str | Path | None = None, **engine_args: Any) -> None:
        self._engine = AsyncEngine(EngineArgs(model=model, **engine_args))
        self._is_shared = False
        self._starting = asyncio.Lock()
        self._numbers = itertools.count()

    @classmethod
    def shared(cls, engine: AsyncEngine) -> EngineChatModel:
        """Around a running engine."""
        model = cls.__new__(cls)
        model._engine, model._is_shared = engine, True
        model._starting, model._numbers = asyncio.Lock(), itertools.count()
        return model

    @property
    def name(self) -> str:
        """Name of the model, as `pagoda serve` shows it."""
        return self._engine.args.served_names[0]

    async def max_context_tokens(self) -> int | None:
        return (await self._started()).info.max_model_len

    async def num_parameters(self) -> int | None:
        return (await self._started()).info.num_parameters

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(await self._token_ids(messages))

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        return (await self.chat_batch([messages], params))[0]

    async def chat_batch(
        self, conversations: Sequence[Sequence[Message]], params: ChatParams | None = None
    ) -> list[ChatAnswer]:
        sampling = sampling_params(params or ChatParams(), RequestOutputKind.FINAL_ONLY)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._whole(messages, sampling)) for messages in conversations]
        except* PagodaError as errors:
            # The first tells what is wrong; the others were cancelled or say the same.
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def stream(self, messages: Sequence[Message], params: ChatParams | None = None) -> AsyncIterator[str]:
        request = await self._request(messages, sampling_params(params or ChatParams(), RequestOutputKind.DELTA))
        async with request:
            async for output in _answered(request):
                if output.finished:
                    _answer(output)
                if output.outputs and output.outputs[0].text:
                    yield output.outputs[0].text

    async def aclose(self) -> None:
        if not self._is_shared and self._engine.state is not EngineState.LOADING:
            await self._engine.stop()

    async def _started(self) -> AsyncEngine:
        async with self._starting:
            if self._engine.state is EngineState.LOADING and not self._is_shared:
                await self._engine.start()
        return self._engine

    async def _token_ids(self, messages: Sequence[Message]) -> list[int]:
        """A conversation as the model's template writes it. Raises InvalidRequestError where it has none."""
        tokenizer = (await self._started()).tokenizer
        if tokenizer is None:
            raise InvalidRequestError("this checkpoint has no tokenizer, so it cannot chat: pass tokenizer=...")
        plain = [message.as_dict() for message in messages]
        if sum(len(message.content) for message in messages) <= LARGE:
            return tokenizer.encode_chat(plain)
        return await asyncio.to_thread(tokenizer.encode_chat, plain)

    async def _request(self, messages: Sequence[Message], params: SamplingParams) -> RequestStream:
        token_ids = await self._token_ids(messages)
        request_id = f"chat-model-{id(self):x}-{next(self._numbers)}"
        try:
            return await self._engine.add_request(request_id, {"prompt_token_ids": token_ids}, params)
        except (EngineDeadError, EngineOverloadedError) as error:
            raise ChatModelError(str(error)) from error

    async def _whole(self, messages: Sequence[Message], params: SamplingParams) -> ChatAnswer:
        request = await self._request(messages, params)
        async with request:
            async for output in _answered(request):
                if output.finished:
                    return _answer(output)
        raise ChatModelError("the engine ended a request without an answer")


def sampling_params(params: ChatParams, output_kind: RequestOutputKind) -> SamplingParams:
    """The seam's parameters as the engine's."""
    schema = None
    if params.json_schema is not None:
        # Weak models otherwise fill an answer with line ends.
        schema = StructuredOutputsParams(json=dict(params.json_schema), disable_any_whitespace=True)
    return SamplingParams(
        max_tokens=params.max_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        seed=params.seed,
        stop=params.stop,
        structured_outputs=schema,
        output_kind=output_kind,
    )


async def _answered(request: RequestStream) -> AsyncIterator[RequestOutput]:
    """A request's outputs, with an engine's death as the seam's error."""
    try:
        async for output in request:
            yield output
    except EngineDeadError as error:
        raise ChatModelError(str(error)) from error


def _answer(output: RequestOutput) -> ChatAnswer:
    completion = output.outputs[0]
    if completion.finish_reason in ("abort", "error"):
        raise ChatModelError(
            f"the answer could not be finished: {completion.stop_reason or 'it was ended from outside'}"
        )
    reason: FinishReason = "length" if completion.finish_reason == "length" else "stop"
    return ChatAnswer(
        text=completion.text,
        finish_reason=reason,
        num_prompt_tokens=len(output.prompt_token_ids),
        num_completion_tokens=len(completion.token_ids),
        num_cached_tokens=output.num_cached_tokens,
    )
