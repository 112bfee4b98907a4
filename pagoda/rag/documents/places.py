"""Where the characters of a text stand in the file that it was read from: on which page, in which line.

Beside a document's path: file -> *Document -> Chunks* -> index -> Hits -> *answer*. A loader that converts a file knows
where each stretch came from and says it here once; chunks take their part along, so that a citation names the page of
the words that it quotes, not that of the chunk around them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

Mark = tuple[int, int]
"""(offset, number): from this character of the document on, it is this page or this line."""


@dataclass(frozen=True)
class Places:
    """Pages and lines by the offset of a character; marks are sorted, and each holds until the next.

    pages: counted from 1, of formats that have pages (slides, sheets); empty where there are none
    lines: of the file, counted from 1; empty where the text has the lines of the file, so that they can be counted
    code: 1 behind the fence that opens a block of code, 0 behind the one that closes it, for a chunk may begin in one
    """

    pages: tuple[Mark, ...] = ()
    lines: tuple[Mark, ...] = ()
    # What of it a document's hash needs, its listings say.
    code: tuple[Mark, ...] = field(default=(), repr=False)

    @classmethod
    def from_pages(cls, starts: Sequence[int]) -> Places:
        """Of a text whose pages follow one another, each beginning at one of `starts`.

        >>> Places.from_pages([0, 4]).page_at(5)
        2
        """
        return cls(pages=tuple((start, number) for number, start in enumerate(starts, start=1)))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Iterable[Sequence[int]]]) -> Places:
        """What `dataclasses.asdict` made of one, by way of JSON or not.

        >>> Places.from_dict({"pages": [[0, 1]], "lines": []})
        Places(pages=((0, 1),), lines=())
        """
        marks = {name: tuple((start, number) for start, number in pairs) for name, pairs in fields.items()}
        return cls(**marks)

    def page_at(self, offset: int) -> int | None:
        """The page of a character; None where there are no pages."""
        return _number_at(self.pages, offset)

    def line_at(self, offset: int) -> int | None:
        """The line of a character; None where it has to be counted in the text."""
        return _number_at(self.lines, offset)

    def in_code(self, offset: int) -> bool:
        """Whether a character stands in a fenced block of code or in the fence that closes it.

        >>> fence = Places(code=((4, 1), (20, 0)))
        >>> [fence.in_code(offset) for offset in (3, 4, 19, 20)]
        [False, True, True, False]
        """
        return bool(self.code) and offset >= self.code[0][0] and bool(_number_at(self.code, offset))

    def within(self, start: int, end: int) -> Places:
        """What the characters from `start` to `end` need of it.

        >>> Places(((0, 1), (4, 2), (9, 3)), ((0, 7),)).within(5, 10)
        Places(pages=((4, 2), (9, 3)), lines=((0, 7),))
        """
        return Places(*(_within(marks, start, end) for marks in (self.pages, self.lines, self.code)))


AS_WRITTEN = Places()
"""Of a text that is its file, line by line, and has no pages."""


def line_starts(lines: Iterable[str]) -> list[int]:
    """Where each line begins in the text that they make, joined by "\\n", and where one more would begin.

    >>> line_starts(["ab", "", "c"])
    [0, 3, 4, 6]
    """
    return list(accumulate((len(line) + 1 for line in lines), initial=0))


def _number_at(marks: tuple[Mark, ...], offset: int) -> int | None:
    if not marks:
        return None
    # What stands before the first mark belongs to it: blanks that a loader put there.
    return marks[max(0, bisect_right(marks, offset, key=_offset) - 1)][1]


def _within(marks: tuple[Mark, ...], start: int, end: int) -> tuple[Mark, ...]:
    first = max(0, bisect_right(marks, start, key=_offset) - 1)
    return marks[first : max(first + 1, bisect_right(marks, end - 1, key=_offset))]


def _offset(mark: Mark) -> int:
    return mark[0]
