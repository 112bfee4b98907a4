"""/v1/dialogue over HTTP: turns, whose session is whose, errors by the table. The agent repeats what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.dialogue.sessions.store import HandOffRecord, SessionStore
from pagoda.errors import InvalidRequestError
from pagoda.graph.errors import GraphFolderError
from pagoda.server.applications.application import service_of
from pagoda.server.applications.dialogue_service import DialogueService
from pagoda.server.config import ServerConfig

TURN = {
    "object": "dialogue.turn", "language": "en", "understanding": None, "action": "say", "statement": "",
    "parameters": {}, "rows": [], "subgraph": {"nodes": [], "edges": []}, "timings": {"total": 0.01},
    "state": {"intent": "", "slots": {}, "requested": "", "missing": [], "suspended": [], "results": []},
}  # fmt: skip


class Echo:
    """One turn of the agent below."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told

    def as_dict(self) -> dict[str, Any]:
        return self._told


class EchoAgent:
    """Says what it hears; keeps sessions as the real one does."""

    def __init__(self) -> None:
        self.sessions = SessionStore()
        self.closed = False

    async def areply(self, session_id: str, text: str) -> Echo:
        if not text.strip():
            raise InvalidRequestError("the text is empty: say something", param="text")
        log = self.sessions.log(session_id)
        told = {**TURN, "session": session_id, "number": log.num_turns + 1, "user": text, "text": text}
        given = HandOffRecord(session_id, "asked_for", "en", text) if text == "a person" else None
        self.sessions.append(session_id, [{"text": text}], told, num_events_before=len(log.events), hand_off=given)
        return Echo(told)

    def forget(self, session_id: str) -> bool:
        return self.sessions.delete(session_id)

    def end_hand_off(self, session_id: str) -> bool:
        return self.sessions.end_hand_offs(session_id) > 0

    def facts(self) -> dict[str, Any]:
        return {"domain": "city", "intents": [], "slots": []}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def talk(serve: Any, tmp_path: Path) -> Callable[..., Any]:
    """`talk(steps, **config)`: runs `await steps(client, agent)` against a server with a dialogue."""

    def run(steps: Callable[..., Any], *, agent: Any = None, **config: Any) -> None:
        async def main() -> None:
            settings = ServerConfig(access_log=False, dialogue=tmp_path / "dialogue", **config)
            echo = agent or EchoAgent()
            async with serve(settings) as server:
                service_of(server.app, DialogueService)._opener = lambda *given: _opened(echo)
                await steps(server.client, echo)
                await service_of(server.app, DialogueService).close()

        asyncio.run(main())

    return run


def _opened(agent: Any) -> Any:
    if isinstance(agent, Exception):
        raise agent
    return agent


def test_turns_are_taken_told_and_forgotten(talk: Callable[..., Any]) -> None:
    async def steps(client: Any, agent: EchoAgent) -> None:
        first = (await client.post("/v1/dialogue/小李/turns", json={"text": "你好"})).json()
        assert (first["session"], first["number"], first["user"]) == ("小李", 1, "你好")
        listed = (await client.get("/v1/dialogue/小李/turns")).json()
        assert listed == {"object": "list", "data": [first]}
        assert (await client.get("/v1/dialogue/another/turns")).json()["data"] == []
        assert (await client.delete("/v1/dialogue/小李")).json()["deleted"] is True
        missing = await client.delete("/v1/dialogue/小李")
        assert (missing.status_code, missing.json()["error"]["param"]) == (404, "session")

    talk(steps)


