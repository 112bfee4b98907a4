"""What changed: each company's window against the one before it.

Beside the windows, for the page's first table.
"""

from __future__ import annotations

from typing import Any

from pagoda.opinions.store.database import Database
from pagoda.opinions.windows.measures import NO_COUNTS, WindowCounts, counts


def changes(database: Database, end: int, length: int) -> list[dict[str, Any]]:
    """Of every company that either window names, the largest rise of negative stories first. Times: seconds."""
    now, before = counts(database, end - length, end), counts(database, end - 2 * length, end - length)
    rows = [_row(company, now.get(company, NO_COUNTS), before.get(company, NO_COUNTS)) for company in {*now, *before}]
    return sorted(rows, key=lambda row: (-row["negative_change"], -row["stories"], row["company"]))


def _row(company: str, now: WindowCounts, before: WindowCounts) -> dict[str, Any]:
    return {
        "company": company,
        "stories": now.stories,
        "negative": now.negative,
        "positive": now.positive,
        "reach": now.reach,
        "sources": now.sources,
        "share_negative": round(now.share_negative, 4),
        "stories_before": before.stories,
        "negative_before": before.negative,
        "stories_change": now.stories - before.stories,
        "negative_change": now.negative - before.negative,
    }
