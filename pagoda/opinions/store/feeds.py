"""What is remembered of a feed between two looks: its ETag, and what was wrong with it last.

Beside `connectors.feeds`, in the writer's database, so that a restart does not fetch everything anew.
"""

from __future__ import annotations

from typing import Any

from pagoda.opinions.errors import shown
from pagoda.opinions.store.database import Database
from pagoda.opinions.store.writing import OpinionWriter


class FeedStates:
    """States of all feeds of a watch."""

    def __init__(self, writer: OpinionWriter) -> None:
        self._writer = writer

    def state(self, url: str) -> tuple[str, str]:
        """(etag, modified) of what was committed last; "" where there are none."""
        with self._writer.lock:
            found = self._writer.database.rows("SELECT etag, modified FROM feeds WHERE url = ?", [url])
        return (found[0][0], found[0][1]) if found else ("", "")

    def keep(self, url: str, etag: str, modified: str, fault: str = "") -> None:
        """Note both; with a fault, what is wrong, and both stay as they were."""
        changes = (
            "fault = excluded.fault" if fault else "etag = excluded.etag, modified = excluded.modified, fault = ''"
        )
        with self._writer.transaction():
            self._writer.database.rows(
                "INSERT INTO feeds (url, etag, modified, at, fault) VALUES (?, ?, ?, ?, ?) "
                f"ON CONFLICT (url) DO UPDATE SET at = excluded.at, {changes}",
                [url, etag, modified, self._writer.clock, fault],
            )


def feed_faults(database: Database) -> list[dict[str, Any]]:
    """Feeds of which the last look failed."""
    rows = database.rows("SELECT url, at, fault FROM feeds WHERE fault <> '' ORDER BY url")
    return [{"url": shown(url), "time": at, "fault": fault} for url, at, fault in rows]
