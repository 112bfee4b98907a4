"""Places in a sentence: where words stand, which of them overlap, and which count where they do.

First station of a turn, under the rules that look words up: *sentence -> Understanding* -> events -> state -> policy ->
Cypher -> rows -> reply. The longest match counts, as in any lexicon that is held against a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Protocol, TypeVar

Place = tuple[int, int]
"""(start, end) by characters."""
Found = TypeVar("Found")


class Placed(Protocol):
    """Something at a place of a sentence."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...


def overlap(one: Placed, other: Placed) -> bool:
    """Whether two things share a character."""
    return one.start < other.end and other.start < one.end


def longest(found: Iterable[Found], place: Callable[[Found], Place]) -> list[Found]:
    """Of those that overlap the longest, of equals the first that was found; from left to right.

    >>> longest([(0, 2), (1, 4), (4, 5)], lambda each: each)
    [(1, 4), (4, 5)]
    """
    kept: list[tuple[Place, Found]] = []
    placed = [(place(each), each) for each in found]
    for (start, end), each in sorted(placed, key=lambda pair: pair[0][0] - pair[0][1]):
        if all(end <= other[0] or other[1] <= start for other, _ in kept):
            kept.append(((start, end), each))
    return [each for _, each in sorted(kept, key=lambda pair: pair[0][0])]


def mentions(text: str, word: str) -> bool:
    """Whether the word stands in the text; a Latin one only as a whole.

    >>> mentions("电话是多少", "电话"), mentions("a rated place", "rate")
    (True, False)
    """
    return word_pattern(word).search(text) is not None


@lru_cache(4096)
def word_pattern(word: str) -> re.Pattern[str]:
    """Finds a word, in capitals or not; a Latin one only as a whole."""
    pattern = re.escape(word)
    return re.compile(rf"(?<!\w){pattern}(?!\w)" if word.isascii() else pattern, re.IGNORECASE)


def places_of(text: str, word: str) -> Iterator[Place]:
    """(start, end) of each place where the word stands in the text; a Latin one only as a whole."""
    # Most words stand nowhere in a text: a search without a pattern is far cheaper.
    if word.lower() in text.lower():
        yield from (match.span() for match in word_pattern(word).finditer(text))
