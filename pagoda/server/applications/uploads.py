"""Files that clients send: what each is called, and a folder that changes as a whole or not at all.

Beside `rag_service`, which keeps them in an index. A file and what the index says of it change together: where the
index cannot be changed, because another process writes to it or its disk is full, the folder is as it was.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pagoda.errors import InvalidRequestError
from pagoda.rag.errors import LoadError

_UNWANTED = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]')
_MAX_NAME_BYTES = 180
# Hidden, so that an indexing run passes it over.
_DRAFT = ".upload-"


def plainly_named(files: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """The files by their plain names. Raises InvalidRequestError where two have the same."""
    named: dict[str, bytes] = {}
    for name, data in files:
        plain = plain_name(name)
        if plain in named:
            raise InvalidRequestError(
                f"two files of the request are called {plain!r}: rename one, or send it by itself", param="file"
            )
        named[plain] = data
    return named


def plain_name(name: str) -> str:
    """A file name and nothing else, whatever a client calls its file. Raises InvalidRequestError where nothing is left.

    >>> plain_name("../../etc/passwd.txt"), plain_name("C:\\\\docs\\\\指南.md"), plain_name(".hidden.md")
    ('passwd.txt', '指南.md', 'hidden.md')
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    plain = _UNWANTED.sub("_", last).lstrip(". ").rstrip(". ")
    stem, dot, suffix = plain.rpartition(".")
    while len(plain.encode()) > _MAX_NAME_BYTES and stem:
        stem = stem[:-1]
        plain = stem + dot + suffix
    if not stem or len(plain.encode()) > _MAX_NAME_BYTES:
        raise InvalidRequestError(f"{name!r:.80} is no file name: send one such as guide.md", param="file")
    return plain


def check_documents(named: Mapping[str, bytes]) -> None:
    """Raises LoadError, which names the file, for one that is no document."""
    from pagoda.rag.documents.loaders import load_bytes

    for name, data in named.items():
        try:
            load_bytes(data, name)
        except LoadError as error:
            raise LoadError(f"{name} {error}") from error


@contextlib.contextmanager
def changed_files(folder: Path, contents: Mapping[str, bytes | None]) -> Iterator[None]:
    """Write files, or remove those without contents; where the block raises, all are as they were before.

    Each is written in one step, so that nobody sees half of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = {name: (folder / name).read_bytes() if (folder / name).is_file() else None for name in contents}
    try:
        for name, data in contents.items():
            _put(folder / name, data)
        yield
    except BaseException:
        for name, data in before.items():
            _put(folder / name, data)
        raise


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
        return
    handle, draft = tempfile.mkstemp(prefix=_DRAFT, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
