"""Addresses of a model's text: what a source has stays, what it has not goes, and no picture is kept."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.document import Chunk
from pagoda.rag.generative.links import with_own_links
from pagoda.rag.generative.source import Source

TEXT = "Read http://docs.example/a.html or ask."
SOURCES = (Source(1, (Chunk("a", "a.md", TEXT, 0, len(TEXT), 1),), 1.0),)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Read http://docs.example/a.html.", "Read http://docs.example/a.html."),
        ("Read [the docs](http://docs.example/a.html)!", "Read the docs (http://docs.example/a.html)!"),
        ("Read [the docs](http://evil.example/?q=1)!", "Read the docs!"),
        ("Read https://evil.example/log?q=secret now.", "Read  now."),
        ("9 euro ![logo](http://docs.example/a.html)", "9 euro logo"),
        ('9 euro <img src="http://docs.example/a.html">', "9 euro "),
        ('9 <a href="http://evil.example">euro</a>', "9 euro"),
        ("价格见https://evil.example/x，谢谢", "价格见，谢谢"),
        ("a[0] (see below)", "a[0] (see below)"),
    ],
)
def test_only_a_sources_own_addresses_leave(said: str, left: str) -> None:
    assert with_own_links(said, SOURCES) == left
