"""A URL's bytes, politely and with bounds: conditional requests, a limit of size, no address inside the house.

Under `connectors.feeds`. Whoever may name a feed could otherwise have this machine ask its neighbours: each address
that a name leads to is looked at, after every redirect, and the connection is made to the very address that was looked
at, so that a name cannot change its mind in between.

Specs: RFC 9110, 13.1 (If-None-Match, If-Modified-Since) and 15.4.5 (304).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from pagoda.errors import MissingExtraError
from pagoda.opinions.errors import ConnectorError, shown
from pagoda.version import __version__

MAX_BYTES = 8 * 1024 * 1024
TIMEOUT_S = 20.0
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Fetched:
    """An answer. body: None where nothing is new (304)."""

    body: bytes | None
    etag: str = ""
    modified: str = ""
    content_type: str = ""


class Fetcher:
    """Gets URLs. allows_private: also of this machine and its network. Raises MissingExtraError."""

    def __init__(
        self, *, allows_private: bool = False, max_bytes: int = MAX_BYTES, timeout_s: float = TIMEOUT_S
    ) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtraError("feeds at a URL", "opinions") from error
        self._httpx: Any = httpx
        self._allows_private, self._max_bytes = allows_private, max_bytes
        # Proxies of the environment would be asked for names that were looked at here.
        self._client = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False)

    async def get(self, url: str, etag: str = "", modified: str = "") -> Fetched:
        """What is there, unless it is what these two stand for. Raises ConnectorError."""
        headers = {"User-Agent": f"pagoda/{__version__} (feeds)", "Accept-Encoding": "gzip"}
        headers |= {"If-None-Match": etag} if etag else {}
        headers |= {"If-Modified-Since": modified} if modified else {}
        for _ in range(_MOST_REDIRECTS + 1):
            found = await self._once(url, headers)
            if isinstance(found, Fetched):
                return found
            url = found
        raise ConnectorError(f"{shown(url)} redirects more than {_MOST_REDIRECTS} times: give its last address")

    async def close(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    async def _once(self, url: str, headers: Mapping[str, str]) -> Fetched | str:
        """The answer, or where it redirects to."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
            whole = self._httpx.URL(url)
        except (ValueError, self._httpx.InvalidURL) as error:
            raise ConnectorError(f"{shown(url):.200} is no address of a feed: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise ConnectorError(f"{shown(url):.200} is no address of a feed: give http://... or https://...")
        pinned = whole.copy_with(host=await self._address(host, port))
        sent = {**headers, "Host": parts.netloc.rpartition("@")[2]}
        extensions = {"sni_hostname": host}
        try:
            async with self._client.stream("GET", pinned, headers=sent, extensions=extensions) as answer:
                if answer.status_code in _REDIRECTS and "location" in answer.headers:
                    return _joined(url, answer.headers["location"])
                return await self._read(url, answer)
        except self._httpx.HTTPError as error:
            raise ConnectorError(f"{shown(url)} cannot be fetched: {error or type(error).__name__}") from error

    async def _read(self, url: str, answer: Any) -> Fetched:
        if answer.status_code == 304:
            return Fetched(None)
        if answer.status_code != 200:
            raise ConnectorError(f"{shown(url)} answers {answer.status_code}: check the address in a browser")
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > self._max_bytes:
                raise ConnectorError(f"{shown(url)} has more than {self._max_bytes} bytes: that is no feed")
        about = answer.headers
        return Fetched(
            bytes(body), about.get("etag", ""), about.get("last-modified", ""), about.get("content-type", "")
        )

    async def _address(self, host: str, port: int) -> str:
        """One that the name leads to; all of them must be allowed. Raises ConnectorError."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            told = getattr(error, "strerror", None) or error
            raise ConnectorError(f"{host:.200} cannot be found ({told}): check the address") from error
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not self._allows_private and not is_public(address):
                raise ConnectorError(
                    f"{host} is {address}, inside this machine's network: set allow_private_addresses to fetch it"
                )
        return addresses[0]


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise ConnectorError(f"{shown(url)} redirects to {shown(location)!r:.200}, which is no address") from error


def is_public(address: str) -> bool:
    """Whether an address is of the open internet.

    >>> [is_public(a) for a in ("93.184.216.34", "127.0.0.1", "10.1.2.3", "::1", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_global and not found.is_multicast