def test_a_session_belongs_to_the_key_that_began_it(talk: Callable[..., Any]) -> None:
    async def steps(client: Any, agent: EchoAgent) -> None:
        mine, yours = ({"Authorization": f"Bearer {key}"} for key in ("mine", "yours"))
        await client.post("/v1/dialogue/s/turns", json={"text": "a person"}, headers=mine)
        assert (await client.get("/v1/dialogue/s/turns", headers=yours)).json()["data"] == []
        assert (await client.get("/v1/dialogue/hand_offs", headers=yours)).json()["data"] == []
        (given,) = (await client.get("/v1/dialogue/hand_offs", headers=mine)).json()["data"]
        assert (given["session"], given["reason"]) == ("s", "asked_for")
        assert (await client.get("/v1/dialogue/s/turns")).status_code == 401
        assert [given for given in agent.sessions.hand_offs() if "mine" not in given.session_id]
        assert not [given for given in agent.sessions.hand_offs() if "mine" in given.session_id]

    talk(steps, api_keys=("mine", "yours"))


def test_a_desk_gives_a_conversation_back_and_no_other_key_can(talk: Callable[..., Any]) -> None:
    async def steps(client: Any, agent: EchoAgent) -> None:
        mine, yours = ({"Authorization": f"Bearer {key}"} for key in ("mine", "yours"))
        await client.post("/v1/dialogue/s/turns", json={"text": "a person"}, headers=mine)
        refused = await client.delete("/v1/dialogue/s/hand_off", headers=yours)
        assert (refused.status_code, refused.json()["error"]["param"]) == (404, "session")
        ended = (await client.delete("/v1/dialogue/s/hand_off", headers=mine)).json()
        assert ended == {"object": "dialogue.hand_off.ended", "session": "s", "ended": True}
        assert (await client.get("/v1/dialogue/hand_offs", headers=mine)).json()["data"] == []
        assert (await client.delete("/v1/dialogue/s/hand_off", headers=mine)).status_code == 404
        assert len((await client.get("/v1/dialogue/s/turns", headers=mine)).json()["data"]) == 1

    talk(steps, api_keys=("mine", "yours"))


@pytest.mark.parametrize(
    ("body", "param"), [({"text": ""}, "text"), ({}, "text"), ({"text": 4}, "text"), ({"text": "x", "txt": 1}, "txt")]
)
def test_a_request_that_is_none_is_a_400_that_names_the_field(
    talk: Callable[..., Any], body: dict[str, Any], param: str
) -> None:
    async def steps(client: Any, agent: EchoAgent) -> None:
        refused = await client.post("/v1/dialogue/s/turns", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)

    talk(steps, strict=True)


def test_too_long_a_session_id_is_a_400(talk: Callable[..., Any]) -> None:
    async def steps(client: Any, agent: EchoAgent) -> None:
        refused = await client.post(f"/v1/dialogue/{'s' * 129}/turns", json={"text": "hi"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "session")

    talk(steps)


def test_a_dialogue_that_cannot_be_opened_is_a_503_with_its_reason(talk: Callable[..., Any]) -> None:
    async def steps(client: Any, agent: Any) -> None:
        refused = await client.post("/v1/dialogue/s/turns", json={"text": "hi"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert "is in use" in refused.json()["error"]["message"]
        assert "Retry-After" in refused.headers

    talk(steps, agent=GraphFolderError("the folder is in use by another process: end it first"))


def test_the_page_and_the_status_are_there_and_the_description_tells_of_the_turns(talk: Callable[..., Any]) -> None:
    async def steps(client: Any, agent: EchoAgent) -> None:
        page = await client.get("/dialogue")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (await client.get("/v1/dialogue")).json()["domain"] == "city"
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert set(paths["/v1/dialogue/{session}/turns"]) == {"get", "post"}

    talk(steps)


def test_closing_the_server_closes_the_agent(talk: Callable[..., Any]) -> None:
    agents = []

    async def steps(client: Any, agent: EchoAgent) -> None:
        await client.get("/v1/dialogue")
        agents.append(agent)

    talk(steps)
    assert agents[0].closed


def test_without_a_dialogue_there_are_neither_endpoints_nor_a_page(serve: Any) -> None:
    async def main() -> None:
        async with serve() as server:
            assert (await server.client.get("/dialogue")).status_code == 404
            assert (await server.client.get("/v1/dialogue")).status_code == 404

    asyncio.run(main())
