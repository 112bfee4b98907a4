"""The dialogue of one server: an agent that is opened at the start, and whose session is whose.

Between the endpoints of /v1/dialogue and `dialogue.agent`. Turns are taken in threads, so that no stream waits for
them. A session belongs to the API key that began it: another key with the same id has another session.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import InvalidRequestError

if TYPE_CHECKING:
    from pagoda.dialogue.agent import DialogueAgent
    from pagoda.dialogue.sessions.store import HandOffRecord

MakeAgent = Callable[[Path, AsyncEngine, asyncio.AbstractEventLoop], "DialogueAgent"]
MAX_SESSION_ID_LENGTH = 128


class DialogueService:
    """Opened by `start`, or by the first request. make_agent: for tests, what to open in place of the folder's."""

    def __init__(self, path: Path, engine: AsyncEngine, make_agent: MakeAgent | None = None) -> None:
        self.path = path.expanduser().absolute()
        self._engine = engine
        self._make_agent = make_agent or _open
        self._agent: DialogueAgent | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Open graph, sessions and understanding. Raises DialogueError, ConfigError, MissingExtraError."""
        await self._opened()

    async def close(self) -> None:
        """Close the agent, its graph too."""
        agent, self._agent = self._agent, None
        if agent is not None:
            await asyncio.to_thread(agent.close)

    async def reply(self, key: str | None, session: str, text: str) -> dict[str, Any]:
        """One turn as it is told to a client."""
        agent = await self._opened()
        turn = await agent.areply(_own(key, session), text)
        return {**turn.as_dict(), "session": session}

    async def turns(self, key: str | None, session: str) -> list[dict[str, Any]]:
        """All turns of a session, oldest first; none of one that nobody began."""
        agent = await self._opened()
        found = await asyncio.to_thread(agent.sessions.turns, _own(key, session))
        return [{**turn, "session": session} for turn in found]

    async def delete(self, key: str | None, session: str) -> bool:
        """Forget a session; False where there is none."""
        agent = await self._opened()
        return await asyncio.to_thread(agent.forget, _own(key, session))

    async def hand_offs(self, key: str | None) -> list[dict[str, Any]]:
        """Conversations of this key that wait for a person, oldest first."""
        agent = await self._opened()
        found: list[HandOffRecord] = await asyncio.to_thread(agent.sessions.hand_offs)
        prefix = _own(key, "")
        own = [given for given in found if given.session_id.startswith(prefix)]
        return [
            {"object": "dialogue.hand_off", **asdict(given), "session": given.session_id.removeprefix(prefix)}
            for given in own
        ]

    async def status(self) -> dict[str, Any]:
        """What this dialogue can do."""
        agent = await self._opened()
        return {"object": "dialogue.status", **agent.facts()}

    async def _opened(self) -> DialogueAgent:
        async with self._opening:
            agent = self._agent
            if agent is None:
                loop = asyncio.get_running_loop()
                agent = self._agent = await asyncio.to_thread(self._make_agent, self.path, self._engine, loop)
            return agent


def _own(key: str | None, session: str) -> str:
    """The session's name in the store. Keys themselves are written nowhere. Raises InvalidRequestError."""
    if len(session) > MAX_SESSION_ID_LENGTH:
        raise InvalidRequestError(
            f"the session id has {len(session)} characters, at most {MAX_SESSION_ID_LENGTH} are taken", param="session"
        )
    owner = "open" if key is None else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{owner}/{session}"


def _open(path: Path, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> DialogueAgent:
    from pagoda.chat.held import HeldModel
    from pagoda.chat.loop import LoopThread
    from pagoda.dialogue.agent import DialogueAgent
    from pagoda.dialogue.settings import AgentSettings
    from pagoda.engine.chat_model import EngineChatModel

    # The built-in model is too small to be believed.
    if engine.args.model is None:
        return DialogueAgent(folder=path)
    model = HeldModel(EngineChatModel.shared(engine), LoopThread(loop, instead="areply"))
    return DialogueAgent(model=model, folder=path, settings=AgentSettings(strategy="hybrid"))
