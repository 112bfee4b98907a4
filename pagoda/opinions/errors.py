"""What can go wrong with a watch, below `PagodaError`. Loads nothing, so that a server can know them by name.

Beside the path *feed -> item -> story -> opinion of a company -> window -> alert*.
"""

from __future__ import annotations

from pagoda.errors import PagodaError


class ConnectorError(PagodaError):
    """A source cannot be read, now or ever; the message says which, and what to do."""


class OpinionStoreError(PagodaError):
    """The database of a watch cannot be read or written."""
