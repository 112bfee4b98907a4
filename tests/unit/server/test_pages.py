"""Every page is sent as one file: whatever it has in common with others stands in it."""

from __future__ import annotations

from importlib.resources import files

import pytest

from pagoda.server.app import page_text

PIECES = "applications."
NAMES = sorted(page.name for page in (files("pagoda.server") / "page").iterdir() if page.name.endswith(".html"))
PAGES = [name for name in NAMES if not name.startswith(PIECES)]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_file(name: str) -> None:
    text = page_text(files("pagoda.server") / "page" / name)
    assert 'import "' not in text
    symbols = [f'<symbol id="i-{symbol}"' for symbol in ("logo", "new", "sun", "moon", "send")]
    common = ('<dialog id="key-dialog"', "function askForKey(", *symbols)
    for once in ("--ground: #fbfaf7", "function make(tag", "function toggleTheme(", *common):
        assert text.count(once) == 1, once
