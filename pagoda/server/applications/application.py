"""An application: what a server offers beside OpenAI's endpoints, with routes, a page and a life of its own.

Beside the token's path. Each application is one file here, which ends with a function from the server's settings to
its `Application`; `server.app` lists these functions and knows nothing else of them. What an application works with is
opened once, whoever asks first, and a route finds it by its class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from fastapi import APIRouter, FastAPI

from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.server.config import ServerConfig
from pagoda.server.tools.hosted import OpenSearch


class Closable(Protocol):
    """What a service opens."""

    def close(self) -> None:
        """Give back all that it holds. Called in a thread, once."""
        ...


T = TypeVar("T", bound=Closable)
Opener = Callable[[Path, AsyncEngine, asyncio.AbstractEventLoop], T]
"""From the folder, the engine and the loop that the engine's calls belong to."""


class Service(Protocol):
    """What an application works with, as the server sees it."""

    async def start(self) -> None:
        """Make ready before anybody asks."""
        ...

    async def close(self) -> None:
        """Give back all that it holds."""
        ...


class LazyService(Generic[T]):
    """One thing over a folder, opened by `start` or by the first request, and closed with the server.

    opener: opens it, in a thread, since that may take seconds. Where it raises, the request that asked gets the error's
        answer, and the next one tries again.
    """

    def __init__(self, path: Path, engine: AsyncEngine, opener: Opener[T]) -> None:
        self.path = path.expanduser().absolute()
        self._engine = engine
        self._opener = opener
        self._held: T | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Open it before anybody asks. Raises what the opener does."""
        await self._opened()

    async def close(self) -> None:
        """Close it, if it is open."""
        opened, self._held = self._held, None
        if opened is not None:
            await asyncio.to_thread(opened.close)

    async def _opened(self) -> T:
        # Requests that come while it is opened wait here: two over one folder would lock each other out.
        async with self._opening:
            opened = self._held
            if opened is None:
                loop = asyncio.get_running_loop()
                opened = self._held = await asyncio.to_thread(self._opener, self.path, self._engine, loop)
            return opened


@dataclass(frozen=True)
class Application:
    """One application of a server. The server starts and closes its service.

    name: for people; the page, if there is one, is served at /NAME, to anybody
    router: its endpoints. Their errors need no care: `server.errors` has a row for each class that may be raised
    service: what the endpoints work with, found by `service_of`
    keys: API keys that open its endpoints alone, which look themselves at what each of them may do
    panel: attribute of the chat page's body, by which that page shows what it has for this application
    file_search: opens the tool of that name for a chat
    collector: figures of its own for /metrics, as `prometheus_client` takes them
    """

    name: str
    router: APIRouter
    service: Service
    page: Traversable | None = None
    panel: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    file_search: OpenSearch | None = None
    collector: Any = None


MakeApplication = Callable[[ServerConfig, AsyncEngine], Application | None]
"""None where the operator did not ask for it."""
S = TypeVar("S", bound=Service)


def service_of(app: FastAPI, kind: type[S]) -> S:
    """The service of this class, for the routes of its application."""
    applications: tuple[Application, ...] = app.state.applications
    return next(found.service for found in applications if isinstance(found.service, kind))
