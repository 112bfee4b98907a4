"""Which program keeps an index's vectors, by the address that it is given.

Below the third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. An address is
kept with the index and shown by `pagoda rag status`, so it holds no secret: a password in it is refused, by what it is
and not by what it says.
"""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Literal

from pagoda.errors import ConfigError

StoreKind = Literal["chroma", "pgvector"]
_SCHEMES: dict[str, StoreKind] = {
    "http": "chroma",
    "https": "chroma",
    "postgresql": "pgvector",
    "postgres": "pgvector",
}
_FORMS = "http://host:port (Chroma) or postgresql://user@host:port/database (pgvector)"
_SECRETS = ("password", "sslpassword", "passfile", "api_key", "token")


def server_kind(where: str | Path) -> StoreKind | None:
    """Which server an address is of; None for a folder.

    >>> server_kind("http://localhost:8000"), server_kind("postgresql://db/docs"), server_kind("C:/index")
    ('chroma', 'pgvector', None)
    """
    scheme, separator, _ = str(where).partition("://")
    return _SCHEMES.get(scheme.lower()) if separator else None


def check_address(address: str) -> None:
    """Raise ConfigError where it is none of a server that can be used, or holds a secret."""
    if server_kind(address) is None:
        # What is no address may hold anything, so it is told as far as a person needs to find it.
        raise ConfigError(f"the store's address is {_without_secrets(address)!r}, expected {_FORMS}")
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise ConfigError(f"the store's address cannot be read ({error}), expected {_FORMS}") from error
    named = {name.lower() for name, _ in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)}
    # A password may have signs that end one part of an address for Python and not for PostgreSQL.
    who = address.partition("://")[2].rpartition("@")[0]
    if who.partition(":")[2] or named.intersection(_SECRETS):
        raise ConfigError(
            f"the store's address {_without_secrets(address)} holds a password, which would be kept with the index: "
            "leave it out and set PGPASSWORD, or write it into ~/.pgpass"
        )


def _without_secrets(address: str) -> str:
    """Without what stands before the "@" and behind the "?".

    >>> _without_secrets("postgresql://ada:secret@db/docs?password=secret")
    'postgresql://...@db/docs'
    """
    scheme, separator, rest = address.rpartition("://")
    who, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{'...' if who else ''}{at}{place.partition('?')[0]}"
