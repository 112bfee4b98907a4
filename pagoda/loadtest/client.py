"""One streamed request to an OpenAI-compatible server, with the time at which each piece came.

Sender and receiver of the request's path. HTTP/1.1 over asyncio's own streams: a client with all comforts takes as much
of a core for a chunk as a server does, and would measure itself. Answers are decoded once they have ended. Whatever
goes wrong becomes the outcome of that request; a test of overload must not end with the first refusal.
Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pagoda.errors import ConfigError, PagodaError
from pagoda.loadtest.workload import PlannedRequest

_READ_BYTES = 65536
_MAX_HEADERS = 200


class ServerUnusableError(PagodaError):
    """The server under test cannot be reached, or does not answer as one."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests go and what all of them carry. Raises ConfigError for an address that is none.

    url: of the server, with or without the closing /v1
    model: as the server calls it
    chat: the chat endpoint instead of completions
    ignore_eos: ask for the full number of tokens; a vLLM extension that most servers know
    temperature: None leaves it to the server
    timeout_s: of a whole request
    """

    url: str
    model: str | None = None
    chat: bool = False
    ignore_eos: bool = True
    temperature: float | None = None
    api_key: str | None = None
    timeout_s: float = 6 * 60 * 60

    def __post_init__(self) -> None:
        try:
            address = urlsplit(self.url)
            is_address = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise ConfigError(f"{self.url!r} is no address of a server: write it like http://127.0.0.1:8000")
        if self.api_key is not None and not self.api_key.isprintable():
            raise ConfigError("the API key has characters that no header may carry: remove line ends and the like")

    @property
    def path(self) -> str:
        """Of the endpoint, below /v1."""
        return "/chat/completions" if self.chat else "/completions"

    def body(self, request: PlannedRequest) -> bytes:
        """A request in OpenAI's form."""
        prompt: dict[str, Any] = {"prompt": request.prompt}
        if self.chat:
            prompt = {"messages": [{"role": "user", "content": request.prompt}]}
        body = {**prompt, "max_tokens": request.output_len, "stream": True, "stream_options": {"include_usage": True}}
        optional = {"model": self.model, "temperature": self.temperature, "ignore_eos": self.ignore_eos or None}
        return json.dumps(body | {name: value for name, value in optional.items() if value is not None}).encode()


@dataclass(frozen=True)
class Outcome:
    """What became of one request; times are seconds of the test's clock.

    due_s: when it was to be sent; sent_s: when it was
    chunk_times_s: of each piece with text in it; finished_s: end of the answer, or of the attempt
    num_prompt_tokens, num_output_tokens: as the server counts them, else 0 and the number of pieces
    error: kind of failure, None for a whole answer; message: what the server or the system said about it
    """

    due_s: float
    sent_s: float
    finished_s: float
    chunk_times_s: tuple[float, ...] = ()
    num_prompt_tokens: int = 0
    num_output_tokens: int = 0
    error: str | None = None
    message: str = ""


class _Piece(NamedTuple):
    """One `data:` line of a stream and when it came."""

    seconds: float
    data: bytes


