"""The access log: a line of JSON for every request, and never a secret or a word of a prompt."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pagoda.server.observing.access_log import AccessLog, key_id, log_to_stderr
from pagoda.server.observing.metrics import Metrics

KEY = "sk-very-secret-key"
PROMPT = "a private prompt 私密"


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def only(self) -> dict[str, Any]:
        (line,) = self.all
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger = logging.getLogger("pagoda.access")
    before = logger.level, logger.propagate
    lines = Lines()
    handler = log_to_stderr(lines.stream)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(before[0])
    logger.propagate = before[1]


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/completions/{name}")
    async def complete(name: str, request: Request) -> dict[str, str]:
        """As an endpoint does: reads the body and tells the log what it may know."""
        await request.json()
        told = {"request_id": "cmpl-1", "api_key": KEY, "model": "tiny", "prompt_tokens": 3, "completion_tokens": 2}
        request.scope["state"].update(told)
        return {"text": PROMPT}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"one", b"three"]))

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError(PROMPT)

    return app


def send_request(app: ASGIApp, method: str, url: str, **options: Any) -> httpx.Response:
    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, url, **options)

    return asyncio.run(sent())


def exchange(app: ASGIApp, receive: Receive, send: Send, **changed: Any) -> None:
    """One request whose connection does what the test wants."""

    async def run() -> None:
        await app({"type": "http", "method": "GET", "path": "/x", "client": None} | changed, receive, send)

    asyncio.run(run())


def say(*messages: Message) -> Callable[..., Awaitable[Any]]:
    """A receive that gives these messages, or a send that takes any."""
    left = list(messages)

    async def said(_: Message | None = None) -> Message | None:
        return left.pop(0) if left else None

    return said


def test_a_line_says_who_asked_for_what_and_how_it_ended(lines: Lines) -> None:
    answer = send_request(AccessLog(application()), "POST", "/v1/completions/a", json={"prompt": PROMPT})
    line = lines.only
    assert line.pop("time")[10] == "T"
    assert line.pop("duration_ms") >= 0
    assert line == {
        "request_id": "cmpl-1",
        "client": "127.0.0.1",
        "key_id": hashlib.sha256(KEY.encode()).hexdigest()[:8],
        "method": "POST",
        "path": "/v1/completions/a",
        "status": 200,
        "bytes": len(answer.content),
        "model": "tiny",
        "prompt_tokens": 3,
        "completion_tokens": 2,
    }


@pytest.mark.parametrize("path", ["/v1/completions/a", "/nowhere", "/fails"])
def test_no_key_no_query_and_no_text_is_ever_written(lines: Lines, caplog: pytest.LogCaptureFixture, path: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "x-api-key": KEY}
    url = f"{path}?api_key={KEY}&prompt=private"
    send_request(AccessLog(application(), Metrics()), "POST", url, json={"prompt": PROMPT}, headers=headers)
    assert lines.all
    for secret in (KEY, KEY[:8], "private", "私密", "Bearer", "api_key"):
        assert secret not in lines.text
        assert secret not in caplog.text


def test_a_key_is_known_by_its_hash_and_no_key_by_none() -> None:
    assert key_id("a") == "ca978112"
    assert key_id("a") != key_id("b")
    assert key_id(None) is None


def test_a_stream_counts_all_its_bytes(lines: Lines) -> None:
    send_request(AccessLog(application()), "GET", "/stream")
    assert (lines.only["status"], lines.only["bytes"]) == (200, 8)


def test_a_fault_is_a_500_and_goes_on_to_whoever_handles_it(lines: Lines) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        exchange(AccessLog(failing), say(), say())
    assert lines.only["status"] == 500


def test_a_client_that_leaves_in_the_middle_is_a_499(lines: Lines) -> None:
    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    exchange(AccessLog(streaming), say({"type": "http.disconnect"}), say())
    assert (lines.only["status"], lines.only["bytes"]) == (499, 4)


def test_a_disconnect_after_the_answer_is_no_leaving(lines: Lines) -> None:
    async def complete(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        await receive()

    exchange(AccessLog(complete), say({"type": "http.disconnect"}), say())
    assert lines.only["status"] == 204


def test_an_endpoint_that_noticed_the_leaving_says_so(lines: Lines) -> None:
    async def noticing(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["client_left"] = True

    exchange(AccessLog(noticing), say(), say())
    assert lines.only["status"] == 499


def test_a_connection_that_breaks_is_a_499(lines: Lines) -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def broken(_: Message) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        exchange(AccessLog(answering), say(), broken)
    assert lines.only["status"] == 499


def test_metrics_get_the_template_and_never_the_path(lines: Lines) -> None:
    metrics = Metrics()
    app = AccessLog(application(), metrics)
    send_request(app, "POST", "/v1/completions/first", json={})
    send_request(app, "POST", "/v1/completions/second", json={})
    send_request(app, "GET", "/guess/1")
    send_request(app, "GET", "/guess/2")
    page = metrics.render()[0].decode()
    labels = 'method="POST",route="/v1/completions/{name}",status="200"'
    assert f"pagoda:http_requests_total{{{labels}}} 2.0" in page
    assert 'pagoda:http_requests_total{method="GET",route="unmatched",status="404"} 2.0' in page
    assert "first" not in page
    assert "guess" not in page


def test_a_log_that_is_off_still_feeds_the_metrics(lines: Lines) -> None:
    metrics = Metrics()
    send_request(AccessLog(application(), metrics, enabled=False), "GET", "/stream")
    assert lines.text == ""
    assert 'route="/stream",status="200"} 1.0' in metrics.render()[0].decode()


def test_a_path_cannot_forge_a_line_nor_steer_a_terminal(lines: Lines) -> None:
    send_request(AccessLog(application()), "GET", "/a%0A%7B%22status%22:200%7D%1B%5B2J%C2%9B")
    assert len(lines.all) == 1
    assert not {"\x1b", "\x9b"} & set(lines.text)
    assert lines.only["path"].startswith("/a\ufffd")


def test_a_long_path_is_cut(lines: Lines) -> None:
    send_request(AccessLog(application()), "GET", "/" + "a" * 5000)
    assert len(lines.only["path"]) == 256


def test_what_is_not_http_passes_untouched(lines: Lines) -> None:
    seen = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    exchange(AccessLog(noting), say(), say(), type="lifespan")
    assert "state" not in seen[0]
    assert not lines.text
