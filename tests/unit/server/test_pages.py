"""Every page is sent as one file: whatever it has in common with others stands in it."""

from __future__ import annotations

from importlib.resources import files

import pytest

from pagoda.server.app import page_text

PAGES = sorted(page.name for page in (files("pagoda.server") / "page").iterdir() if page.name.endswith(".html"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_file(name: str) -> None:
    text = page_text(files("pagoda.server") / "page" / name)
    assert 'import "' not in text
    for once in ("--ground: #fbfaf7", "function make(tag", "function toggleTheme("):
        assert text.count(once) == 1, once
