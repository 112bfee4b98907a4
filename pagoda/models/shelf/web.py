"""Requests for models' files: what a source answers, or one sentence about why it does not.

Off the token's path: under `transfer`, which streams files, and the two kinds of sources. Python's own client is
enough here, reads proxies from the environment, and loads at once.

Specs: RFC 9110 (HTTP), 6750 (bearer tokens), 7617 (user and password).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache
from typing import Any, Self

from pagoda.errors import CheckpointError
from pagoda.version import __version__

_MAX_PAGE_BYTES = 64 << 20
_MAX_REASON = 200
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may well succeed."""
Headers = Mapping[str, str]


class SourceError(CheckpointError):
    """A source does not give what was asked of it; the message is its reason.

    status: of HTTP, where it answered at all. code: the hub's own name of the reason, from its headers.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class WebAnswer:
    """An answer whose body is read as it comes; closes itself at the end of a `with`."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.status: int | None = getattr(response, "status", None)
        self.headers: Message = response.headers
        self.url: str = response.geturl()

    def read(self, amount: int) -> bytes:
        """What has come, at most so many bytes; none at the end. Raises SourceError where the connection breaks."""
        read = getattr(self._response, "read1", self._response.read)  # a file of this machine's waits for nothing
        try:
            return bytes(read(amount))
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(reason_of(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()


@dataclass(frozen=True)
class Web:
    """A client.

    ca_file: further certificate authorities; proxy: in place of the environment's; unverified: hosts whose certificates
    are not checked (pip's trusted-host: what comes from there is checked by its sha256).
    """

    timeout_s: float
    ca_file: str | None = None
    proxy: str | None = None
    unverified: frozenset[str] = frozenset()

    def open(self, url: str, headers: Headers | None = None) -> WebAnswer:
        """The answer to a GET. Raises SourceError where there is none, or one that refuses.

        headers: sent to this host alone, and to nobody that it redirects to, but for Range and what says who asks
        """
        address, credentials = without_credentials(url)
        own = {"User-Agent": f"pagoda/{__version__}", "Accept-Encoding": "identity"}
        try:
            request = urllib.request.Request(address, headers=own)
            for name, value in {**credentials, **(headers or {})}.items():
                add = request.add_header if name == "Range" else request.add_unredirected_header
                add(name, value)
            return WebAnswer(self._opener(address).open(request, timeout=self.timeout_s))
        except urllib.error.HTTPError as error:
            error.close()
            code = error.headers.get("X-Error-Code", "")
            raise SourceError(_refusal(error), status=error.code, code=code) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceError(reason_of(error)) from error

    def page(self, url: str, headers: Headers | None = None) -> tuple[bytes, WebAnswer]:
        """The body of something small, and what else there was to the answer. Raises SourceError."""
        with self.open(url, headers) as answer:
            return b"".join(_pieces(answer)), answer

    def json(self, url: str, headers: Headers | None = None) -> Any:
        """A JSON body. Raises SourceError, for one that is something else too."""
        body, answer = self.page(url, headers)
        try:
            return json.loads(body)
        except ValueError as error:
            host = urllib.parse.urlsplit(answer.url).hostname
            raise SourceError(f"{host} answered with something other than JSON: is that address right?") from error

    def _opener(self, address: str) -> urllib.request.OpenerDirector:
        context = _context(self.ca_file, urllib.parse.urlsplit(address).hostname not in self.unverified)
        proxies = {"http": self.proxy, "https": self.proxy} if self.proxy else None
        return urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context), _SameHostHeaders()
        )


@cache
def _context(ca_file: str | None, is_verified: bool) -> ssl.SSLContext:
    """Reading a list of authorities takes a while."""
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):  # what an interpreter without the system's own authorities trusts
        import certifi

        context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(ca_file)
    if not is_verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _SameHostHeaders(urllib.request.HTTPRedirectHandler):
    """A token goes along to another address of the same host, as the hub sends one for a renamed repository."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(newurl) == _origin(req.full_url):
            for name, value in req.unredirected_hdrs.items():
                request.add_unredirected_header(name, value)
        return request


def without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """An address as it may be shown, and the header that its user and password become.

    >>> without_credentials("https://me:secret@index.example/simple/")
    ('https://index.example/simple/', {'Authorization': 'Basic bWU6c2VjcmV0'})
    """
    parts = urllib.parse.urlsplit(url)
    user_info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = base64.b64encode(urllib.parse.unquote(user_info).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


def reason_of(error: BaseException) -> str:
    """One line about a failed connection.

    >>> reason_of(urllib.error.URLError(TimeoutError("timed out")))
    'it does not answer (timed out)'
    """
    cause = error.reason if isinstance(error, urllib.error.URLError) and error.reason else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}): REQUESTS_CA_BUNDLE=FILE names an authority"
    told = (cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)) or type(cause).__name__
    return f"it does not answer ({told.splitlines()[0][:_MAX_REASON]})"


def _refusal(error: urllib.error.HTTPError) -> str:
    told = error.headers.get("X-Error-Message") or error.reason or http.client.responses.get(error.code, "")
    return f"it answered {error.code} {str(told)[:_MAX_REASON]}".rstrip()


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _pieces(answer: WebAnswer) -> Iterator[bytes]:
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
        if size > _MAX_PAGE_BYTES:
            raise SourceError("its answer is larger than any list of files: is that address right?")
        yield piece
