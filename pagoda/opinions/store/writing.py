"""What a watch keeps: articles, their stories, what each says of a company, and which windows that touches.

On the path *item -> story -> opinion of a company -> window -> alert*, between the understanding and the windows. All
of an item enters in one transaction with whatever follows from it, and is acknowledged only afterwards. Texts are
compressed by zlib, and equal ones are kept once.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pagoda.opinions.store.database import Database, open_database
from pagoda.opinions.store.keys import text_key
from pagoda.opinions.store.schema import MICRO, NUMBERS
from pagoda.opinions.story import Item, StoryOpinion

_KEYS_PER_CALL = 500


class OpinionWriter:
    """The one who writes to a database. where: a path, or postgresql://user@host/database. Raises as open_database."""

    def __init__(self, where: str | Path) -> None:
        self.database: Database = open_database(where, writes=True)
        self.lock = threading.RLock()
        self._next_seq = self._largest("articles", "seq") + 1
        self._next_text = self._largest("texts", "id") + 1
        self._next_story = self._largest("stories", "id") + 1
        self.clock = int(self.fact("clock") or 0)
        self.tick = int(self.fact("tick") or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the block writes, or nothing; the counters, too. Threads take turns."""
        with self.lock:
            before = (self._next_seq, self._next_text, self._next_story, self.clock, self.tick)
            try:
                with self.database.transaction():
                    yield
                    self._keep("clock", str(self.clock))
                    self._keep("tick", str(self.tick))
            except BaseException:
                self._next_seq, self._next_text, self._next_story, self.clock, self.tick = before
                raise

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these items are kept already."""
        found: set[bytes] = set()
        for start in range(0, len(keys), _KEYS_PER_CALL):
            part = keys[start : start + _KEYS_PER_CALL]
            marks = ", ".join("?" * len(part))
            found.update(
                bytes(key) for (key,) in self.database.rows(
                    f"SELECT item_key FROM articles WHERE item_key IN ({marks})", part
                )
            )  # fmt: skip
        return found

    def add(self, item: Item, key: bytes, story_name: str, opinions: Sequence[StoryOpinion]) -> None:
        """Keep one new item. What its story said of a company before stays; what it says anew is added."""
        seq, published = self._next_seq, seconds_of(item.published)
        self._next_seq += 1
        story = self._story(story_name, seq)
        self.database.rows(
            "INSERT INTO articles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [seq, key, item.source, item.id, published, seconds_of(item.fetched), item.language, item.title, item.url,
             self._text(item.text), story],
        )  # fmt: skip
        for opinion in opinions:
            self._opine(item, seq, story, opinion)

    def dirty(self) -> dict[str, int]:
        """Companies of which something is new since the last `clean`, and the earliest time that it touches."""
        return dict(self.database.rows("SELECT company, since FROM dirty ORDER BY company"))

    def clean(self) -> None:
        """Their windows were looked at."""
        self.database.rows("DELETE FROM dirty")

    def recent(self, span: int) -> list[tuple[Item, str]]:
        """(item, name of its story) as they came, from the first published at most `span` s before the newest.

        Not by the clock: time that passes without items makes no process forget a story, and a restart must not.
        """
        rows = self.database.rows(
            "SELECT a.source, a.item_id, a.published, a.fetched, a.title, t.body, a.url, a.language, s.name "
            "FROM articles a JOIN stories s ON s.id = a.story LEFT JOIN texts t ON t.id = a.text_id "
            "WHERE a.seq >= (SELECT MIN(seq) FROM articles WHERE published >= "
            "(SELECT MAX(published) FROM articles) - ?) ORDER BY a.seq",
            [span],
        )
        return [
            (Item(source, item_id, time_of(published), time_of(fetched), title, text_of(body), url, language), story)
            for source, item_id, published, fetched, title, body, url, language, story in rows
        ]

    def fact(self, name: str) -> str | None:
        """A fact about the whole, None where there is none."""
        found = self.database.rows("SELECT value FROM facts WHERE name = ?", [name])
        return found[0][0] if found else None

    def _keep(self, name: str, value: str) -> None:
        upsert(self.database, "facts", ("name",), {"name": name, "value": value})

    def close(self) -> None:
        """Give the database back to others."""
        self.database.close()

    def _largest(self, table: str, column: str) -> int:
        return int(self.database.rows(f"SELECT COALESCE(MAX({column}), 0) FROM {table}")[0][0])

    def _story(self, name: str, seq: int) -> int:
        found = self.database.rows("SELECT id FROM stories WHERE name = ?", [name])
        if found:
            return int(found[0][0])
        number = self._next_story
        self._next_story += 1
        self.database.rows("INSERT INTO stories VALUES (?, ?, ?)", [number, name, seq])
        return number

    def _text(self, text: str) -> int | None:
        if not text:
            return None
        key = text_key(text)
        found = self.database.rows("SELECT id FROM texts WHERE hash = ?", [key])
        if found:
            return int(found[0][0])
        number = self._next_text
        self._next_text += 1
        self.database.rows("INSERT INTO texts VALUES (?, ?, ?)", [number, key, zlib.compress(text.encode("utf-8"))])
        return number

    def _opine(self, item: Item, seq: int, story: int, opinion: StoryOpinion) -> None:
        company, published = opinion.company_id, seconds_of(item.published)
        known = self.database.rows(
            "SELECT label, events FROM opinions WHERE story = ? AND company = ?", [story, company]
        )
        if known:
            label, events = int(known[0][0]), [event["type"] for event in json.loads(known[0][1])]
        else:
            label, events = NUMBERS[opinion.label], [event.type for event in opinion.events]
            self.database.rows(
                "INSERT INTO opinions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [story, company, label, round(opinion.probability * MICRO), _words(opinion), _events(opinion),
                 opinion.model_version, seq],
            )  # fmt: skip
        self.database.rows(
            "INSERT INTO mentions VALUES (?, ?, ?, ?, ?, ?)", [company, published, seq, story, item.source, label]
        )
        if events:
            rows = [(company, published, event, seq, story) for event in dict.fromkeys(events)]
            self.database.many("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
        self.database.rows(
            "INSERT INTO dirty VALUES (?, ?) ON CONFLICT (company) DO UPDATE SET since = "
            "CASE WHEN excluded.since < dirty.since THEN excluded.since ELSE dirty.since END",
            [company, published],
        )


def upsert(database: Database, table: str, keys: Sequence[str], row: dict[str, Any]) -> None:
    """Write one row, over the one that has these keys."""
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    rest = ", ".join(f"{name} = excluded.{name}" for name in row if name not in keys)
    database.rows(
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {rest}",
        list(row.values()),
    )


def seconds_of(time: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return int(time.timestamp() // 1)


def time_of(seconds: int) -> datetime:
    """Aware, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def text_of(body: Any) -> str:
    """The text that was kept; "" of none."""
    return "" if body is None else zlib.decompress(bytes(body)).decode("utf-8")


def _words(opinion: StoryOpinion) -> str:
    told = [[word.start, word.end, word.text, round(word.weight, 4)] for word in opinion.words]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _events(opinion: StoryOpinion) -> str:
    told = [{"type": event.type, "probability": round(event.probability, 4)} for event in opinion.events]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
