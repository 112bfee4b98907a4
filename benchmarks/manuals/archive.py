"""Files out of a Debian package, without Debian's tools: an `ar` archive that holds a compressed tar.

Before a question's path, where the corpus is built. Format: deb(5); packages with a member compressed by zstd are not
read, and none of the manuals is one.
"""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence

_MAGIC, _HEADER = b"!<arch>\n", 60
_UNBROKEN = b".nh\n.de hy\n..\n.na\n.de ad\n..\n"
"""Roff for no hyphens at the ends of lines, and no stretched blanks."""


def members(package: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member of an `ar` archive. Raises ValueError where it is none."""
    if not package.startswith(_MAGIC):
        raise ValueError("is no Debian package: it does not begin as an ar archive does")
    at = len(_MAGIC)
    while at + _HEADER <= len(package):
        header = package[at : at + _HEADER].decode("ascii")
        size = int(header[48:58])
        yield header[:16].strip().rstrip("/"), package[at + _HEADER : at + _HEADER + size]
        at += _HEADER + size + size % 2


def files_of(package: bytes, wanted: Sequence[str]) -> Mapping[str, bytes]:
    """Content of the files of that path, links followed. Raises KeyError with the path of one that is not there."""
    data = next(content for name, content in members(package) if name.startswith("data.tar"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {path: _content(tar, f"./{path}") for path in wanted}


def _content(tar: tarfile.TarFile, path: str) -> bytes:
    file = tar.extractfile(path)
    if file is None:
        raise KeyError(path)
    return file.read()


def plain(name: str, content: bytes) -> bytes:
    """As it is indexed: unpacked, and a page of man as the text that man shows."""
    if not name.endswith(".gz"):
        return content
    content = gzip.decompress(content)
    return _shown(content) if name.removesuffix(".gz")[-1].isdigit() else content


def _shown(page: bytes) -> bytes:
    """Lines of 80 columns, no bold, hyphens at line ends or stretched blanks. Raises RuntimeError without groff."""
    groff = shutil.which("groff")
    if groff is None:
        raise RuntimeError("groff is not installed, and manual pages are made plain text with it: install groff")
    settings = ["-Tutf8", "-P-c", "-P-b", "-P-o", "-P-u", "-mandoc", "-t", "-rLL=80n", "-rHY=0"]
    made = subprocess.run([groff, *settings], input=_UNBROKEN + page, capture_output=True, check=True).stdout
    return made.replace(b"\xe2\x80\x90", b"-").replace(b"\xe2\x88\x92", b"-")
