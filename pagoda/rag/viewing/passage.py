"""Where a passage stands in a text that says the same in another form.

Beside a question's path, behind the answer: citation -> *place in the document as it is shown*. What was indexed is
the text that a loader made of a file; what a person looks at is the page or the picture of it, whose words are the
same but for those that a loader put in or left out (names of columns, numbers of items, marks). So the passage is
found by its words: by the stretch that holds most of its n-grams, the nearest to where it is expected.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")
_MOST_SIGNS = 8
_CELL = re.compile(r"[^:;\n]{1,80}: (.*)")
# Length of the n-grams -> the least share of the passage's that must be found together: the shorter, the more of them
# stand anywhere by chance.
_ATTEMPTS = ((4, 0.3), (2, 0.4), (1, 0.6))


@dataclass(frozen=True)
class PlacedWord:
    """A word of a text, as it is compared, and the characters that it takes up. A Han character is one."""

    text: str
    start: int
    end: int


def words_of(text: str) -> list[PlacedWord]:
    """All words, in order.

    >>> [word.text for word in words_of("The ﬁrst 会员, 2.5")]
    ['the', 'first', '会', '员', '2', '5']
    """
    return [
        PlacedWord(unicodedata.normalize("NFKC", match[0]).casefold(), match.start(), match.end())
        for match in _WORD.finditer(text)
    ]


def find_passage(text: str, passage: str, expected: float = 0.0) -> tuple[int, int] | None:
    """(start, end) of the characters of `text` that say `passage`; None where nothing resembles it.

    expected: where about it should stand, as a share of the text from 0 to 1; decides between equal places

    >>> find_passage("Item | Price\\ntea | 3 euros, hot", "Item: tea; Price: 3 euros", 0.5)
    (13, 26)
    >>> find_passage("We open at nine.", "Bread costs two euros.") is None
    True
    """
    words, wanted = words_of(text), words_of(passage)
    # A row without the names of its columns, or it would seem to begin at the table's head.
    row = words_of(without_columns(passage))
    if len(row) < len(wanted) and (first := _nearest(words, row, expected)) is not None:
        return words[first].start, words[first + len(row) - 1].end
    names, wanted_names = [word.text for word in words], [word.text for word in wanted]
    for length, least_share in _ATTEMPTS:
        found = _densest(names, wanted_names, length, least_share, expected)
        if found is not None:
            first, last = _extended(names, wanted_names, *found)
            end = words[last - 1].end
            # The same signs at the end belong to it, too.
            signs = zip(text[end : end + _MOST_SIGNS], passage[wanted[-1].end :].rstrip(), strict=False)
            return words[first].start, end + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], signs))
    return None


def without_columns(passage: str) -> str:
    """What the page has of a table's rows, which name their columns in the index; other lines as they are.

    >>> without_columns("Prices: see below\\nItem: tea; Price: 3 euros")
    'Prices: see below\\ntea 3 euros'
    """
    lines = ((line, [_CELL.fullmatch(cell) for cell in line.split("; ")]) for line in passage.split("\n"))
    return "\n".join(
        " ".join(cell[1] for cell in cells if cell) if len(cells) > 1 and all(cells) else line for line, cells in lines
    )


def _nearest(words: Sequence[PlacedWord], wanted: Sequence[PlacedWord], expected: float) -> int | None:
    """Where the words stand one behind the other as they are wanted, nearest to where they should; None if nowhere."""
    names, wanted_names = [word.text for word in words], [word.text for word in wanted]
    size = len(wanted)
    first = wanted_names[:1]
    places = [
        i for i in range(len(names) - size + 1) if names[i : i + 1] == first and names[i : i + size] == wanted_names
    ]
    return min(places, key=lambda place: abs(place / max(1, len(names)) - expected), default=None) if size else None


def _extended(words: Sequence[str], wanted: Sequence[str], first: int, last: int) -> tuple[int, int]:
    """With words of the passage that stand directly before and behind, up to as many as it has."""
    known = set(wanted)
    while first > 0 and last - first < len(wanted) and words[first - 1] in known:
        first -= 1
    while last < len(words) and last - first < len(wanted) and words[last] in known:
        last += 1
    return first, last


def _densest(
    words: Sequence[str], wanted: Sequence[str], length: int, least_share: float, expected: float
) -> tuple[int, int] | None:
    """(first, last + 1) of the words from the first to the last n-gram of the best stretch; None below the share."""
    grams = {tuple(wanted[i : i + length]) for i in range(len(wanted) - length + 1)}
    if not grams:
        return None
    hits = [i for i in range(len(words) - length + 1) if tuple(words[i : i + length]) in grams]
    best, best_key = None, (0, 0.0)
    counts: dict[tuple[str, ...], int] = {}
    last = 0
    for first, hit in enumerate(hits):
        while last < len(hits) and hits[last] + length <= hit + len(wanted):
            gram = tuple(words[hits[last] : hits[last] + length])
            counts[gram] = counts.get(gram, 0) + 1
            last += 1
        key = (len(counts), -abs(hit - expected * len(words)))
        if best is None or key > best_key:
            best, best_key = (hit, hits[max(last, first + 1) - 1] + length), key
        _take_one(counts, tuple(words[hit : hit + length]))
    return best if best_key[0] >= least_share * len(grams) else None


def _take_one(counts: dict[tuple[str, ...], int], gram: tuple[str, ...]) -> None:
    counts[gram] = counts.get(gram, 0) - 1
    if counts[gram] <= 0:
        del counts[gram]
