"""What a window holds of each company: stories, how many of them are negative, reach, sources, events, a z-score.

On the path *opinion of a company -> window -> alert*. Windows are SQL over event time, [end - length, end): an article
counts where it was published, whenever it came, so that a late one changes exactly the windows that it belongs to and a
replay gives the same figures to the bit. Stories are counted, not articles: thirty reprints are one story of reach 30.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pagoda.opinions.store.database import Database

FEWEST_PAST_WINDOWS = 3
"""A deviation from fewer past windows than this says nothing."""
_LEAST_DEVIATION = 1.0
"""Stories: a company that is never in the news would deviate without bounds by its first."""
_COUNTS = (
    "COUNT(DISTINCT story), COUNT(DISTINCT CASE WHEN label < 0 THEN story END), "
    "COUNT(DISTINCT CASE WHEN label > 0 THEN story END), COUNT(*), COUNT(DISTINCT source), "
    "COUNT(DISTINCT CASE WHEN label < 0 THEN source END)"
)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Of one company in one window. reach: articles; sources: of all, of negative stories."""

    stories: int = 0
    negative: int = 0
    positive: int = 0
    reach: int = 0
    sources: int = 0
    negative_sources: int = 0

    @property
    def share_negative(self) -> float:
        """Of the stories, 0 to 1; 0 without any."""
        return self.negative / self.stories if self.stories else 0.0


NO_COUNTS = WindowCounts()
"""Of a company that no article of a window names."""


def counts(database: Database, start: int, end: int) -> dict[str, WindowCounts]:
    """Of every company that articles published in [start, end) name."""
    rows = database.rows(
        f"SELECT company, {_COUNTS} FROM mentions WHERE published >= ? AND published < ? "
        "GROUP BY company ORDER BY company",
        [start, end],
    )
    return {row[0]: WindowCounts(*map(int, row[1:])) for row in rows}


def timeline(database: Database, company: str, start: int, end: int, step: int) -> list[tuple[int, WindowCounts]]:
    """(start of a window of `step` seconds, its counts) of those that hold anything, oldest first."""
    rows = database.rows(
        f"SELECT published / ? AS bin, {_COUNTS} FROM mentions WHERE company = ? AND published >= ? AND published < ? "
        "GROUP BY bin ORDER BY bin",
        [step, company, start, end],
    )
    return [(int(row[0]) * step, WindowCounts(*map(int, row[1:]))) for row in rows]


def event_counts(database: Database, start: int, end: int, events: Sequence[str]) -> dict[str, int]:
    """Of every company, in how many stories of [start, end) one of these events happened to it."""
    rows = database.rows(
        "SELECT company, COUNT(DISTINCT story) FROM events WHERE published >= ? AND published < ? "
        f"AND event IN ({', '.join('?' * len(events))}) GROUP BY company ORDER BY company",
        [start, end, *events],
    )
    return {company: int(count) for company, count in rows}


def stories_with_events(database: Database, company: str, start: int, end: int, events: Sequence[str]) -> list[int]:
    """Stories in which one of these events happened to the company."""
    marks = ", ".join("?" * len(events))
    rows = database.rows(
        "SELECT DISTINCT story FROM events WHERE company = ? AND published >= ? AND published < ? "
        f"AND event IN ({marks}) ORDER BY story",
        [company, start, end, *events],
    )
    return [int(story) for (story,) in rows]


def deviation(database: Database, company: str, end: int, length: int, past: int, *, negative: bool) -> float | None:
    """How many standard deviations the window's stories are above the mean of the `past` windows before it.

    negative: count negative stories alone. None where too few windows lie between the first item's
    arrival and this one.
    """
    # Not when the oldest was published: nobody watched the windows between that day and the first arrival.
    first = database.rows("SELECT fetched FROM articles ORDER BY seq LIMIT 1")
    if not first:
        return None
    num_past = min(past, max(0, (end - length - int(first[0][0])) // length))
    if num_past < FEWEST_PAST_WINDOWS:
        return None
    only = "AND label < 0 " if negative else ""
    rows = database.rows(
        "SELECT (? - published) / ? AS bin, COUNT(DISTINCT story) FROM mentions WHERE company = ? AND published >= ? "
        f"AND published < ? {only}GROUP BY bin",
        [end - 1, length, company, end - length * (num_past + 1), end],
    )
    found = {int(number): int(count) for number, count in rows}
    return z_score(found.get(0, 0), [found.get(number, 0) for number in range(1, num_past + 1)])


def z_score(now: int, past: Sequence[int]) -> float:
    """(now - mean) / standard deviation of a sample; deviations below one story count as one.

    >>> z_score(9, [2, 3, 1, 2])
    7.0
    """
    mean = sum(past) / len(past)
    variance = sum((count - mean) ** 2 for count in past) / max(1, len(past) - 1)
    return (now - mean) / max(math.sqrt(variance), _LEAST_DEVIATION)


def stories_in(
    database: Database, company: str, start: int, end: int, limit: int, *, negative: bool, among: Iterable[int] = ()
) -> list[int]:
    """Stories of a window, those of the widest reach first. negative: these alone; among: these alone, if any."""
    only = "AND label < 0 " if negative else ""
    kept = list(among)
    inside = f"AND story IN ({', '.join('?' * len(kept))}) " if kept else ""
    rows = database.rows(
        "SELECT story FROM mentions WHERE company = ? AND published >= ? AND published < ? "
        f"{only}{inside}GROUP BY story ORDER BY COUNT(*) DESC, story LIMIT ?",
        [company, start, end, *kept, limit],
    )
    return [int(story) for (story,) in rows]
