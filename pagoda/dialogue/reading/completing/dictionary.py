"""Chinese words by their part of speech, as jieba's dictionary (MIT) has them; none where it is not installed.

First station of a turn, beside `leftovers` and `foreign`: the one file from which both know places and nouns.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
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


@functools.cache
def verbs() -> frozenset[str]:
    """Verbs of two to five characters, which before a noun say what it is for: 退款电话."""
    return _tagged("v")


def nouns_in(words: str) -> Iterator[str]:
    """Common nouns that stand in a run of Chinese characters, the longest first from the left."""
    start = 0
    while start < len(words):
        ends = range(min(len(words), start + _LONGEST), start + 1, -1)
        end = next((end for end in ends if words[start:end] in nouns()), 0)
        if end:
            yield words[start:end]
        start = end or start + 1


def _tagged(tags: str) -> frozenset[str]:
    try:
        held = resources.files("jieba").joinpath("dict.txt").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        return frozenset()
    return frozenset(re.findall(rf"^(\S{{2,{_LONGEST}}}) \d+ (?:{tags})$", held, re.MULTILINE))
