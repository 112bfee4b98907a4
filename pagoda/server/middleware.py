"""What happens to every request before an endpoint sees it, as plain ASGI: id, key, size, and a line in the log.

First station of a request's path. Keys are compared in constant time, and never written anywhere: the log knows a key
by the first characters of its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pagoda.server.errors import BodyTooLargeError, UnauthorizedError, response_for
from pagoda.server.metrics import Metrics

access_logger = logging.getLogger("pagoda.access")

OPEN_PATHS = frozenset({"/", "/favicon.ico", "/health", "/ping", "/ready", "/version"})
"""Without a key: the page asks the person for it, and probes have none."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class AccessLog:
    """Outermost: names each request, and tells how it ended. Feeds the metrics by the route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, enabled: bool) -> None:
        self._app, self._metrics, self._enabled = app, metrics, enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, then tell."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        state = scope.setdefault("state", {})
        state["request_id"] = request_id if "#" not in request_id else secrets.token_hex(12)
        answer = {"status": 500, "bytes": 0}
        began = time.perf_counter()
        try:
            await self._app(scope, receive, _watching(send, answer, state["request_id"]))
        finally:
            self._tell(scope, answer, time.perf_counter() - began)

    def _tell(self, scope: Scope, answer: dict[str, int], duration_s: float) -> None:
        state = scope["state"]
        status = 499 if state.get("client_left") else answer["status"]
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.on_http(scope["method"] if route != "unmatched" else "other", route, status, duration_s)
        if self._enabled:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request_id": state["request_id"],
                "client": (scope.get("client") or ("", 0))[0],
                "key": key_id(state.get("api_key")),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": round(1000 * duration_s, 1),
                "bytes": answer["bytes"],
            }
            access_logger.info(json.dumps(line, ensure_ascii=False))


class ApiKeys:
    """Lets nobody in without one of the keys, where there are any."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or note the key and pass on."""
        if scope["type"] == "http" and self._keys and scope["path"] not in OPEN_PATHS and scope["method"] != "OPTIONS":
            given = _given_key(Headers(scope=scope))
            if not self._known(given):
                text = "an API key is needed: send it as `Authorization: Bearer KEY`"
                if given is not None:
                    text = "this API key is not known here: check it, or ask the operator for one"
                await response_for(UnauthorizedError(text))(scope, receive, send)
                return
            scope.setdefault("state", {})["api_key"] = given
        await self._app(scope, receive, send)

    def _known(self, given: str | None) -> bool:
        """All keys are compared, each in constant time, so that time tells nothing."""
        data = (given or "").encode("utf-8", errors="replace")
        return any([hmac.compare_digest(data, key) for key in self._keys])


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


def key_id(key: str | None) -> str | None:
    """By which the log and the metrics know a key."""
    return None if key is None else hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()[:8]


def _given_key(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key")


def _request_id(given: str | None) -> str:
    """The client's own, where it is harmless."""
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)


def _watching(send: Send, answer: dict[str, int], request_id: str) -> Callable[[Message], Any]:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer["status"] = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = request_id
        answer["bytes"] += len(message.get("body", b""))
        await send(message)

    return watched
