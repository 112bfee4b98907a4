"""What happens to every request before an endpoint sees it, as plain ASGI: id, host, origin, key and size.

First stations of a request's path, inside the access log. Keys are compared in constant time and written nowhere.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pagoda.server.access import given_key, is_among, unauthorized
from pagoda.server.errors import BodyTooLargeError, ForbiddenError, UnauthorizedError, response_for
from pagoda.server.http.manners import UNSAFE_METHODS

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
    """Lets nobody in without one of the keys, where there are any.

    open_paths: of the applications' pages; own_keys: beginning of paths -> keys that open these alone, whose endpoints
    look for themselves what each of them may do
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Sequence[str],
        open_paths: frozenset[str] = frozenset(),
        own_keys: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._open_paths = OPEN_PATHS | open_paths
        self._own_keys = own_keys or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or note the key if it is known and pass on."""
        if scope["type"] == "http" and scope["path"] not in self._open_paths and scope["method"] != "OPTIONS":
            # A browser's question beforehand (CORS preflight, OPTIONS) never brings the key.
            given = given_key(Headers(scope=scope))
            opened = [path for path, keys in self._own_keys.items() if is_among(given, keys)]
            is_known = is_among(given, self._keys) or any(_is_below(scope["path"], path) for path in opened)
            if self._keys and not is_known:
                await response_for(_refusal(given, opened))(scope, receive, send)
                return
            if is_known:
                scope.setdefault("state", {})["api_key"] = given
        await self._app(scope, receive, send)


class OwnOrigins:
    """Refuses what a web page of another origin has a browser send, unless that origin may call.

    Without CORS such a page cannot read an answer, but a request without a content type is sent all the same, and would
    act. Programs that are no browsers name no origin, and pass.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass on."""
        if scope["type"] == "http" and scope["method"] in UNSAFE_METHODS and "*" not in self._allowed:
            headers = Headers(scope=scope)
            origin = headers.get("origin", "")
            if origin and origin not in self._allowed and not _is_own(origin, headers):
                error = ForbiddenError(
                    f"a web page of {origin:.200} asks, which is not this server's: start the server with "
                    "--allowed-origin and that origin if it may"
                )
                await response_for(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class OwnHosts:
    """Refuses what is addressed to a name that is not this server's: a page may have its own name lead here.

    Such a page (DNS rebinding) is of the server's origin for the browser, which lets it read answers; its requests tell
    themselves by the name in `Host`. Addresses in numbers and localhost are always the server's own.
    names: further ones, "*.example.org" for all below, "*" for any. Starlette's TrustedHostMiddleware takes neither
    addresses as such nor errors in the form of this API.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app, self._names = app, [name.lower().rstrip(".") for name in names]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass on; who names no host is no browser, and passes."""
        host = host_name(Headers(scope=scope).get("host", "")) if scope["type"] == "http" else ""
        if host and not is_loopback(host) and not _is_address(host) and not self._is_named(host):
            error = ForbiddenError(
                f"the request is for {host:.200}, which is none of this server's names: start the server with "
                "--allowed-host and that name if it is"
            )
            await response_for(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_named(self, host: str) -> bool:
        return any(
            name in ("*", host) or (name.startswith("*.") and host.endswith(name.removeprefix("*")))
            for name in self._names
        )


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


def host_name(header: str) -> str:
    """Of a `Host` header, without the port and the brackets of an IPv6 address.

    >>> host_name("[::1]:8000"), host_name("Shop.Example.:80"), host_name("127.0.0.1")
    ('::1', 'shop.example', '127.0.0.1')
    """
    bracketed = re.match(r"\[([^\]]*)\]", header)
    name = bracketed[1] if bracketed is not None else header.partition(":")[0]
    return name.strip().lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own and no other machine's.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if _is_address(host):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_own(origin: str, headers: Headers) -> bool:
    """Whether a page of the server itself asks; a browser's own word counts where a proxy has changed the host."""
    return headers.get("sec-fetch-site") == "same-origin" or origin.partition("://")[2] == headers.get("host", "")


def _refusal(given: str | None, opened: Sequence[str]) -> UnauthorizedError | ForbiddenError:
    if not opened:
        return unauthorized(given)
    return ForbiddenError(f"this API key opens {', '.join(opened)} alone: ask the operator for one that opens more")


def _is_below(path: str, beginning: str) -> bool:
    return path == beginning or path.startswith(f"{beginning}/")
