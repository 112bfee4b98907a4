"""One replica: a whole server without a port, an actor of Ray Serve that answers what the front hands over.

On the token's path behind several replicas: between the router and `server/app`. A request comes as the scope and the
body that the front has read, and the messages of ASGI that would go to a client go back, those that are there
together in one piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import ray

from pagoda.engine.args import EngineArgs
from pagoda.engine.process.async_engine import AsyncEngine, EngineState
from pagoda.errors import EngineDeadError
from pagoda.server.app import build_app
from pagoda.server.config import ServerConfig
from pagoda.server.replicas.answers import Message
from pagoda.server.replicas.table import RoutedRequest

Messages = list[Message]


@dataclass(frozen=True)
class Forwarded:
    """A request as the front has it: ASGI's scope as plain values, and the whole body."""

    scope: dict[str, Any]
    body: bytes


class EngineReplica:
    """An engine in a process of its own and the application around it. Raises what the engine meets at its start."""

    async def __init__(self, engine_args: EngineArgs, config: ServerConfig) -> None:  # type: ignore[misc]  # Serve awaits it
        if engine_args.distributed_executor_backend == "ray":
            # The engine's process is no worker of Ray: it would make a cluster of its own.
            os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
        told = replace(engine_args, max_outputs_per_s=config.max_chunks_per_s)
        self._engine = AsyncEngine(told, max_num_waiting=config.max_num_waiting)
        self._app = build_app(self._engine, config)
        await self._engine.start()
        state = self._app.state.server
        state.metrics.on_loaded(self._engine.info, state.model_names[0])

    async def handle(self, request: Forwarded, ticket: RoutedRequest) -> AsyncGenerator[Messages]:
        """The messages that answer a request. Left early, the request ends with it."""
        sent: asyncio.Queue[Message | None] = asyncio.Queue()
        body: list[dict[str, Any]] = [{"type": "http.request", "body": request.body, "more_body": False}]
        left = asyncio.Event()

        async def receive() -> MutableMapping[str, Any]:
            if body:
                return body.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            await sent.put(dict(message))

        async def answer() -> None:
            try:
                await self._app({**request.scope, "state": {}}, receive, send)
            finally:
                sent.put_nowait(None)

        answering = asyncio.create_task(answer())
        try:
            while (messages := await _all_there(sent)) and messages[-1] is not None:
                yield [each for each in messages if each is not None]
            if last := [each for each in messages if each is not None]:
                yield last
            await answering
        finally:
            left.set()
            if not answering.done():
                answering.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await answering

    def check_health(self) -> None:
        """Ray Serve asks: a replica whose engine is given up is replaced. One that restarts its engine is not."""
        if self._engine.state is EngineState.DEAD:
            raise EngineDeadError("the engine's process ended too often")

    async def __del__(self) -> None:
        """Ray Serve's last call, when nothing is under way any more."""
        await self._engine.stop()


async def _all_there(sent: asyncio.Queue[Message | None]) -> list[Message | None]:
    """What has been sent by now, at least one; ends with None where nothing more comes."""
    messages = [await sent.get()]
    while not sent.empty() and messages[-1] is not None:
        messages.append(sent.get_nowait())
    return messages
