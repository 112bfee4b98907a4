"""Where items come from: one contract for feeds, files, topics and whoever posts.

At the start of the path *feed -> item -> story -> opinion of a company -> window -> alert*. A connector gives batches
and is told when all of one is committed; only then may it let go of them (move an offset, remember an ETag). What was
not told comes again, and is known by its key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pagoda.opinions.story import Item


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class ItemBatch:
    """Some items. committed: to be awaited when all of them are on the disk; faults: rows that are no items."""

    items: tuple[Item, ...]
    committed: Callable[[], Awaitable[None]] = field(default=_nothing)
    faults: tuple[str, ...] = ()


class Connector(Protocol):
    """One source. name: what its items have as `source`, where they bring none of their own."""

    name: str

    def batches(self) -> AsyncIterator[ItemBatch]:
        """Batches as they come; it ends where the source ends, as a file does. Raises ConnectorError."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
