"""Plain HTTP and server-sent events, with a memory of what was sent.

First station of a check: the bytes go out as the check wrote them and come back unread, so that a mistake of the
server's is seen and not smoothed over by a client library. Events are read by the rules of the HTML standard,
"Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from pagoda.conformance.evidence import CheckFailedError, Sent

JSON_BODY = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """A whole answer. Header names are in lower case."""

    sent: Sent
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 shows as U+FFFD."""
        return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """The body. Raises CheckFailedError where it is not JSON, as JavaScript would read it (no NaN)."""
        try:
            return json.loads(self.content, parse_constant=_refuse_constant)
        except ValueError as error:
            raise CheckFailedError("a body of valid JSON", f"{error}: {self.text[:200]!r}", sent=self.sent) from error

    def summary(self) -> str:
        """Status and the beginning of the body."""
        return f"{self.status} {self.text[:300].strip()}"


@dataclass(frozen=True)
class Stream(Reply):
    """An answer of events."""

    @cached_property
    def events(self) -> list[tuple[str, str]]:
        """(event name, data) of each event; comments are left out."""
        return [event for block in _blocks(self.text) if (event := _event(block)) is not None]

    @cached_property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON of each event up to `[DONE]`. Raises CheckFailedError for an event that is no JSON object."""
        return [self._chunk(data) for _, data in self.events if not data.startswith("[DONE]")]

    def choices(self, index: int = 0) -> list[dict[str, Any]]:
        """Everything that was said about one choice, in order."""
        found = [choice for chunk in self.chunks for choice in chunk.get("choices") or []]
        return [choice for choice in found if choice.get("index") == index]

    def content_text(self, index: int = 0) -> str:
        """The text of one choice, joined, from either endpoint."""
        return "".join(
            choice.get("text") or (choice.get("delta") or {}).get("content") or "" for choice in self.choices(index)
        )

    def finish_reasons(self, index: int = 0) -> list[str]:
        """All finish reasons of one choice; one is right."""
        return [choice["finish_reason"] for choice in self.choices(index) if choice.get("finish_reason")]

    def usage(self) -> dict[str, Any] | None:
        """The last usage that was sent."""
        return next((chunk["usage"] for chunk in reversed(self.chunks) if chunk.get("usage")), None)

    def _chunk(self, data: str) -> dict[str, Any]:
        try:
            chunk = json.loads(data, parse_constant=_refuse_constant)
        except ValueError as error:
            raise CheckFailedError(
                "one line of JSON in each event", f"{error}: {data[:200]!r}", sent=self.sent
            ) from error
        if not isinstance(chunk, dict):
            raise CheckFailedError("a JSON object in each event", data[:200], sent=self.sent)
        return chunk


class Client:
    """One check's way to the server. `sent` is everything that the check has sent so far."""

    def __init__(self, http: httpx.AsyncClient, url: str, api_key: str | None = None) -> None:
        self._http, self.url, self._api_key = http, url, api_key
        self.sent: list[Sent] = []

    async def get(self, path: str) -> Reply:
        """GET."""
        return await self.request("GET", path)

    async def post(self, path: str, body: object) -> Reply:
        """POST a value as JSON, in UTF-8."""
        return await self.request("POST", path, encoded(body), JSON_BODY)

    async def request(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        authorized: bool = True,
    ) -> Reply:
        """Send bytes as they are. Raises CheckFailedError where no answer comes."""
        sent = self._note(method, path, content, headers or {}, authorized)
        async with self._answering(sent) as response:
            body = await response.aread()
            return Reply(sent, response.status_code, dict(response.headers), body)

    async def stream(self, path: str, body: Mapping[str, Any], *, max_pieces: int | None = None) -> Stream:
        """POST with `stream` set, and read to the end, or hang up after so many pieces."""
        sent = self._note("POST", path, encoded({**body, "stream": True}), JSON_BODY, True)
        async with self._answering(sent) as response:
            pieces: list[bytes] = []
            async for piece in response.aiter_bytes():
                pieces.append(piece)
                if len(pieces) == max_pieces:
                    break
            return Stream(sent, response.status_code, dict(response.headers), b"".join(pieces))

    async def leave_stream(self, path: str, body: Mapping[str, Any]) -> None:
        """POST with `stream` set, read the first piece, and hang up."""
        stream = await self.stream(path, body, max_pieces=1)
        if stream.status != 200:
            raise CheckFailedError("status 200", stream.summary(), sent=stream.sent)

    async def leave_waiting(self, path: str, body: Mapping[str, Any], after_s: float) -> bool:
        """POST and hang up without an answer; False where the answer came before that."""
        waiting = asyncio.ensure_future(self.post(path, body))
        done, _ = await asyncio.wait([waiting], timeout=after_s)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return not done

    async def raw(self, requests: list[bytes]) -> list[Reply]:
        """POST bodies to /v1/completions one after the other, over one connection that is to stay open.

        Raises CheckFailedError where the server closes it.
        """
        url = httpx.URL(self.url)
        secure = True if url.scheme == "https" else None
        port = url.port or (443 if secure else 80)
        reader, writer = await asyncio.open_connection(url.host, port, ssl=secure)
        try:
            return [await self._over(reader, writer, content) for content in requests]
        finally:
            writer.close()

    async def spoken(self, path: str, content: bytes, fields: Mapping[str, str], *, half_close: bool = False) -> Reply:
        """POST bytes with these fields alone, and close our half of the connection if asked to.

        Raises CheckFailedError where no answer comes.
        """
        url = httpx.URL(self.url)
        secure = True if url.scheme == "https" else None
        reader, writer = await asyncio.open_connection(url.host, url.port or (443 if secure else 80), ssl=secure)
        try:
            return await self._over(reader, writer, content, path, fields, half_close)
        finally:
            writer.close()

    async def _over(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        content: bytes,
        path: str = "/v1/completions",
        told: Mapping[str, str] | None = None,
        half_close: bool = False,
    ) -> Reply:
        sent = self._note("POST", path, content, JSON_BODY, True)
        url = httpx.URL(sent.url)
        head = f"POST {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
        length = {"Content-Length": str(len(content))} if told is None else told
        fields = {**JSON_BODY, **self._authorization(sent), **length}
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            writer.write(head.encode() + b"\r\n" + content)
            await writer.drain()
            if half_close:
                writer.write_eof()
            return await _read_reply(reader, sent)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError, IndexError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise CheckFailedError("an answer over the same connection, with its length", problem, sent=sent) from error

    @asynccontextmanager
    async def _answering(self, sent: Sent) -> AsyncIterator[httpx.Response]:
        headers = {**sent.headers, **self._authorization(sent)}
        try:
            async with self._http.stream(sent.method, sent.url, content=sent.content, headers=headers) as response:
                yield response
        except httpx.TimeoutException as error:
            raise CheckFailedError("an answer in time", "none came", sent=sent) from error
        except httpx.TransportError as error:
            raise CheckFailedError("a complete answer", f"{type(error).__name__}: {error}", sent=sent) from error

    def _note(self, method: str, path: str, content: bytes, headers: Mapping[str, str], authorized: bool) -> Sent:
        sent = Sent(method, self.url + path, headers, content, authorized and self._api_key is not None)
        self.sent.append(sent)
        return sent

    def _authorization(self, sent: Sent) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api_key}"} if sent.authorized else {}


def encoded(body: object) -> bytes:
    """JSON in UTF-8, as clients send it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="surrogatepass")


async def _read_reply(reader: asyncio.StreamReader, sent: Sent) -> Reply:
    """One answer with a Content-Length, or in chunks."""
    head = ["HTTP/1.1 100"]
    while head[0].split()[1].startswith("1"):  # interim responses
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(sent, int(head[0].split()[1]), headers, body)


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


def _blocks(text: str) -> list[str]:
    return [block for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n") if block.strip("\n")]


def _event(block: str) -> tuple[str, str] | None:
    """(name, data), or None for a comment.

    >>> _event("event: ping\\ndata: {}"), _event(": keep-alive")
    (('ping', '{}'), None)
    """
    fields = [line.partition(":") for line in block.split("\n") if not line.startswith(":")]
    data = [value.removeprefix(" ") for name, _, value in fields if name == "data"]
    names = [value.removeprefix(" ") for name, _, value in fields if name == "event"]
    return (names[-1] if names else "", "\n".join(data)) if data else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
