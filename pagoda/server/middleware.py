"""What happens to every request before an endpoint sees it, as plain ASGI: id, key and size.

First stations of a request's path, inside the access log. Keys are compared in constant time and written nowhere.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pagoda.server.errors import BodyTooLargeError, UnauthorizedError, response_for

OPEN_PATHS = frozenset({"/", "/favicon.ico", "/health", "/ping", "/ready", "/version"})
"""Without a key: pages ask the person for it, and probes have none."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestId:
    """Names each request, by the client's own x-request-id where that is harmless, and sends the name back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the id and pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, named)


class ApiKeys:
    """Lets nobody in without one of the keys, where there are any. open_paths: of the applications' pages."""

    def __init__(self, app: ASGIApp, keys: Sequence[str], open_paths: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]
        self._open_paths = OPEN_PATHS | open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or note the key and pass on."""
        if scope["type"] == "http" and self._asks_for_key(scope["path"], scope["method"]):
            given = _given_key(Headers(scope=scope))
            if not self._known(given):
                text = "an API key is needed: send it as `Authorization: Bearer KEY`"
                if given is not None:
                    text = "this API key is not known here: check it, or ask the operator for one"
                await response_for(UnauthorizedError(text))(scope, receive, send)
                return
            scope.setdefault("state", {})["api_key"] = given
        await self._app(scope, receive, send)

    def _asks_for_key(self, path: str, method: str) -> bool:
        """A browser's question beforehand (CORS preflight, OPTIONS) never brings the key."""
        return bool(self._keys) and path not in self._open_paths and method != "OPTIONS"

    def _known(self, given: str | None) -> bool:
        """All keys are compared, each in constant time, so that time tells nothing."""
        data = (given or "").encode("utf-8", errors="replace")
        return sum(hmac.compare_digest(data, key) for key in self._keys) > 0


class BodyLimit:
    """Refuses bodies that are too large, whether they say so or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 at once where the length is told; otherwise count what comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > self._max_bytes:
            await response_for(self._error())(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._error()
            return message

        return counted

    def _error(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body is larger than {self._max_bytes} bytes, which is the most that is taken")


def _given_key(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key")
