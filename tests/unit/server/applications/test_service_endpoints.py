"""/v1/service over HTTP: whose conversation is whose, which key opens what, and how mistakes are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.server.applications import service
from pagoda.server.applications.application import service_of
from pagoda.server.config import ServerConfig


class Desk:
    """Remembers what it was asked; conversation 1 is Ann's."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def say(self, session: str, text: str, user: str) -> dict[str, Any]:
        self.said.append((session, text, user))
        return {"source": "dialogue", "text": "hello"}

    def conversation(self, session: str) -> dict[str, Any]:
        entries = [{"user": text} for own, text, _ in self.said if own == session]
        return {"user": "", "staff": "", "waiting": False, "entries": entries}

    def forget(self, session: str) -> bool:
        return any(own == session for own, _, _ in self.said)

    def unblock(self, session: str, *, item: str, kind: str) -> bool:
        return kind == "genre:Horror"

    def queue(self) -> list[dict[str, Any]]:
        return [{"number": 1}]

    def take(self, number: int, name: str) -> dict[str, Any]:
        if name != "Ann":
            raise InvalidRequestError("Ann has conversation 1: take another one", param="number")
        return self.conversation("")

    def close(self) -> None:
        pass


@pytest.fixture
def shop(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`shop(steps, **config)`: runs `await steps(client)` against a server with a desk."""
    desk = Desk()
    monkeypatch.setattr(service, "_desk_over", lambda folder, settings: desk)

    def run(steps: Callable[..., Any], **config: Any) -> Desk:
        async def main() -> None:
            async with serve(ServerConfig(service=tmp_path, access_log=False, **config)) as server:
                await steps(server.client)
                await service_of(server.app, service.DeskService).close()

        asyncio.run(main())
        return desk

    return run


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_conversation_is_its_keys_own(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        for key in ("one", "two"):
            body = {"text": f"of {key}", "user": "person-003"}
            answer = await client.post("/v1/service/conversations/s/turns", json=body, headers=bearer(key))
            assert answer.json() == {"object": "service.entry", "source": "dialogue", "text": "hello"}
        kept = (await client.get("/v1/service/conversations/s", headers=bearer("one"))).json()
        assert kept["entries"] == [{"user": "of one"}]
        assert (await client.delete("/v1/service/conversations/other", headers=bearer("one"))).status_code == 404
        path, headers = "/v1/service/conversations/s/unblock", bearer("one")
        assert (await client.post(path, json={"kind": "genre:Horror"}, headers=headers)).json() == {
            "object": "service.unblocked", "item": "", "kind": "genre:Horror",
        }  # fmt: skip
        assert (await client.post(path, json={"item": "film-001"}, headers=headers)).status_code == 404

    desk = shop(steps, api_keys=("one", "two"), staff_keys=("staff",))
    assert len({session for session, _, _ in desk.said}) == 2
    assert not any("one" in session or "two" in session for session, _, _ in desk.said)


def test_staff_keys_open_the_queue_and_nothing_else(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        async def status(path: str, **headers: Any) -> int:
            return int((await client.get(path, **headers)).status_code)

        assert await status("/v1/service/queue", headers=bearer("staff")) == 200
        assert await status("/v1/service/queue", headers=bearer("shop")) == 403
        assert await status("/v1/service/queue") == 401
        assert await status("/v1/service/conversations/s", headers=bearer("staff")) == 403
        assert await status("/v1/models", headers=bearer("staff")) in (401, 403)
        assert await status("/service") == 200

    shop(steps, api_keys=("shop",), staff_keys=("staff",))


def test_a_queue_without_keys_of_its_own_is_open_and_tells_who_came_first(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        assert (await client.get("/v1/service/queue")).json() == {"object": "list", "data": [{"number": 1}]}
        assert (await client.post("/v1/service/queue/1/take", json={"name": "Ann"})).status_code == 200
        second = await client.post("/v1/service/queue/1/take", json={"name": "Bob"})
        assert (second.status_code, second.json()["error"]["param"]) == (400, "number")
        assert (await client.post("/v1/service/queue/1/take", json={"name": ""})).status_code == 400
        assert (await client.post("/v1/service/queue/0/take", json={"name": "Ann"})).status_code == 400
        assert (await client.post("/v1/service/conversations/s/turns", json={"text": ""})).status_code == 400

    shop(steps)


def test_settings_of_a_desk_need_one() -> None:
    with pytest.raises(ConfigError, match="give service"):
        ServerConfig(staff_keys=("staff",))


def test_customers_keys_without_staff_keys_do_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PAGODA_STAFF_KEY"):
        ServerConfig(service=tmp_path, api_keys=("shop",))


def test_a_turn_needs_no_chat_model(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(service, "_desk_over", lambda folder, settings: desk)

    async def main() -> None:
        async with serve(ServerConfig(service=tmp_path, access_log=False), loaded=False) as server:
            said = await server.post("/v1/service/conversations/s/turns", {"text": "hello"})
            asked = await server.post("/v1/completions", {"prompt": "hello"})
            assert (said.status_code, asked.status_code) == (200, 503)
            assert int(asked.headers["retry-after"]) >= 1
            server.app.state.server.draining = True
            assert (await server.post("/v1/service/conversations/s/turns", {"text": "hello"})).status_code == 503
            await service_of(server.app, service.DeskService).close()

    asyncio.run(main())
