"""The access log: one line of JSON for each request, and each request's share of the metrics.

The outermost station of a request's path, as plain ASGI, so that streams pass through it unbuffered. A line says who
asked for what and how it ended. It never holds a key (but the first characters of its hash), a query string, a header
or any text of a prompt or an answer, nor the id of a person that a route calls `user`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pagoda.server.observing.metrics import Metrics

logger = logging.getLogger("pagoda.access")

CLIENT_LEFT = 499
"""What nginx writes for a client that closed the connection before the answer was complete."""
UNMATCHED = "unmatched"
"""The route of a path that leads nowhere: under its own name, every guess would be a series of its own."""
MAX_LENGTH = 256
"""Characters of a path or an id that are written."""


class AccessLog:
    """Middleware. Endpoints may leave `request_id`, `api_key`, `model`, `prompt_tokens`, `completion_tokens` and
    `client_left` in `scope["state"]`. `enabled=False` writes no lines and feeds the metrics all the same.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None, *, enabled: bool = True) -> None:
        self._app = app
        self._metrics = metrics
        self._enabled = enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, watch, and tell at the end, however it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        exchange = _Exchange(receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            self._tell(scope, exchange)

    def _tell(self, scope: Scope, exchange: _Exchange) -> None:
        duration_s = time.perf_counter() - exchange.began
        status = CLIENT_LEFT if scope["state"].get("client_left") else exchange.final_status
        if self._metrics is not None:
            self._metrics.on_http(scope["method"], route_template(scope), status, duration_s)
        if self._enabled:
            line = _line(scope, status, duration_s, exchange.num_bytes)
            logger.info("%s", json.dumps(line, ensure_ascii=False))


class _Exchange:
    """One request's messages in both directions, watched."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.began = time.perf_counter()
        self.num_bytes = 0
        self._status = 500  # what a client sees where nothing was sent
        self._complete = False
        self._left = False

    @property
    def final_status(self) -> int:
        """The answer's, or 499 where nobody waited for all of it."""
        return CLIENT_LEFT if self._left else self._status

    async def receive(self) -> Message:
        """The next message. A disconnect after the answer is how every exchange ends."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message. A connection that is gone counts as left."""
        try:
            await self._send(message)
        except OSError:
            self._left = True
            raise
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            self.num_bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)


def log_to_stderr(stream: TextIO | None = None) -> logging.Handler:
    """Have the lines written as they are, whatever form the rest of the log has; remove the handler to undo it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return handler


def key_id(key: str | None) -> str | None:
    """By which the log knows a key: it tells keys apart and opens nothing."""
    return None if key is None else hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()[:8]


def route_template(scope: Scope) -> str:
    """`/v1/models/{model}` rather than what was asked for."""
    return getattr(scope.get("route"), "path", None) or UNMATCHED


def _line(scope: Scope, status: int, duration_s: float, num_bytes: int) -> dict[str, Any]:
    state = scope["state"]
    told = {name: state[name] for name in ("model", "prompt_tokens", "completion_tokens") if name in state}
    client = scope.get("client")
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": _shown(str(state.get("request_id", ""))),
        "client": client[0] if client else None,
        "key_id": key_id(state.get("api_key")),
        "method": scope["method"],
        "path": _shown(_path(scope)),
        "status": status,
        "duration_ms": round(1000 * duration_s, 1),
        "bytes": num_bytes,
        **told,
    }


def _path(scope: Scope) -> str:
    """As it was asked for, but a person's id: who is deleted shall not stand in the line that says so."""
    return route_template(scope) if "user" in scope.get("path_params", ()) else str(scope["path"])


def _shown(text: str) -> str:
    """A client's text without what would steer the terminal that the log is read on."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:MAX_LENGTH])
