"""Feeds: what they lie about, conditional requests against a real server, and addresses inside the house."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pagoda.opinions.connectors.fetching import Fetcher
from pagoda.opinions.errors import ConnectorError
from pagoda.opinions.store.feeds import FeedStates, feed_faults
from pagoda.opinions.store.writing import OpinionWriter

pytest.importorskip("feedparser", reason="needs feedparser, of the opinions extra")
from pagoda.opinions.connectors.feeds import FeedConnector, entries, plain_text

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RSS = """<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>Wire</title>
<item><title>Acme &amp;amp; Borel &lt;b&gt;fell&lt;/b&gt;</title><guid>a1</guid><link>https://x.invalid/1</link>
<pubDate>Mon, 02 Mar 2026 08:00:00 +0100</pubDate>
<description>&lt;p&gt;By half.&lt;/p&gt;&lt;p&gt;So.&lt;/p&gt;</description></item>
<item><title>没有日期和编号的一条</title></item>
<item><title>An odd link</title><link>javascript:alert(1)</link></item>
</channel></rss>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><id>f</id>
<entry><title>Atom news</title><id>tag:1</id><updated>2026-03-01T10:00:00Z</updated><summary>s</summary>
</entry></feed>"""


def test_rss_becomes_items_whatever_is_missing() -> None:
    items, faults = entries(RSS.encode(), "wire", "feed.xml", now=NOW)
    assert faults == []
    by_title = {item.title: item for item in items}
    first = by_title["Acme & Borel fell"]
    assert (first.id, first.text, first.url) == ("a1", "By half.\nSo.", "https://x.invalid/1")
    assert first.published == datetime(2026, 3, 2, 7, tzinfo=UTC)
    bare = by_title["没有日期和编号的一条"]
    assert (bare.published, bare.id[:5], bare.language) == (NOW, "text-", "zh")
    assert by_title["An odd link"].url == ""


def test_atom_is_read_and_what_is_no_feed_refused() -> None:
    ((item,), _) = entries(ATOM.encode(), "a", "a.xml", now=NOW)
    assert (item.title, item.published.day) == ("Atom news", 1)
    for body in (b"<html><body>Welcome</body></html>", b"", b"\x00\x01"):
        with pytest.raises(ConnectorError, match="no RSS or Atom"):
            entries(body, "a", "a.xml")


class Site:
    """A server of feeds. seen: (path, If-None-Match) of each request."""

    def __init__(self) -> None:
        self.body = RSS.encode()
        self.seen: list[tuple[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append((self.path, self.headers.get("If-None-Match", "")))
                etag = f'"{hash(site.body)}"'
                if self.path == "/moved":
                    self._head(302, Location="/feed")
                elif self.path == "/loop":
                    self._head(302, Location="/loop")
                elif self.path.startswith("/to/"):
                    self._head(302, Location=self.path.removeprefix("/to/"))
                elif self.path.startswith("/gone"):
                    self._head(410)
                elif self.headers.get("If-None-Match") == etag:
                    self._head(304)
                else:
                    self._head(200, ETag=etag, **{"Content-Type": "application/rss+xml"})
                    self.wfile.write(site.body)

            def _head(self, status: int, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *given: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    """At a free port."""
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[OpinionWriter]:
    """A database for what is remembered."""
    writer = OpinionWriter(tmp_path / "watch.db")
    yield writer
    writer.close()


def looked(url: str, writer: OpinionWriter, *, commits: bool = True, **options: Any) -> list[str]:
    """Titles of one look."""

    async def main() -> list[str]:
        fetcher = Fetcher(**{"allows_private": True, **options})
        titles = []
        async for batch in FeedConnector(url, "wire", FeedStates(writer), fetcher, every=0).batches():
            titles += [item.title for item in batch.items]
            if commits:
                await batch.committed()
        await fetcher.close()
        return titles

    return asyncio.run(main())


def test_a_feed_that_has_not_changed_is_not_read_again_once_its_items_were_committed(
    site: Site, writer: OpinionWriter
) -> None:
    url = f"{site.url}/feed"
    assert len(looked(url, writer, commits=False)) == 3
    assert len(looked(url, writer)) == 3
    assert looked(url, writer) == []
    site.body = ATOM.encode()
    assert looked(url, writer) == ["Atom news"]
    assert [bool(etag) for _, etag in site.seen] == [False, False, True, True]


@pytest.mark.parametrize("address", ["http://a..b/", "http://h:99999/", "http://[::1/", "http://" + "x" * 300 + "/"])
def test_a_redirect_to_what_is_no_address_is_a_fault_of_the_feed(site: Site, address: str) -> None:
    async def main() -> None:
        fetcher = Fetcher(allows_private=True)
        try:
            await fetcher.get(f"{site.url}/to/{address}")
        finally:
            await fetcher.close()

    with pytest.raises(ConnectorError):
        asyncio.run(main())


def test_markup_is_read_in_one_pass_and_signs_of_less_are_none() -> None:
    assert plain_text("<" * 3_000_000).startswith("<")  # hours, where each sign looks for its end
    assert plain_text("<script>" * 1_000_000) == ""
    assert plain_text("<h1>Acme</h1>Margin <5% but growth >3%<style>p { x: 1 }</style>!") == (
        "Acme\nMargin <5% but growth >3%!"
    )


def test_passwords_and_keys_of_an_address_stand_in_no_message(site: Site, writer: OpinionWriter) -> None:
    url = site.url.replace("://", "://me:secret@") + "/gone?key=secret"
    assert looked(url, writer) == []
    (fault,) = feed_faults(writer.database)
    assert fault["url"] == f"{site.url}/gone"
    assert "410" in fault["fault"]
    assert "secret" not in str(fault)


def test_redirects_are_followed_and_not_for_ever(site: Site, writer: OpinionWriter) -> None:
    assert len(looked(f"{site.url}/moved", writer)) == 3
    assert looked(f"{site.url}/loop", writer) == []
    assert looked(f"{site.url}/gone", writer) == []
    assert looked("http://nowhere.invalid/feed", writer) == []
    faults = {row["url"].rsplit("/", 1)[1]: row["fault"] for row in feed_faults(writer.database)}
    assert "redirects more than" in faults["loop"]
    assert "answers 410" in faults["gone"]
    assert "cannot be found" in faults["feed"]


def test_addresses_inside_the_house_and_bodies_without_end_are_refused(site: Site, writer: OpinionWriter) -> None:
    assert looked(f"{site.url}/feed", writer, allows_private=False) == []
    assert "allow_private_addresses" in feed_faults(writer.database)[0]["fault"]
    assert site.seen == []
    assert looked(f"{site.url}/feed", writer, max_bytes=100) == []
    assert "more than 100 bytes" in feed_faults(writer.database)[0]["fault"]


def test_a_feed_in_a_file_is_read(tmp_path: Path, writer: OpinionWriter) -> None:
    file = tmp_path / "feed.xml"
    file.write_text(RSS, encoding="utf-8")
    assert len(looked(str(file), writer)) == 3


def test_a_broken_character_does_not_spoil_a_chinese_feed() -> None:
    feed = RSS.replace("没有日期和编号的一条", "海螺水泥净利增三成")
    for encoding in ("utf-8", "gb18030"):
        told = [item.title for item in entries(feed.encode(encoding), "wire", "feed.xml", now=NOW)[0]]
        assert "海螺水泥净利增三成" in told
    broken = feed.encode().replace("海".encode(), b"\xb3")
    assert any(item.title.endswith("螺水泥净利增三成") for item in entries(broken, "wire", "feed.xml", now=NOW)[0])
    western = RSS.replace("没有日期和编号的一条", "Société").encode("latin-1").replace(b"utf-8", b"iso-8859-1")
    assert "Société" in [item.title for item in entries(western, "wire", "feed.xml", now=NOW)[0]]
