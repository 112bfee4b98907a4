"""What the front does with a request whose replicas are lost or full, without Ray's cluster.

Replicas are real ones around an engine that a test makes die; only the way to them is none of Ray's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError

from pagoda.errors import EngineDeadError
from pagoda.server.config import ServerConfig
from pagoda.server.errors import UnavailableError, body_for, response_for
from pagoda.server.replicas import front
from pagoda.server.replicas.prefixes import Beginning, beginning_of
from pagoda.server.replicas.replica import EngineReplica, Forwarded
from pagoda.server.replicas.table import RoutedRequest
from patience import HANG_S


def _answer(error: Exception) -> list[dict[str, Any]]:
    response = response_for(error)
    start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    return [start, {"type": "http.response.body", "body": json.dumps(body_for(error)).encode(), "more_body": False}]


def _asked(monkeypatch: pytest.MonkeyPatch, tries: list[Any]) -> tuple[int, list[Any]]:
    """How often replicas are asked that answer so one after the other, and what the client gets."""
    asked, got = list[Any](), list[Any]()

    async def tried(*_: Any) -> Any:
        asked.append(tries[min(len(asked), len(tries) - 1)])
        return asked[-1]

    async def send(message: Any) -> None:
        got.append(message)

    monkeypatch.setattr(front, "_RETRY_S", 0.0)
    one = object.__new__(front.Front)
    monkeypatch.setattr(one, "_tried", tried)
    asyncio.run(one._answer(Forwarded({"headers": []}, b"{}"), send))
    return len(asked), got


@pytest.mark.parametrize("lost", [None, _answer(EngineDeadError("gone"))])
def test_a_request_that_two_replicas_are_lost_with_is_not_given_to_a_third(
    monkeypatch: pytest.MonkeyPatch, lost: list[Any] | None
) -> None:
    num_asked, got = _asked(monkeypatch, [lost])
    assert num_asked == 2
    assert got[0]["status"] >= 500
    assert got[-1]["more_body"] is False


def test_a_replica_that_only_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loading = _answer(UnavailableError("loading"))
    assert _asked(monkeypatch, [loading, loading, loading, []]) == (4, [])


def test_json_of_any_depth_is_no_fault_of_the_front() -> None:
    assert beginning_of(b"[" * 100_000) == Beginning()
    assert beginning_of(b'{"messages": ' + b"[" * 100_000) == Beginning()


CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"prompt": "Hello", "max_tokens": 40},
    "/v1/responses": {"input": "Hello", "max_output_tokens": 40},
}
_OWN = {"id", "created", "created_at", "item_id", "response", "item"}
"""Of events, what differs from one answer to the next."""


class _Replica(EngineReplica):
    def __init__(self, app: Any) -> None:
        self._app = app

    def __del__(self) -> None:  # type: ignore[override]
        pass  # Ray Serve awaits the other


class Behind:
    """A front, and servers behind it that are asked in turn; `asked` counts."""

    def __init__(self, servers: Sequence[Any]) -> None:
        self.servers, self.asked, self.got = servers, 0, list[dict[str, Any]]()
        self.is_lost = False
        """Whether a replica ends as soon as it has answered."""
        self.front = object.__new__(front.Front)
        self.front._messages = self._messages  # type: ignore[method-assign]

    async def _messages(self, request: Forwarded, ticket: RoutedRequest) -> AsyncIterator[Any]:
        place = self.asked % len(self.servers)
        self.asked += 1
        if isinstance(self.servers[place], Exception):
            raise self.servers[place]
        ticket.replica = str(place)
        async for messages in _Replica(self.servers[place].app).handle(request, ticket):
            for message in messages:
                yield message
        if self.is_lost:
            raise ActorDiedError

    async def post(self, path: str, body: dict[str, Any]) -> None:
        async def send(message: Any) -> None:
            self.got.append(message)
            await asyncio.sleep(0)

        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path}
        scope |= {"raw_path": path.encode(), "query_string": b"", "scheme": "http", "client": ("127.0.0.1", 1)}
        scope |= {"headers": [(b"content-type", b"application/json"), (b"host", b"localhost")]}
        answering = self.front._answer(Forwarded(scope, json.dumps(body).encode()), send)
        await asyncio.wait_for(answering, HANG_S)

    @property
    def text(self) -> str:
        assert [each["type"] for each in self.got] == [
            "http.response.start",
            *["http.response.body"] * len(self.got[1:]),
        ]
        assert [each.get("more_body", False) for each in self.got[1:]] == [True] * (len(self.got) - 2) + [False]
        return b"".join(each["body"] for each in self.got[1:]).decode()

    @property
    def events(self) -> list[Any]:
        lines = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: ")]
        told = [json.loads(line) for line in lines if line != "[DONE]"]
        return [{name: value for name, value in each.items() if name not in _OWN} for each in told]


def _behind(serve: Callable[..., Any], test: Callable[..., Any], *settings: dict[str, Any], **config: Any) -> None:
    """Runs a test over a front with as many servers as there are settings."""

    async def run() -> None:
        async with AsyncExitStack() as stack:
            plain = ServerConfig(access_log=False, **config)
            servers = [await stack.enter_async_context(serve(plain, **each)) for each in settings]
            await test(Behind(servers))

    asyncio.run(run())


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_whose_replica_dies_before_the_first_token_is_asked_of_another(
    serve: Callable[..., Any], path: str, stream: bool
) -> None:
    body = {**BODIES[path], "stream": stream}

    async def test(behind: Behind) -> None:
        behind.servers[0].engine.dies_after = 0
        await behind.post(path, body)
        assert behind.asked == 2
        assert behind.got[0]["status"] == 200
        if stream:
            other = Behind(behind.servers[1:])
            await other.post(path, body)
            assert behind.events == other.events
            assert len(behind.events) > 5
        else:
            assert "fox" in behind.text

    _behind(serve, test, {}, {})


@pytest.mark.parametrize("path", BODIES)
def test_a_stream_that_has_told_a_token_ends_with_one_error(serve: Callable[..., Any], path: str) -> None:
    async def test(behind: Behind) -> None:
        behind.servers[0].engine.dies_after = 3
        await behind.post(path, {**BODIES[path], "stream": True})
        assert behind.asked == 1
        errors = [each for each in behind.events if "error" in each or each.get("type") == "response.failed"]
        assert errors == behind.events[-1:]

    _behind(serve, test, {}, {})


def test_a_stream_that_was_kept_alive_before_its_first_token_is_asked_again_too(serve: Callable[..., Any]) -> None:
    async def test(behind: Behind) -> None:
        first, second = behind.servers
        first.engine.hold.clear()
        first.engine.dies_after = 0
        asking = asyncio.ensure_future(behind.post("/v1/chat/completions", {**CHAT, "stream": True}))
        while len(behind.got) < 3:
            await asyncio.sleep(0)
        assert {each["body"] for each in behind.got[1:]} == {b": ping\n\n"}
        first.engine.hold.set()
        await asking
        other = Behind([second])
        await other.post("/v1/chat/completions", {**CHAT, "stream": True})
        assert behind.events == other.events

    _behind(serve, test, {}, {}, keep_alive_s=0.001)


def test_a_client_whose_stream_has_its_head_gets_an_error_as_an_event(serve: Callable[..., Any]) -> None:
    async def test(behind: Behind) -> None:
        for server in behind.servers:
            server.engine.hold.clear()
            server.engine.dies_after = 0
        asking = asyncio.ensure_future(behind.post("/v1/completions", {**BODIES["/v1/completions"], "stream": True}))
        while len(behind.got) < 2:
            await asyncio.sleep(0)
        for server in behind.servers:
            server.engine.hold.set()
        await asking
        assert behind.asked == 2
        assert [each["error"]["code"] for each in behind.events] == ["engine_dead"]
        assert behind.text.endswith("data: [DONE]\n\n")

    _behind(serve, test, {}, {}, keep_alive_s=0.001)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_was_whole_when_its_replica_ended_is_kept(serve: Callable[..., Any], stream: bool) -> None:
    async def test(behind: Behind) -> None:
        behind.is_lost = True
        await behind.post("/v1/completions", {**BODIES["/v1/completions"], "stream": stream})
        assert behind.asked == 1
        assert behind.got[0]["status"] == 200
        assert "error" not in behind.text

    _behind(serve, test, {})


def _header(behind: Behind, name: bytes) -> bytes | None:
    return dict(behind.got[0]["headers"]).get(name)


async def _busy(server: Any) -> asyncio.Task[Any]:
    """One request runs there, and will until it is let go on: no other finds room."""
    server.engine.hold.clear()
    asking = asyncio.ensure_future(server.post("/v1/completions", BODIES["/v1/completions"]))
    while not server.engine.added:
        await asyncio.sleep(0)
    return asking


@pytest.mark.parametrize("num_full", [1, 2])
def test_a_full_replica_is_passed_over_and_where_all_are_clients_are_told_when(
    serve: Callable[..., Any], num_full: int
) -> None:
    async def test(behind: Behind) -> None:
        full = behind.servers[:num_full]
        waiting = [await _busy(server) for server in full]
        await behind.post("/v1/completions", BODIES["/v1/completions"])
        if num_full == 1:
            assert (behind.got[0]["status"], behind.asked) == (200, 2)
        else:
            assert (behind.got[0]["status"], behind.asked) == (503, 3)
            assert json.loads(behind.text)["error"]["code"] == "overloaded"
            assert int(_header(behind, b"retry-after") or 0) >= 1
        for server in full:
            server.engine.hold.set()
        await asyncio.gather(*waiting)

    small = {"max_num_seqs": 1, "max_num_waiting": 0}
    _behind(serve, test, small, small)


def test_where_there_is_no_replica_no_more_wait_for_one_than_may() -> None:
    behind = Behind([BackPressureError(num_queued_requests=9, max_queued_requests=9)])
    asyncio.run(behind.post("/v1/completions", BODIES["/v1/completions"]))
    assert (behind.got[0]["status"], behind.asked) == (503, 1)
    assert json.loads(behind.text)["error"]["code"] == "overloaded"
    assert int(_header(behind, b"retry-after") or 0) >= 1