class _Reply(NamedTuple):
    """Status, headers in lower case, and what is left to read."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, without its framing."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            return
        left = int(self.headers["content-length"]) if "content-length" in self.headers else None
        while left != 0 and (piece := await self.reader.read(min(_READ_BYTES, left or _READ_BYTES))):
            left = None if left is None else left - len(piece)
            yield piece
        if left:
            raise EOFError("the connection was closed within the answer")

    async def body(self) -> bytes:
        """All of it."""
        return b"".join([piece async for piece in self.pieces()])


async def perform(target: Target, request: PlannedRequest, due_s: float, now: Callable[[], float]) -> Outcome:
    """Send one request and read its answer to the end. Never raises for what network or server do."""
    outcome = Outcome(due_s, now(), 0.0)
    try:
        async with asyncio.timeout(target.timeout_s), _exchange(target, target.path, target.body(request)) as reply:
            if reply.status != 200:
                failure = {"error": f"HTTP {reply.status}", "message": _message(await reply.body())}
                return replace(outcome, finished_s=now(), **failure)  # type: ignore[arg-type]
            pieces, is_whole = await _read_events(reply, now)
        return _decoded(replace(outcome, finished_s=now()), pieces, is_whole)
    except TimeoutError:
        return replace(outcome, finished_s=now(), error="timeout", message=f"no end within {target.timeout_s:g} s")
    except (OSError, EOFError) as error:
        return replace(outcome, finished_s=now(), error="connection", message=str(error) or type(error).__name__)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return replace(outcome, finished_s=now(), error="malformed answer", message=f"{type(error).__name__}: {error}")


async def served_model(target: Target) -> str:
    """The first model that the server names. Raises ServerUnusableError."""
    try:
        async with asyncio.timeout(min(30.0, target.timeout_s)), _exchange(target, "/models") as reply:
            answer = await reply.body()
        if reply.status != 200:
            raise ServerUnusableError(f"{target.url} answers /v1/models with HTTP {reply.status}: {_message(answer)}")
        return str(json.loads(answer)["data"][0]["id"])
    except (OSError, EOFError) as error:
        raise ServerUnusableError(
            f"cannot reach {target.url} ({error or type(error).__name__}): is the server running, and is that its port?"
        ) from error
    except (ValueError, LookupError, TypeError) as error:
        raise ServerUnusableError(f"{target.url} does not list its models as OpenAI does: give --model") from error


@asynccontextmanager
async def _exchange(target: Target, path: str, body: bytes | None = None) -> AsyncIterator[_Reply]:
    """A connection of its own for one request; without a body it is a GET."""
    address = urlsplit(target.url)
    assert address.hostname is not None, "checked when the target was made"
    is_https = address.scheme == "https"
    secured = ssl.create_default_context() if is_https else None
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port or (443 if is_https else 80), ssl=secured
    )
    try:
        whole_path = address.path.rstrip("/").removesuffix("/v1") + "/v1" + path
        writer.write(_head(target, address.netloc.rpartition("@")[2], whole_path, body) + (body or b""))
        await writer.drain()
        yield await _reply(reader)
    finally:
        writer.close()


def _head(target: Target, host: str, path: str, body: bytes | None) -> bytes:
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if target.api_key is not None:
        lines.append(f"Authorization: Bearer {target.api_key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _reply(reader: asyncio.StreamReader) -> _Reply:
    """Read status line and headers. Raises EOFError, ValueError."""
    first = await reader.readline()
    if not first:
        raise EOFError("the connection was closed before an answer came")
    status = int(first.split(maxsplit=2)[1])
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            return _Reply(status, headers, reader)
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    raise ValueError(f"an answer with more than {_MAX_HEADERS} headers")


async def _read_events(reply: _Reply, now: Callable[[], float]) -> tuple[list[_Piece], bool]:
    """The stream's data, and whether [DONE] came."""
    pieces: list[_Piece] = []
    rest = b""
    async for received in reply.pieces():
        seconds = now()
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                pieces.append(_Piece(seconds, line.removeprefix(b"data:").strip()))
    is_whole = bool(pieces) and pieces[-1].data == b"[DONE]"
    return pieces[:-1] if is_whole else pieces, is_whole


def _decoded(outcome: Outcome, pieces: list[_Piece], is_whole: bool) -> Outcome:
    """Fill in what the stream said. Raises ValueError and the like for what is no OpenAI stream."""
    times: list[float] = []
    usage: Mapping[str, Any] = {}
    error: str | None = None if is_whole else "incomplete stream"
    message = "" if is_whole else "the stream ended without [DONE]"
    last_choice_s: float | None = None
    for seconds, data in pieces:
        chunk = json.loads(data)
        if chunk.get("error"):
            error, message = "error in stream", _message(data)
        usage = chunk.get("usage") or usage
        if chunk.get("choices"):
            last_choice_s = seconds
            if _has_text(chunk["choices"][0]):
                times.append(seconds)
    if not times and last_choice_s is not None:
        times = [last_choice_s]  # tokens without text, such as special ones, were still waited for
    num_tokens = int(usage.get("completion_tokens", len(times)))
    return replace(
        outcome,
        chunk_times_s=tuple(times),
        num_prompt_tokens=int(usage.get("prompt_tokens", 0)),
        num_output_tokens=num_tokens,
        error=error,
        message=message,
    )


def _has_text(choice: Mapping[str, Any]) -> bool:
    """Whether a chunk brings something to read: a chat's first one, with the role alone, does not."""
    delta = choice.get("delta") or {}
    names = ("content", "reasoning_content", "reasoning", "tool_calls")
    return bool(choice.get("text")) or any(delta.get(name) for name in names)


def _message(body: bytes) -> str:
    """The message of an error object, or the beginning of whatever it is."""
    try:
        answer = json.loads(body)
        return str(answer["error"]["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return body[:200].decode("utf-8", errors="replace")
