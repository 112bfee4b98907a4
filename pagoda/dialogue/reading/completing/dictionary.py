"""Chinese words by their part of speech, as jieba's dictionary (MIT) has them; none where it is not installed.

First station of a turn, beside `leftovers` and `foreign`: the one file from which both know places and nouns.
"""

from __future__ import annotations

import functools
import re
from importlib import resources

_LONGEST = 5


@functools.cache
def places() -> frozenset[str]:
    """Names of places of two to five characters."""
    return _tagged("ns")


@functools.cache
def nouns() -> frozenset[str]:
    """Common nouns of two to five characters."""
    return _tagged("n|nz|vn")


def _tagged(tags: str) -> frozenset[str]:
    try:
        held = resources.files("jieba").joinpath("dict.txt").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        return frozenset()
    return frozenset(re.findall(rf"^(\S{{2,{_LONGEST}}}) \d+ (?:{tags})$", held, re.MULTILINE))
