"""Connections as clients of flesh and bytes make them, over a real socket and the protocol that the server runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from pagoda.server.app import build_app
from pagoda.server.config import ServerConfig
from pagoda.server.http.half_open import HalfOpenProtocol
from patience import HANG_S

Until = Callable[[Callable[[], bool], str], Awaitable[None]]
BODY = json.dumps({"prompt": "从前", "max_tokens": 3}).encode()


@asynccontextmanager
async def listening(engine: Any) -> AsyncIterator[int]:
    """The port of a server around an engine."""
    app = build_app(engine, ServerConfig(access_log=False))
    config = uvicorn.Config(
        app, port=0, http=HalfOpenProtocol, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


def head(
    more: str = "", length: int | None = len(BODY), target: str = "/v1/completions", version: str = "1.1"
) -> bytes:
    told = "" if length is None else f"Content-Length: {length}\r\n"
    fields = f"Host: localhost\r\nContent-Type: application/json\r\n{told}{more}\r\n"
    return f"POST {target} HTTP/{version}\r\n{fields}".encode()


async def said(port: int, *pieces: bytes, half_close: bool = False) -> bytes:
    """Everything that comes back, until the server closes or the whole answer is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if half_close:
            writer.write_eof()
            return await asyncio.wait_for(reader.read(), HANG_S)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S)
        while answer.startswith(b"HTTP/1.1 100"):
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S)
        return answer
    finally:
        writer.close()


def run(engine: Any, work: Callable[[int], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with listening(engine) as port:
            return await work(port)

    return asyncio.run(main())


def final(answer: bytes) -> bytes:
    """Without the interim responses."""
    while answer.startswith(b"HTTP/1.1 100"):
        answer = answer.partition(b"\r\n\r\n")[2]
    return answer


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_half_closes_gets_its_answer(fake_engine: Any, version: str, stream: bool) -> None:
    body = json.dumps({"prompt": "从前", "stream": stream}).encode()
    request = head(length=len(body), version=version) + body
    answer = final(run(fake_engine, lambda port: said(port, request, half_close=True)))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count("🦊".encode()) == 1
    assert fake_engine.aborted == []


def test_a_client_that_half_closes_may_wait_for_long(fake_engine: Any, until: Until) -> None:
    fake_engine.hold.clear()

    async def work(port: int) -> bytes:
        waiting = asyncio.ensure_future(said(port, head() + BODY, half_close=True))
        await until(lambda: bool(fake_engine.added), "the request")
        for _ in range(3):
            await asyncio.sleep(0.05)
        fake_engine.hold.set()
        return await waiting

    assert final(run(fake_engine, work)).startswith(b"HTTP/1.1 200")
    assert fake_engine.aborted == []


def test_a_client_that_leaves_is_still_noticed(fake_engine: Any) -> None:
    fake_engine.hold.clear()

    async def work(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head() + BODY)
        async with asyncio.timeout(HANG_S):
            while not fake_engine.added:
                await asyncio.sleep(0.01)
            writer.close()
            while not fake_engine.aborted:
                await asyncio.sleep(0.01)

    run(fake_engine, work)


def test_one_that_half_closes_in_the_middle_of_a_body_gets_nothing(fake_engine: Any) -> None:
    assert run(fake_engine, lambda port: said(port, head() + BODY[:5], half_close=True)) == b""
    assert fake_engine.added == []


def test_a_body_that_waits_for_leave_is_taken(fake_engine: Any) -> None:
    async def work(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("Expect: 100-continue\r\n"))
        interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S)
        assert interim.startswith(b"HTTP/1.1 100")
        writer.write(BODY)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S)
        writer.close()
        return answer

    assert run(fake_engine, work).startswith(b"HTTP/1.1 200")


def test_a_body_that_is_refused_beforehand_is_not_asked_for(fake_engine: Any) -> None:
    expecting = head("Expect: 100-continue\r\n", length=1 << 30)
    assert run(fake_engine, lambda port: said(port, expecting)).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_read(fake_engine: Any) -> None:
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:3], BODY[3:])]
    answer = run(
        fake_engine, lambda port: said(port, head("Transfer-Encoding: chunked\r\n", None), *chunks, b"0\r\n\r\n")
    )
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "99999999999999999999999"])
def test_a_length_that_is_none_is_refused(fake_engine: Any, length: str) -> None:
    request = head(f"Content-Length: {length}\r\n", None)
    assert run(fake_engine, lambda port: said(port, request, BODY)).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert fake_engine.added == []


def test_head_sends_no_body_on_the_wire_and_the_connection_goes_on(fake_engine: Any) -> None:
    async def work(port: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = []
        for method in ("HEAD", "OPTIONS", "HEAD", "DELETE"):
            writer.write(f"{method} /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            found.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S))
        writer.close()
        return found

    answers = run(fake_engine, work)
    assert [answer.split()[1] for answer in answers] == [b"200", b"204", b"200", b"405"]
    assert b"content-length" in answers[0].lower()
