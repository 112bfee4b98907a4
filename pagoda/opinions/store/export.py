"""A watch's rows as Parquet, for whatever else analyses them.

Beside the path: one row for each (article, company), streamed in batches, written to a draft and put in place whole.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.opinions.store.database import Database
from pagoda.opinions.store.schema import MICRO, NAMES
from pagoda.opinions.store.writing import text_of, time_of

BATCH = 2_000
_ROWS = (
    "SELECT m.article, m.company, a.source, a.item_id, a.published, a.fetched, a.language, a.title, t.body, a.url, "
    "m.story, o.label, o.probability, o.events, o.model FROM mentions m JOIN articles a ON a.seq = m.article "
    "JOIN opinions o ON o.story = m.story AND o.company = m.company LEFT JOIN texts t ON t.id = a.text_id "
    "WHERE m.article > ? ORDER BY m.article, m.company LIMIT ?"
)


def export_parquet(database: Database, path: Path) -> int:
    """Write all rows; how many. Raises MissingExtraError."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet", "opinions") from error
    schema = _schema(pyarrow)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".export-", dir=path.parent)
    os.close(handle)
    total = 0
    try:
        with parquet.ParquetWriter(draft, schema, compression="zstd") as file:
            for rows in _batches(database):
                file.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
                total += len(rows)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return total


def _schema(pyarrow: Any) -> Any:
    text, time = pyarrow.string(), pyarrow.timestamp("s", tz="UTC")
    return pyarrow.schema(
        [
            ("company", text), ("source", text), ("id", text), ("published", time), ("fetched", time),
            ("language", text), ("title", text), ("text", text), ("url", text), ("story", pyarrow.int64()),
            ("label", text), ("probability", pyarrow.float64()), ("events", pyarrow.list_(text)), ("model", text),
        ]
    )  # fmt: skip


def _batches(database: Database) -> Iterator[list[dict[str, Any]]]:
    """All rows of an article in one batch, so that the next begins behind it."""
    after = 0
    while rows := database.rows(_ROWS, [after, BATCH]):
        if len(rows) == BATCH and rows[0][0] != rows[-1][0]:
            last = rows[-1][0]
            rows = [row for row in rows if row[0] != last]
        after = rows[-1][0]
        yield [_record(row) for row in rows]


def _record(row: tuple[Any, ...]) -> dict[str, Any]:
    (_, company, source, item_id, published, fetched, language, title, body, url, story, label, probability, events,
     model) = row  # fmt: skip
    return {
        "company": company, "source": source, "id": item_id, "published": time_of(published),
        "fetched": time_of(fetched), "language": language, "title": title, "text": text_of(body), "url": url,
        "story": story, "label": NAMES[label], "probability": probability / MICRO,
        "events": [event["type"] for event in json.loads(events)], "model": model,
    }  # fmt: skip
