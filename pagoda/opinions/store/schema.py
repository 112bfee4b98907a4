"""The tables of a watch, in the SQL that SQLite and PostgreSQL share.

On the path *item -> story -> opinion of a company -> window -> alert*, the ground that everything after the
understanding stands on. Times are whole seconds since 1970 in UTC, labels -1, 0 and 1, probabilities millionths: sums
of whole numbers are the same in any order, so that a replay gives the same windows to the bit.

`mentions` is the table that windows count: one row for each company of an article. What a story says of a company
stands in `opinions` once, however many articles tell the story; these are its reach.
"""

from __future__ import annotations

from pagoda.opinions.story import LABELS, Label

SCHEMA_VERSION = 1
MICRO = 1_000_000
"""Of a probability."""
NUMBERS: dict[Label, int] = {"negative": -1, "neutral": 0, "positive": 1}
NAMES: dict[int, Label] = {number: label for label, number in NUMBERS.items()}
assert set(NUMBERS) == set(LABELS)

TABLES = (
    """CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS texts (
        id {id} PRIMARY KEY, hash {bytes} NOT NULL UNIQUE, body {bytes} NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS articles (
        seq {id} PRIMARY KEY, item_key {bytes} NOT NULL UNIQUE, source TEXT NOT NULL, item_id TEXT NOT NULL,
        published BIGINT NOT NULL, fetched BIGINT NOT NULL, language TEXT NOT NULL, title TEXT NOT NULL,
        url TEXT NOT NULL, text_id BIGINT, story BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS stories (
        id {id} PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_seq BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS mentions (
        company TEXT NOT NULL, published BIGINT NOT NULL, article BIGINT NOT NULL, story BIGINT NOT NULL,
        source TEXT NOT NULL, label INTEGER NOT NULL, PRIMARY KEY (company, published, article))""",
    """CREATE TABLE IF NOT EXISTS opinions (
        story BIGINT NOT NULL, company TEXT NOT NULL, label INTEGER NOT NULL, probability BIGINT NOT NULL,
        words TEXT NOT NULL, events TEXT NOT NULL, model TEXT NOT NULL, article BIGINT NOT NULL,
        PRIMARY KEY (story, company))""",
    """CREATE TABLE IF NOT EXISTS events (
        company TEXT NOT NULL, published BIGINT NOT NULL, event TEXT NOT NULL, article BIGINT NOT NULL,
        story BIGINT NOT NULL, PRIMARY KEY (company, published, event, article))""",
    """CREATE TABLE IF NOT EXISTS dirty (company TEXT PRIMARY KEY, since BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS alerts (
        id TEXT PRIMARY KEY, rule TEXT NOT NULL, company TEXT NOT NULL, opened BIGINT NOT NULL, closed BIGINT,
        told BIGINT NOT NULL, severity TEXT NOT NULL, facts TEXT NOT NULL, stories TEXT NOT NULL,
        revision INTEGER NOT NULL, withdrawn INTEGER NOT NULL)""",
    """CREATE INDEX IF NOT EXISTS alerts_of_company ON alerts (company, rule, opened)""",
    """CREATE TABLE IF NOT EXISTS acknowledgements (
        alert TEXT PRIMARY KEY, by_whom TEXT NOT NULL, note TEXT NOT NULL, at BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS deliveries (
        alert TEXT NOT NULL, number INTEGER NOT NULL, due BIGINT NOT NULL, sent BIGINT, tries INTEGER NOT NULL,
        fault TEXT NOT NULL, PRIMARY KEY (alert, number))""",
    """CREATE TABLE IF NOT EXISTS tellings (
        alert TEXT NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, due BIGINT NOT NULL, sent BIGINT,
        tries INTEGER NOT NULL, PRIMARY KEY (alert, number, address))""",
    """CREATE TABLE IF NOT EXISTS feedback (
        story BIGINT NOT NULL, company TEXT NOT NULL, label INTEGER NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (story, company))""",
    """CREATE TABLE IF NOT EXISTS rationales (
        story BIGINT NOT NULL, company TEXT NOT NULL, model TEXT NOT NULL, reasons TEXT NOT NULL,
        PRIMARY KEY (story, company))""",
    """CREATE TABLE IF NOT EXISTS feeds (
        url TEXT PRIMARY KEY, etag TEXT NOT NULL, modified TEXT NOT NULL, at BIGINT NOT NULL, fault TEXT NOT NULL)""",
    """CREATE INDEX IF NOT EXISTS articles_of_story ON articles (story)""",
    """CREATE INDEX IF NOT EXISTS mentions_by_time ON mentions (published, company)""",
    """CREATE INDEX IF NOT EXISTS events_by_time ON events (published, event)""",
    """CREATE INDEX IF NOT EXISTS mentions_of_story ON mentions (story)""",
)
"""`{bytes}` and `{id}` are the types of bytes and of row numbers, which both databases name differently."""
