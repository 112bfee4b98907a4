"""RSS and Atom, at a URL or in a file, read by feedparser again and again.

On the path *feed -> item*. A feed that has not changed costs one request without a body (ETag, Last-Modified). Feeds
lie about much: entries without ids are known by their words, entries without dates are as old as their first arrival,
HTML in titles and summaries becomes text. A feed that fails is told and asked again, later and later.
"""

from __future__ import annotations

import asyncio
import calendar
import html
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pagoda.errors import InvalidRequestError, MissingExtraError
from pagoda.opinions.connectors.connector import ItemBatch
from pagoda.opinions.connectors.fetching import Fetched, Fetcher
from pagoda.opinions.connectors.items import MAX_TEXT, MAX_URL, item_of
from pagoda.opinions.errors import ConnectorError, shown
from pagoda.opinions.story import Item

MOST_ENTRIES = 1_000
_LONGEST_PAUSE_S = 6 * 3600
_MOST_MARKUP = 4 * MAX_TEXT
_TAG = re.compile(r"<(/?[a-zA-Z!][^<>]*)>")
_TAG_NAME = re.compile(r"/?[a-zA-Z0-9]*")
_BLOCKS = frozenset(("br p div li ul ol h1 h2 h3 h4 h5 h6 tr td th table blockquote section article hr pre").split())  # noqa: SIM905
_SOUND_TO_BROKEN = 4
"""Characters beyond ASCII for each broken one, from which bytes are UTF-8: other encodings give fewer than one."""
_UNREAD = ("script", "style")
logger = logging.getLogger(__name__)


class FeedMemory(Protocol):
    """Where a feed's last state is kept: `store.feeds.FeedStates`."""

    def state(self, url: str) -> tuple[str, str]:
        """(etag, modified) of what was committed last."""
        ...

    def keep(self, url: str, etag: str, modified: str, fault: str = "") -> None:
        """Note both, and what is wrong with the feed."""
        ...


class FeedConnector:
    """One feed, asked every `every` seconds; 0 for once.

    where: a URL, or a file's path; name: of the source; fetcher: for URLs; sleep: for tests
    Raises MissingExtraError.
    """

    def __init__(
        self,
        where: str,
        name: str,
        memory: FeedMemory,
        fetcher: Fetcher | None = None,
        *,
        every: float = 300.0,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        _feedparser()
        self.where, self.name = where, name
        self._memory, self._fetcher, self._every, self._sleep = memory, fetcher, every, sleep

    async def batches(self) -> AsyncIterator[ItemBatch]:
        """What is in the feed now, then whenever it has changed."""
        num_faults = 0
        while True:
            try:
                batch = await self._look()
                num_faults = 0
            except ConnectorError as error:
                num_faults += 1
                await asyncio.to_thread(self._memory.keep, self.where, "", "", str(error))
                logger.warning("%s", error)
                batch = None
            if batch is not None:
                yield batch
            if not self._every:
                return
            await self._sleep(min(self._every * 2**num_faults, max(self._every, _LONGEST_PAUSE_S)))

    async def close(self) -> None:
        """The fetcher is shared, and closed by whoever made it."""

    async def _look(self) -> ItemBatch | None:
        if "://" not in self.where:
            found = Fetched(await asyncio.to_thread(_file_bytes, Path(self.where).expanduser()))
        else:
            assert self._fetcher is not None, "feeds at URLs have one"
            etag, modified = await asyncio.to_thread(self._memory.state, self.where)
            found = await self._fetcher.get(self.where, etag, modified)
        if found.body is None:
            return None
        items, faults = await asyncio.to_thread(entries, found.body, self.name, self.where, found.content_type)

        async def committed() -> None:
            await asyncio.to_thread(self._memory.keep, self.where, found.etag, found.modified)

        return ItemBatch(tuple(items), committed, tuple(faults))


def entries(
    body: bytes, source: str, where: str, content_type: str = "", now: datetime | None = None
) -> tuple[list[Item], list[str]]:
    """(items, what is wrong with others) of a feed's bytes, oldest first. Raises ConnectorError for what is no feed."""
    parsed = _feedparser().parse(_mended(body), response_headers={"content-type": content_type} if content_type else {})
    if not parsed.entries and (parsed.bozo or not parsed.get("version")):
        raise ConnectorError(f"{shown(where)} is no RSS or Atom feed: give the feed's own address, not its page's")
    arrived = (now or datetime.now(UTC)).replace(microsecond=0)
    items: list[Item] = []
    faults: list[str] = []
    for number, entry in enumerate(parsed.entries[:MOST_ENTRIES], start=1):
        try:
            items.append(item_of(_record(entry), source, arrived))
        except InvalidRequestError as error:
            faults.append(f"{shown(where)}, entry {number}: {error}")
    return sorted(items, key=lambda item: item.published), faults


def _mended(body: bytes) -> bytes:
    """UTF-8 with a few broken characters in it as UTF-8: feedparser would read all of it in another encoding, and every
    Chinese character as two or three of Latin ones."""
    text = body.decode("utf-8", "replace")
    num_broken = text.count("\ufffd")
    num_sound = len(text) - num_broken - sum(map(str.isascii, text)) if num_broken else 0
    return text.encode() if num_broken and num_broken * _SOUND_TO_BROKEN <= num_sound else body


def _record(entry: Any) -> dict[str, Any]:
    moment = entry.get("published_parsed") or entry.get("updated_parsed")
    bodies = [part.get("value", "") for part in entry.get("content", ())]
    link = str(entry.get("link", ""))
    return {
        "id": str(entry.get("id") or link)[:MAX_URL],
        "published": calendar.timegm(moment) if moment else None,
        "title": plain_text(entry.get("title", "")),
        "text": plain_text(max([entry.get("summary", ""), *bodies], key=len)),
        "url": link[:MAX_URL] if link.startswith(("http://", "https://")) else "",
    }


def plain_text(markup: str) -> str:
    """HTML's text.

    >>> plain_text("<p>Shares of A&amp;B <b>fell</b></p>now")
    'Shares of A&B fell\\nnow'
    >>> plain_text("<h1>Margin <5%</h1>growth >3%<script>x = 1</script>")
    'Margin <5%\\ngrowth >3%'
    """
    text = html.unescape("".join(_unmarked(markup[:_MOST_MARKUP])))
    return "\n".join(line for line in (" ".join(row.split()) for row in text.splitlines()) if line)


def _unmarked(markup: str) -> Iterator[str]:
    """What stands between tags, a line's end for each that begins or ends a block."""
    parts, unread = _TAG.split(markup), ""
    for text, tag in zip(parts[::2], [*parts[1::2], ""], strict=True):
        if not unread:
            yield text
        found = _TAG_NAME.match(tag)
        name = found.group().lower() if found else ""
        if name.removeprefix("/") in _BLOCKS:
            yield "\n"
        unread = "" if name == "/" + unread else unread or (name if name in _UNREAD else "")


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConnectorError(f"the feed {path} cannot be read: {error.strerror}") from error


def _feedparser() -> Any:
    try:
        import feedparser
    except ModuleNotFoundError as error:
        raise MissingExtraError("feeds", "opinions") from error
    return feedparser
