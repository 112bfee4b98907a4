"""One file from a source into a folder: resumed after a cut, hashed while it streams, and there whole or not at all.

Off the token's path: between the sources, which say where a file's bytes are, and `pulling`. What has come lies beside
the file's place as NAME.HASH.part, whatever ended the transfer; the next attempt hashes it again and asks for the rest.
A file whose sha256 nobody tells begins anew: its part may be of another version.

Specs: RFC 9110 section 14 (range requests), 8.6 (Content-Length).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pagoda.models.shelf.web import TRANSIENT, Headers, SourceError, Web, WebAnswer

_PIECE_BYTES = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class RemoteFile:
    """A file at a source.

    name: what it is called below the model's folder. size: bytes, sha256: hex digits; None where the source does not
    tell. git_id: what git calls its content, which the hub tells of small files instead. headers: for this address,
    such as a token.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    git_id: str | None = None
    headers: Headers = field(default_factory=dict, repr=False)


class Watcher:
    """Whoever follows a transfer; this one does not. The command line's draws a bar."""

    def begun(self, name: str, size: int | None, have: int) -> None:
        """A file's transfer begins, or begins again, with `have` bytes of it there."""

    def received(self, num_bytes: int) -> None:
        """So many more."""

    def waiting(self, reason: str, seconds: float) -> None:
        """The connection broke; in so many seconds it goes on."""


@dataclass(frozen=True)
class Patience:
    """How often a broken transfer is taken up again: attempts in a row that bring nothing, and the first pause."""

    max_retries: int
    pause_s: float
    sleep: Callable[[float], None] = time.sleep


def download(file: RemoteFile, target: Path, web: Web, patience: Patience, watcher: Watcher) -> str:
    """Bring a file to its place and return its sha256. Raises SourceError, and OSError for what the disk says.

    What comes otherwise than its size and sha256 say is deleted; what has only come in part stays, for the next call.
    """
    if target.is_file() and (there := _known(target, file)):
        return there
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(file, target)
    resumed = file.sha256 is not None and part.is_file()
    sha256 = _received(file, part, web, patience, watcher)
    git_id = file.git_id and _git_blob_id(part)
    if file.sha256 not in (None, sha256) or file.git_id != git_id:
        part.unlink()
        if not resumed:
            came, expected = (sha256, file.sha256) if file.sha256 else (git_id, file.git_id)
            raise SourceError(f"{file.name} came with the hash {came}, but {expected} is expected")
        return download(file, target, web, patience, watcher)  # perhaps the part was damaged: once more, from nothing
    os.replace(part, target)
    return sha256


def part_of(file: RemoteFile, target: Path) -> Path:
    """Where what has come of a file waits for the rest."""
    return target.with_name(f"{target.name}.{file.sha256[:12]}.part" if file.sha256 else f"{target.name}.part")


def _git_blob_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256_of(path: Path) -> str:
    """Of a whole file, in hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _known(target: Path, file: RemoteFile) -> str | None:
    """The sha256 of a file that is in its place already and right; None for any other."""
    if file.sha256 is None or file.size not in (None, target.stat().st_size):
        return None
    return file.sha256 if sha256_of(target) == file.sha256 else None


def _received(file: RemoteFile, part: Path, web: Web, patience: Patience, watcher: Watcher) -> str:
    """Stream until all is there, taking broken connections up again; the sha256 of what came."""
    most, failures = -1, 0
    while True:
        with _Part(part, fresh=file.sha256 is None) as written:
            try:
                _stream(file, written, web, watcher)
                return written.sha256()
            except SourceError as error:
                if error.status is not None and error.status not in TRANSIENT:
                    raise
                failures = 0 if written.size > most and most >= 0 else failures + 1
                most = max(most, written.size)
                if failures > patience.max_retries:
                    raise
                pause = patience.pause_s * 2 ** max(0, failures - 1)
                watcher.waiting(str(error), pause)
        patience.sleep(pause)


class _Part:
    """A file that grows at its end, with the hash of all that is in it."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self._hash = hashlib.sha256()
        self._file = path.open("w+b" if fresh else "a+b")
        self._file.seek(0)
        while piece := self._file.read(1 << 20):
            self._hash.update(piece)
        self.size = self._file.tell()

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, piece: bytes) -> None:
        self._file.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    def clear(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self._hash, self.size = hashlib.sha256(), 0

    def sha256(self) -> str:
        """Of all, once the disk has it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._hash.hexdigest()


def _stream(file: RemoteFile, part: _Part, web: Web, watcher: Watcher) -> None:
    """One connection: append what comes. Raises SourceError where it ends early or gives another range."""
    if file.size is not None and part.size > file.size:
        part.clear()
    if part.size and part.size == file.size:
        watcher.begun(file.name, file.size, part.size)
        return
    headers = dict(file.headers)
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    with _opened(file, part, web, headers) as answer:
        size = _whole_size(answer, part.size)
        if file.size is not None and size not in (None, file.size):
            raise SourceError(f"{file.name} has {size:,} bytes there, but {file.size:,} are expected", status=200)
        size = file.size if file.size is not None else size
        watcher.begun(file.name, size, part.size)
        while piece := answer.read(_PIECE_BYTES):
            if size is not None and part.size + len(piece) > size:
                part.clear()
                raise SourceError(f"more than the {size:,} bytes of {file.name} came", status=200)
            part.add(piece)
            watcher.received(len(piece))
    if size is not None and part.size < size:
        raise SourceError(f"the connection ended after {part.size:,} of {size:,} bytes")


def _opened(file: RemoteFile, part: _Part, web: Web, headers: Headers) -> WebAnswer:
    """The answer that goes on where the part ends; one that begins anew, or refuses the range, empties the part."""
    try:
        answer = web.open(file.url, headers)
    except SourceError as error:
        if error.status != 416 or not part.size:
            raise
        part.clear()
        return web.open(file.url, file.headers)
    if part.size and not _continues(answer, part.size):
        part.clear()
        if answer.status == 206:  # of another range
            with answer:
                return web.open(file.url, file.headers)
    return answer


def _continues(answer: WebAnswer, at: int) -> bool:
    told = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    return answer.status == 206 and told is not None and int(told[1]) == at


def _whole_size(answer: WebAnswer, have: int) -> int | None:
    """Bytes of the whole file, by what the answer says of itself."""
    told = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if answer.status == 206 and told is not None and told[3] != "*":
        return int(told[3])
    length = answer.headers.get("Content-Length", "")
    if not length.isdecimal() or answer.headers.get("Content-Encoding", "identity") != "identity":
        return None
    return have + int(length)
