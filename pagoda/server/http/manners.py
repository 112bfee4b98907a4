"""HTTP as its standard has it, where the framework leaves it to the application: paths, HEAD, compressed bodies.

First stations of a request's path after its log and id, as plain ASGI. Source: RFC 9110 (HTTP Semantics), sections
4.2.3, 8.4, 9.2.1, 9.3.2 and 15.5.16; RFC 1950 to 1952 for the encodings.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pagoda.errors import InvalidRequestError
from pagoda.server.errors import UnsupportedMediaTypeError, UriTooLongError, response_for

MAX_URL_LENGTH = 8192
"""Bytes of path and query together; the longest that is meant here is a model's name."""
ENCODINGS = "gzip, deflate"
_GZIP, _ZLIB, _RAW = 31, 15, -15
UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
"""Those that change something (section 9.2.1), and may bring a body."""


class PlainPaths:
    """Serves `/v1//models/` as `/v1/models`, before keys are asked for, and refuses URLs beyond all measure.

    A slash that came as `%2F` is part of a name, and stays: of two people "/ann" and "ann" one is deleted.
    A redirect would do for browsers, but many clients do not follow one with a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the plain path and pass on."""
        if scope["type"] == "http":
            raw = scope.get("raw_path") or quote(scope["path"]).encode()
            length = len(raw) + len(scope["query_string"])
            if length > MAX_URL_LENGTH:
                error = UriTooLongError(f"the URL has {length} bytes, but at most {MAX_URL_LENGTH} are taken")
                await response_for(error)(scope, receive, send)
                return
            plain = re.sub(b"/{2,}", b"/", raw).rstrip(b"/") or b"/"
            if plain != raw:
                scope["path"], scope["raw_path"] = unquote(plain.decode("ascii", "replace")), plain
        await self._app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD as GET, with the same headers and without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on as GET; the log still sees a HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        # The server below must still see a HEAD, or it would miss the body; the log wants to see the route.
        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, without_body)
        finally:
            scope.update({name: inner[name] for name in ("route", "endpoint", "path_params") if name in inner})


class InflatedBodies:
    """Reads bodies that are gzip or deflate, and refuses other encodings by name.

    max_bytes: of one piece inflated; whoever counts the whole stands behind this
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the body as it was before it was compressed, or answer 415."""
        if scope["type"] != "http" or scope["method"] not in UNSAFE_METHODS:
            await self._app(scope, receive, send)
            return
        given = ",".join(Headers(scope=scope).getlist("content-encoding"))
        encodings = [name for part in given.split(",") if (name := part.strip().lower()) not in ("", "identity")]
        unknown = [name for name in encodings if name.removeprefix("x-") not in ("gzip", "deflate")]
        if unknown or len(encodings) > 1:
            error = UnsupportedMediaTypeError(
                f"the body's Content-Encoding is {given}, but one of {ENCODINGS} is expected, or none"
            )
            response = response_for(error)
            response.headers["Accept-Encoding"] = ENCODINGS
            await response(scope, receive, send)
            return
        await self._app(scope, self._inflating(receive, encodings[0]) if encodings else receive, send)

    def _inflating(self, receive: Receive, encoding: str) -> Receive:
        inflater = _Inflater(encoding, self._max_bytes)

        async def inflated() -> Message:
            message = await receive()
            if message["type"] != "http.request":
                return message
            body = b"".join(inflater.pieces(message.get("body", b""), last=not message.get("more_body", False)))
            return {**message, "body": body}

        return inflated


class _Inflater:
    """Inflates one body piece by piece; a gzip file may have several members."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._encoding, self._most = encoding, max_bytes + 1
        self._stream: zlib._Decompress | None = None
        self._complete = False

    def pieces(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        """What is new, at most a little more than the whole may have. Raises InvalidRequestError where it is broken."""
        room = self._most
        try:
            while data and room > 0:
                stream = self._stream = self._stream or zlib.decompressobj(self._bits(data))
                piece = stream.decompress(data, room)
                room -= len(piece)
                self._complete, data = stream.eof, stream.unused_data or stream.unconsumed_tail
                if stream.eof:
                    self._stream = None
                yield piece
        except zlib.error as error:
            raise InvalidRequestError(f"the body is not sound {self._encoding}: {error}") from error
        if last and not self._complete and room > 0:
            raise InvalidRequestError(f"the body is not sound {self._encoding}: it ends too early")

    def _bits(self, data: bytes) -> int:
        """deflate is meant to have zlib's header, but some clients leave it out."""
        if self._encoding.endswith("gzip"):
            return _GZIP
        has_header = data[0] & 15 == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)
        return _ZLIB if has_header else _RAW
