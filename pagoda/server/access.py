"""Who may do what: API keys, and collections of documents that some of them open.

Beside a request's path: `middleware` asks whether a key is known at all, `applications.rag_collections` what it may do
with a collection. Keys come from files and from the environment, because arguments of a program can be read by everyone
on its machine; they are compared in constant time and stand in no message and in no `repr`.
"""

from __future__ import annotations

import hmac
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from starlette.datastructures import Headers

from pagoda.errors import ConfigError
from pagoda.server.errors import UnauthorizedError

Right = Literal["read", "write"]
DEFAULT_COLLECTION = "default"
"""What the collection of `--rag` is called."""
_NAME = re.compile(r"[^\W_][\w.-]{0,63}")
_FIELDS = ("path", "read", "write")


@dataclass(frozen=True)
class Collection:
    """An index of documents under a name. Raises ConfigError for a name that is none.

    readers: keys that may ask it and look at its documents; None: whoever may call the server
    writers: keys that may change it and see its feedback, and that may read it, too; None: nobody where there are
        `readers`, else whoever may call the server
    """

    name: str
    path: Path
    readers: tuple[str, ...] | None = field(default=None, repr=False)
    writers: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r:.80} is no name of a collection: give at most 64 letters, digits, '-', '_' and '.'"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        """All that are named for it."""
        return (*(self.readers or ()), *(self.writers or ()))

    def opened_by(self, right: Right) -> tuple[str, ...] | None:
        """The keys that have a right; None where whoever may call the server has it."""
        if right == "read":
            return None if self.readers is None else self.keys
        return () if self.writers is None and self.readers is not None else self.writers


def is_among(given: str | None, keys: Iterable[str]) -> bool:
    """Whether a key is one of these. All are compared, each in constant time, so that time tells nothing."""
    data = (given or "").encode("utf-8", errors="replace")
    return sum(hmac.compare_digest(data, key.encode()) for key in keys) > 0


def given_key(headers: Headers) -> str | None:
    """The key that a request brings, in any of the headers that clients use."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key")


def unauthorized(given: str | None) -> UnauthorizedError:
    """The error for a key that is missing or not known."""
    if given is None:
        return UnauthorizedError("an API key is needed: send it as `Authorization: Bearer KEY`")
    return UnauthorizedError("this API key is not known here: check it, or ask the operator for one")


def read_api_keys(path: Path) -> tuple[str, ...]:
    """Keys from a file, one a line; empty lines and lines that begin with # are passed over. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read API keys from {path}: {error}") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise ConfigError(f"{path} holds no API key: write one a line")
    return keys


def collections_of(texts: Iterable[str], environ: Mapping[str, str]) -> tuple[Collection, ...]:
    """Of each `NAME=DIR` a collection that whoever may call the server may use; of each other text a file's.

    Raises ConfigError.

    >>> collections_of(["handbook=indexes/handbook"], {})[0].name
    'handbook'
    """
    found: list[Collection] = []
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals:
            found += read_collections(Path(text).expanduser(), environ)
        elif folder.strip():
            found.append(Collection(name.strip(), Path(folder.strip())))
        else:
            raise ConfigError(f"{text!r:.80} names no folder: write NAME=DIR, such as handbook=indexes/handbook")
    return tuple(found)


def read_collections(path: Path, environ: Mapping[str, str]) -> tuple[Collection, ...]:
    """Collections from a TOML file, a table each: path, and lists of where the keys are, "file:PATH" or "env:NAME".

    [handbook]
    path = "indexes/handbook"                  # like files of keys, relative to this file
    read = ["file:readers.txt", "env:EDITORS"]
    write = ["env:EDITORS"]                    # several keys of one variable are separated by commas

    Raises ConfigError, which names the file and the field, and no key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read collections from {path}: {error}") from error
    if not tables:
        raise ConfigError(f'{path} names no collection: write [NAME] and path = "DIR" below it')
    return tuple(_collection(name, table, path, environ) for name, table in tables.items())


def check_collections(collections: Sequence[Collection]) -> None:
    """Raises ConfigError where two have one name or one folder."""
    folders = [os.path.realpath(each.path.expanduser()) for each in collections]
    for what, values in (("name", [each.name for each in collections]), ("folder", folders)):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ConfigError(f"two collections have the {what} {twice!r}: give each its own")


def _collection(name: str, table: Any, file: Path, environ: Mapping[str, str]) -> Collection:
    place = f"[{name}] of {file}"
    if not isinstance(table, dict) or not isinstance(table.get("path"), str):
        raise ConfigError(f'{place} has no path: write path = "DIR", the folder of its index')
    unknown = next((key for key in table if key not in _FIELDS), None)
    if unknown is not None:
        raise ConfigError(f"{place} has {unknown!r:.40}, expected {', '.join(_FIELDS)}")
    rights = {
        right: _keys(table[right], f"{right} in {place}", file, environ) for right in _FIELDS[1:] if right in table
    }
    folder = file.parent / Path(table["path"]).expanduser()
    return Collection(name, folder, rights.get("read"), rights.get("write"))


def _keys(sources: Any, place: str, file: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the sources hold. A source that is none may be a key in the wrong place, and is not repeated."""
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise ConfigError(f'{place} is no list of texts: write ["file:PATH"] or ["env:NAME"]')
    found: list[str] = []
    for number, source in enumerate(sources, start=1):
        kind, _, where = source.partition(":")
        if kind == "file" and where:
            found += read_api_keys(file.parent / Path(where).expanduser())
        elif kind == "env" and where:
            keys = [key.strip() for key in environ.get(where, "").split(",") if key.strip()]
            if not keys:
                raise ConfigError(f"{place} names the variable {where}, which holds no key: export it first")
            found += keys
        else:
            raise ConfigError(f"{place}: entry {number} does not say where keys are: write file:PATH or env:NAME")
    return tuple(dict.fromkeys(found))
