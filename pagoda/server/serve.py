"""Running the server: start, signals, draining, end.

Around the request's path. The port is open before the model is loaded, so that probes get an answer. The first SIGTERM
or Ctrl-C drains: /ready turns 503, new work is refused, what runs may finish; the second stops at once. When the
engine is lost for good, the server ends with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

import uvicorn

from pagoda.engine.args import EngineArgs
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import ConfigError, EngineDeadError
from pagoda.server.app import build_app
from pagoda.server.applications.application import Application
from pagoda.server.config import ServerConfig
from pagoda.server.http.half_open import HalfOpenProtocol
from pagoda.server.state import ServerState

Announce = Callable[[str, dict[str, object]], None]
"""Called with the name of an event and its facts: "listening", "ready", "draining", "cut"."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which could not drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_Runner`."""
        yield


class _Runner:
    """One run of a server, from the open port to the last request."""

    def __init__(self, engine_args: EngineArgs, config: ServerConfig, announce: Announce) -> None:
        self._config = config
        self._announce = announce
        self._began = time.monotonic()
        told = replace(engine_args, max_outputs_per_s=config.max_chunks_per_s)
        self._engine = AsyncEngine(told, max_num_waiting=config.max_num_waiting)
        app = build_app(self._engine, config)
        self._state: ServerState = app.state.server
        self._applications: tuple[Application, ...] = app.state.applications
        self._server = _Server(
            uvicorn.Config(
                app,
                http=HalfOpenProtocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                ssl_keyfile=config.ssl_keyfile,
                ssl_certfile=config.ssl_certfile,
                timeout_graceful_shutdown=1,
                backlog=2048,
            )
        )
        self._num_signals = 0
        self._asked_to_stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal or the engine's end. Raises what kept the engine from starting, or EngineDeadError."""
        listening = _listen(self._config.host, self._config.port)
        port = listening.getsockname()[1]
        scheme = "https" if self._config.ssl_certfile else "http"
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        url = f"{scheme}://{host}:{port}"
        self._announce("listening", {"url": url})
        with self._signals():
            serving = asyncio.create_task(self._server.serve(sockets=[listening]))
            try:
                await self._until_stopped(url, serving)
            finally:
                self._server.should_exit = True
                await serving
                for application in self._applications:
                    await application.service.close()
                await self._engine.stop()
                self._state.tracer.close()

    async def _until_stopped(self, url: str, serving: asyncio.Task[None]) -> None:
        asked = asyncio.create_task(self._asked_to_stop.wait())
        starting = asyncio.create_task(self._start(url))
        await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        starting.result()
        watching = asyncio.create_task(self._engine.dead.wait())
        await asyncio.wait((watching, asked, serving), return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        if self._engine.dead.is_set():
            raise EngineDeadError("the engine's process ended too often and is not started again")
        await self._drain()

    async def _start(self, url: str) -> None:
        for application in self._applications:
            await application.service.start()
        await self._engine.start()
        _calm_collector()
        self._state.metrics.on_loaded(self._engine.info, self._state.model_names[0])
        phases = self._engine.info.startup_s
        self._announce("ready", {"url": url, "seconds": time.monotonic() - self._began, "phases": phases})

    async def _drain(self) -> None:
        self._announce("draining", {"seconds": self._config.drain_timeout_s})
        draining = asyncio.create_task(self._state.drain(self._config.drain_timeout_s))
        while not draining.done() and self._num_signals < 2:
            await asyncio.wait((draining,), timeout=0.05)
        if not draining.done() or not draining.result():
            self._announce("cut", {})
        draining.cancel()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            self._num_signals += 1
            loop.call_soon_threadsafe(self._asked_to_stop.set)

        for number in _SIGNALS:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(engine_args: EngineArgs, config: ServerConfig, announce: Announce) -> None:
    """Run a server in this thread until it is told to stop. Raises PagodaError."""
    uvicorn_loop = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=uvicorn_loop) as runner:
        runner.run(_run(engine_args, config, announce))


def _calm_collector() -> None:
    """Keep full passes of the garbage collector rare and short: each stops the event loop for as long as it takes.

    It looks at everything that is alive, and while one large request is read or answered that is a million values, none
    of them garbage; by default it would do so a dozen times on the way.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1000)


async def _run(engine_args: EngineArgs, config: ServerConfig, announce: Announce) -> None:
    await _Runner(engine_args, config, announce).run()


def _listen(host: str, port: int) -> socket.socket:
    """An open port. Raises ConfigError where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; give another --port") from error
    return listening
