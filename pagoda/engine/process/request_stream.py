"""The outputs of one request on their way to one reader.

On the token's path: `async_engine` puts in what each step brought, an endpoint takes it out when it comes round to it.
Imports no torch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pagoda.engine.outputs import RequestOutput, merge_outputs
from pagoda.engine.process.messages import Add, unpack
from pagoda.errors import PagodaError


class RequestStream:
    """The outputs of one request, as they come; deltas that waited together arrive as one.

    As a context manager it ends the request when it is left early: its blocks are free within one step. Iterating
    raises EngineDeadError where the engine dies. added: the request, to be sent again where nothing of it has come yet.
    """

    def __init__(self, abort: Callable[[str], None], added: Add, prompt: str | None, num_sequences: int) -> None:
        self.added = added
        self.request_id = added.request_id
        self.prompt_token_ids = added.prompt_token_ids
        self.num_sequences = num_sequences
        self.has_begun = False
        """Whether anything has come."""
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._abort = abort
        self._prompt = prompt
        self._arrived: list[RequestOutput] = []
        self._error: PagodaError | None = None
        self._ended = False  # nothing more will arrive
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RequestOutput:
        while not self._arrived and not self._ended:
            self._news.clear()
            await self._news.wait()
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            # One a step, where the reader keeps up.
            return arrived[0] if len(arrived) == 1 else merge_outputs(arrived)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    async def aclose(self) -> None:
        """`abort`, for `contextlib.aclosing`."""
        self.abort()

    def abort(self) -> bool:
        """End the request; False where it has ended before."""
        if self._ended:
            return False
        self.end()
        self._abort(self.request_id)
        return True

    def put(self, packed: tuple[Any, ...]) -> None:
        """Take an output from the engine."""
        output = unpack(packed, self._prompt, self.prompt_token_ids)
        self._arrived.append(output)
        self.has_begun = True
        self._ended = output.finished
        self._news.set()

    def end(self, error: PagodaError | None = None) -> None:
        """Nothing more will arrive."""
        self._ended = True
        self._error = error
        self._news.set()
        if error is not None and not self.accepted.done():
            self.accepted.set_exception(error)
