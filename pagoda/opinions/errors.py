"""What can go wrong with a watch, below `PagodaError`. Loads nothing, so that a server can know them by name.

Beside the path *feed -> item -> story -> opinion of a company -> window -> alert*.
"""

from __future__ import annotations

from pagoda.errors import PagodaError


def shown(address: str) -> str:
    """Of an address what messages, logs and pages may repeat: no name, password or key.

    >>> shown("https://me:secret@example.org/a.xml?key=1#top"), shown("feeds/a.xml")
    ('https://example.org/a.xml', 'feeds/a.xml')
    """
    scheme, sign, rest = address.partition("://")
    if not sign:
        return address
    host, slash, path = rest.partition("/")
    return scheme + sign + host.rpartition("@")[2].split("?")[0] + slash + path.split("?")[0].split("#")[0]


class ConnectorError(PagodaError):
    """A source cannot be read, now or ever; the message says which, and what to do."""


class OpinionStoreError(PagodaError):
    """The database of a watch cannot be read or written."""
