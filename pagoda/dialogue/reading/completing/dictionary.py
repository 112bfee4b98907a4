"""Chinese words by their part of speech, as jieba's dictionary (MIT) has them; none where it is not installed.

First station of a turn, beside `leftovers` and `foreign`: the one file from which both know places and nouns.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources

LONGEST = 5
"""Characters of a word that is looked for."""


def places() -> frozenset[str]:
    """Names of places of two to five characters."""
    return _of("ns")


def nouns() -> frozenset[str]:
    """Common nouns of two to five characters."""
    return _of("n", "nz", "vn")


def verbs() -> frozenset[str]:
    """Verbs of two to five characters, which before a noun say what it is for: 退款电话."""
    return _of("v")


def nouns_in(words: str) -> Iterator[str]:
    """Common nouns that stand in a run of Chinese characters, the longest first from the left."""
    return (words[start:end] for start, end in spans_in(words, nouns()))


def spans_in(text: str, known: frozenset[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of known words that stand in a text, the longest first from the left; none overlap."""
    start = 0
    while start < len(text):
        ends = range(min(len(text), start + LONGEST), start + 1, -1)
        end = next((end for end in ends if text[start:end] in known), 0)
        if end:
            yield start, end
        start = end or start + 1


@functools.cache
def _of(*tags: str) -> frozenset[str]:
    return frozenset().union(*(_tagged().get(tag, ()) for tag in tags))


@functools.cache
def _tagged() -> dict[str, frozenset[str]]:
    """Part of speech -> its words; the file has five megabytes, and is read once."""
    try:
        held = resources.files("jieba").joinpath("dict.txt").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        return {}
    found = defaultdict[str, set[str]](set)
    for word, tag in re.findall(rf"^(\S{{2,{LONGEST}}}) \d+ (ns|nz|n|vn|v)$", held, re.MULTILINE):
        found[tag].add(word)
    return {tag: frozenset(words) for tag, words in found.items()}
