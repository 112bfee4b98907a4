"""The dialogue of one server: an agent that is opened at the start, and whose session is whose.

Between the endpoints of /v1/dialogue and `dialogue.agent`. Turns are taken in threads, so that no stream waits for
them. A session belongs to the API key that began it: another key with the same id has another session.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.graph.access import GraphAddress
from pagoda.server.applications.application import LazyService, Opener

if TYPE_CHECKING:
    from pagoda.dialogue.agent import DialogueAgent
    from pagoda.dialogue.sessions.store import HandOffRecord

MAX_SESSION_ID_LENGTH = 128
logger = logging.getLogger(__name__)


class DialogueService(LazyService["DialogueAgent"]):
    """Graph, sessions and understanding, opened with the agent. opener: of another agent than the folder's

    `start` raises DialogueError, GraphError, ConfigError, MissingExtraError.
    """

    def __init__(self, path: Path, engine: AsyncEngine, opener: Opener[DialogueAgent] | None = None) -> None:
        super().__init__(path, engine, opener or Opening())

    async def close(self) -> None:
        """Close the agent; one that is being opened learns no further, so that a server need not wait for it."""
        if isinstance(self._opener, Opening):
            self._opener.stopping.set()
        await super().close()

    async def reply(self, key: str | None, session: str, text: str) -> dict[str, Any]:
        """One turn as it is told to a client."""
        agent = await self._opened()
        turn = await agent.areply(own_session(key, session), text)
        return {**turn.as_dict(), "session": session}

    async def turns(self, key: str | None, session: str) -> list[dict[str, Any]]:
        """All turns of a session, oldest first; none of one that nobody began."""
        agent = await self._opened()
        found = await asyncio.to_thread(agent.sessions.turns, own_session(key, session))
        return [{**turn, "session": session} for turn in found]

    async def delete(self, key: str | None, session: str) -> bool:
        """Forget a session; False where there is none."""
        agent = await self._opened()
        return await asyncio.to_thread(agent.forget, own_session(key, session))

    async def hand_offs(self, key: str | None) -> list[dict[str, Any]]:
        """Conversations of this key that wait for a person, oldest first."""
        agent = await self._opened()
        found: list[HandOffRecord] = await asyncio.to_thread(agent.sessions.hand_offs)
        prefix = own_session(key, "")
        own = [given for given in found if given.session_id.startswith(prefix)]
        return [
            {"object": "dialogue.hand_off", **asdict(given), "session": given.session_id.removeprefix(prefix)}
            for given in own
        ]

    async def end_hand_off(self, key: str | None, session: str) -> bool:
        """The person who took a conversation over gives it back; False where nobody had."""
        agent = await self._opened()
        return await asyncio.to_thread(agent.end_hand_off, own_session(key, session))

    async def status(self) -> dict[str, Any]:
        """What this dialogue can do."""
        agent = await self._opened()
        return {"object": "dialogue.status", **agent.facts()}


def own_session(key: str | None, session: str) -> str:
    """The session's name in the store. Keys themselves are written nowhere. Raises InvalidRequestError."""
    if len(session) > MAX_SESSION_ID_LENGTH:
        raise InvalidRequestError(
            f"the session id has {len(session)} characters, at most {MAX_SESSION_ID_LENGTH} are taken", param="session"
        )
    owner = "open" if key is None else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{owner}/{session}"


@dataclass(frozen=True)
class Opening:
    """How an operator wants the agent. See `ServerConfig` for the fields. stopping: set where nobody waits any more"""

    domain: Path | None = None
    graph: GraphAddress | None = None
    trained: Path | None = None
    timezone: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    def __call__(self, path: Path, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> DialogueAgent:
        """The agent over a folder, in a thread. Raises as `DialogueAgent` does."""
        from pagoda.chat.held import HeldModel
        from pagoda.chat.loop import LoopThread
        from pagoda.dialogue.agent import DialogueAgent
        from pagoda.dialogue.settings import AgentSettings
        from pagoda.engine.chat_model import EngineChatModel

        # The built-in model is too small to be believed.
        reads = engine.args.model is not None
        settings = AgentSettings(
            strategy="hybrid" if reads else "intent_first", timezone=self.timezone, on_progress=_Told(self.stopping)
        )
        model = HeldModel(EngineChatModel.shared(engine), LoopThread(loop, instead="areply")) if reads else None
        return DialogueAgent(
            self.domain,
            self.graph.opened(os.environ) if self.graph is not None else None,
            self.trained,
            model,
            folder=path,
            settings=settings,
            owns_graph=True,
        )


class _Told:
    """Tells the log of each tenth of what takes long. Raises ConfigError once nobody waits for it any more."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._last = ("", -1)

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._stopping.is_set():
            raise ConfigError("the server is stopping: nothing was learned")
        tenth = 10 * done // max(total, 1)
        if (what, tenth) != self._last:
            self._last = (what, tenth)
            logger.info("learning the dialogue's sentences: %s %d %%", what, 10 * tenth)
