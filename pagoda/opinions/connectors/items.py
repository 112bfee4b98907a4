"""From a record, whoever brought it, to an item: ids, times, languages and lengths made sound.

On the path *feed -> item*, shared by files, topics and the webhook. A record that is no item is told with the field
that is to blame. An item without a date is as old as its arrival, one from the future too: a window in the future would
wait for ever. One that says it came in the future is refused: the watch's clock would follow it, and never come back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pagoda.errors import InvalidRequestError, nearest
from pagoda.language import language_of
from pagoda.opinions.store.keys import id_from_words
from pagoda.opinions.story import Item

FIELDS = ("source", "id", "published", "fetched", "title", "text", "url", "language")
MAX_TITLE, MAX_TEXT, MAX_NAME, MAX_URL = 1_000, 100_000, 200, 2_000
"""Characters; of title and text what is over is cut off, since a name stands at the beginning."""
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""What is dated before says nothing of when it was published: zeros, and clocks that were never set."""
_AHEAD = timedelta(minutes=5)
"""That another machine's clock may be before ours."""


def item_of(record: Mapping[str, Any], source: str, now: datetime, came: datetime | None = None) -> Item:
    """The item that a record is.

    record: `FIELDS`, of which only a title or a text is needed; times as ISO 8601, or in seconds since 1970
    source: of items that name none; came: when one arrived that does not say, now where None
    Raises InvalidRequestError, with the field.
    """
    unknown = next((key for key in record if key not in FIELDS), None)
    if unknown is not None:
        raise InvalidRequestError(f"{unknown!r:.60} is no field of an item: {nearest(str(unknown), FIELDS)}")
    title, text = _text(record, "title", MAX_TITLE, cut=True), _text(record, "text", MAX_TEXT, cut=True)
    if not (title or text):
        raise InvalidRequestError("title and text are both missing: give one", param="title")
    title = title or text.splitlines()[0][:MAX_TITLE]
    fetched = _time(record, "fetched") or came or now
    if fetched > now + _AHEAD:
        raise InvalidRequestError(f"fetched is {fetched.isoformat()}, which is yet to come", param="fetched")
    published = published_of(record) or fetched
    whole = f"{title}\n{text}"
    language = _text(record, "language", MAX_NAME) or language_of(whole)
    if language not in ("en", "zh"):
        raise InvalidRequestError(f"language is {language!r:.40}, expected en or zh", param="language")
    return Item(
        source=_text(record, "source", MAX_NAME) or source,
        id=_text(record, "id", MAX_URL) or id_from_words(whole),
        published=min(published, fetched),
        fetched=fetched,
        title=title,
        text=text,
        url=url if (url := _text(record, "url", MAX_URL)).startswith(("http://", "https://")) else "",
        language=language,  # type: ignore[arg-type]
    )


def published_of(record: Mapping[str, Any]) -> datetime | None:
    """When a record was published; None where it says nothing, or nothing that can be. Raises InvalidRequestError."""
    published = _time(record, "published")
    return None if published is None or published < _EARLIEST else published


def clean(text: str) -> str:
    """Without what no database takes: NUL, halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def _text(record: Mapping[str, Any], name: str, longest: int, *, cut: bool = False) -> str:
    given = record.get(name)
    if given is None:
        return ""
    if name == "id" and isinstance(given, int):
        given = str(given)
    if not isinstance(given, str):
        raise InvalidRequestError(f"{name} is {given!r:.60}, expected a text", param=name)
    text = clean(given).strip()
    if len(text) > longest and not cut:
        raise InvalidRequestError(f"{name} has {len(text)} characters, expected at most {longest}", param=name)
    return text[:longest]


def _time(record: Mapping[str, Any], name: str) -> datetime | None:
    """In UTC, whole seconds. A time without a zone is UTC's."""
    given = record.get(name)
    if given is None or given == "":
        return None
    try:
        if isinstance(given, str):
            found = datetime.fromisoformat(given)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
        elif isinstance(given, bool) or not math.isfinite(given):
            raise ValueError(given)
        else:
            found = datetime.fromtimestamp(given, UTC)
        return found.astimezone(UTC).replace(microsecond=0)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise InvalidRequestError(
            f"{name} is {given!r:.60}, expected a time such as 2026-11-30T09:15:00Z", param=name
        ) from error
