"""What is looked at: stories, alerts, sources, companies. Reads only, beside the one who writes.

Behind /v1/opinions and its page. Every answer is a list of plain records; times in them are seconds since 1970.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pagoda.opinions.store.database import Database
from pagoda.opinions.store.schema import MICRO, NAMES
from pagoda.opinions.store.writing import text_of

Record = dict[str, Any]


def overview(database: Database) -> Record:
    """How much there is, and up to when."""
    articles, stories, companies = database.rows(
        "SELECT COUNT(*), COUNT(DISTINCT story), (SELECT COUNT(DISTINCT company) FROM mentions) FROM articles"
    )[0]
    facts = dict(database.rows("SELECT name, value FROM facts"))
    first, last = database.rows("SELECT MIN(published), MAX(published) FROM articles")[0]
    return {
        "num_articles": int(articles), "num_stories": int(stories), "num_companies": int(companies),
        "clock": int(facts.get("clock", 0)), "first": first, "last": last,
    }  # fmt: skip


def stories(
    database: Database, *, company: str | None, start: int, end: int, limit: int, label: int | None = None
) -> list[Record]:
    """Stories that were told in [start, end), the widest reach first; of a company, with what they say of it."""
    only = ("AND m.company = ? " if company else "") + ("AND m.label = ? " if label is not None else "")
    rows = database.rows(
        "SELECT m.story, m.company, MIN(m.published), COUNT(*) AS reach, COUNT(DISTINCT m.source) FROM mentions m "
        f"WHERE m.published >= ? AND m.published < ? {only}GROUP BY m.story, m.company "
        "ORDER BY reach DESC, MIN(m.published) DESC, m.story, m.company LIMIT ?",
        [start, end, *([company] if company else []), *([label] if label is not None else []), limit],
    )
    said = _said(database, [int(row[0]) for row in rows])
    return [
        {"story": int(number), "company": name, "time": int(time), "reach": int(reach), "sources": int(sources),
         **said[int(number), name]}
        for number, name, time, reach, sources in rows
    ]  # fmt: skip


def story(database: Database, number: int) -> Record | None:
    """One story: its articles, its text, what it says of each company, with words, events and reasons."""
    articles = database.rows(
        "SELECT a.seq, a.source, a.published, a.fetched, a.title, a.url, a.language, t.body FROM articles a "
        "LEFT JOIN texts t ON t.id = a.text_id WHERE a.story = ? ORDER BY a.seq",
        [number],
    )
    if not articles:
        return None
    said = _said(database, [number])
    reasons = dict(database.rows("SELECT company, reasons FROM rationales WHERE story = ?", [number]))
    return {
        "story": number,
        "title": articles[0][4],
        "text": text_of(articles[0][7]),
        "language": articles[0][6],
        "articles": [
            {"source": source, "published": published, "fetched": fetched, "title": title, "url": url}
            for _, source, published, fetched, title, url, _, _ in articles
        ],
        "opinions": [
            {"company": company, **record, "reasons": json.loads(reasons.get(company, "[]"))}
            for (_, company), record in sorted(said.items())
        ],
    }


def alerts(
    database: Database, *, company: str | None = None, is_open: bool | None = None, limit: int = 100
) -> list[Record]:
    """Alerts, the newest first."""
    only = ("AND a.company = ? " if company else "") + (
        ""
        if is_open is None
        else "AND a.withdrawn = 0 AND a.closed IS NULL "
        if is_open
        else "AND a.closed IS NOT NULL "
    )
    rows = database.rows(
        "SELECT a.id, a.rule, a.company, a.opened, a.closed, a.told, a.severity, a.facts, a.stories, a.revision, "
        "a.withdrawn, k.by_whom, k.note, k.at FROM alerts a LEFT JOIN acknowledgements k ON k.alert = a.id WHERE 1 = 1 "
        f"{only}ORDER BY a.opened DESC, a.id LIMIT ?",
        [*([company] if company else []), limit],
    )
    named = titles(database, sorted({story for row in rows for story in json.loads(row[8])}))
    return [_alert(row, named) for row in rows]


def sources(database: Database, start: int, end: int) -> list[Record]:
    """Who brought how many articles in [start, end), how many of them first, and how late."""
    rows = database.rows(
        "SELECT a.source, COUNT(*), SUM(CASE WHEN s.first_seq = a.seq THEN 1 ELSE 0 END), "
        "MAX(a.fetched - a.published), MAX(a.published) FROM articles a JOIN stories s ON s.id = a.story "
        "WHERE a.published >= ? AND a.published < ? GROUP BY a.source ORDER BY COUNT(*) DESC, a.source",
        [start, end],
    )
    return [
        {
            "source": source,
            "articles": int(articles),
            "first": int(first),
            "latest": int(latest),
            "slowest_s": int(late),
        }
        for source, articles, first, late, latest in rows
    ]


def titles(database: Database, numbers: Sequence[int]) -> dict[int, str]:
    """Of the first article of each story."""
    if not numbers:
        return {}
    rows = database.rows(
        "SELECT s.id, a.title FROM stories s JOIN articles a ON a.seq = s.first_seq "
        f"WHERE s.id IN ({', '.join('?' * len(numbers))})",
        list(numbers),
    )
    return {int(number): title for number, title in rows}


def _alert(row: tuple[Any, ...], named: dict[int, str]) -> Record:
    number, rule, company, opened, closed, told, severity, facts, told_stories, revision, withdrawn, by, note, at = row
    return {
        "id": number, "rule": rule, "company": company, "opened": opened, "closed": closed, "told": told,
        "severity": severity, "facts": json.loads(facts), "revision": revision, "withdrawn": bool(withdrawn),
        "stories": [{"story": story, "title": named.get(story, "")} for story in json.loads(told_stories)],
        "acknowledged": None if at is None else {"by": by, "note": note, "time": at},
    }  # fmt: skip


def _said(database: Database, numbers: Sequence[int]) -> dict[tuple[int, str], Record]:
    """(story, company) -> what it says."""
    if not numbers:
        return {}
    distinct = sorted(set(numbers))
    rows = database.rows(
        "SELECT o.story, o.company, o.label, o.probability, o.words, o.events, o.model, a.title, f.label "
        "FROM opinions o JOIN stories s ON s.id = o.story JOIN articles a ON a.seq = s.first_seq LEFT JOIN feedback f "
        f"ON f.story = o.story AND f.company = o.company WHERE o.story IN ({', '.join('?' * len(distinct))})",
        distinct,
    )
    return {
        (int(story), company): {
            "title": title, "label": NAMES[label], "probability": probability / MICRO,
            "words": [text for _, _, text, _ in json.loads(words)], "events": [e["type"] for e in json.loads(events)],
            "model": model, "feedback": None if right is None else NAMES[right],
        }
        for story, company, label, probability, words, events, model, title, right in rows
    }  # fmt: skip
