"""The stretches of a text that no sentence crosses: paragraphs, headings, items, rows of tables, lines of code.

Second station of a document's path: file -> Document -> *blocks -> sentences* -> Chunks -> index -> Hits -> answer. A
loader whose format marks headings and listings says where they are, and then nothing else is taken for one: a shell's
prompt and a comment look like a heading of Markdown. A text without marks has headings that their words give away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pagoda.rag.documents.document import Heading

Span = tuple[int, int]


class Block(NamedTuple):
    """Characters from `start` to `end`. opens_section: it is a heading."""

    start: int
    end: int
    opens_section: bool = False


_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•·‣▪]\s|\d{1,3}[.)]\s|[a-z]\)\s|[（(]?[一二三四五六七八九十\d]{1,3}[）、])")
_HEADING = re.compile(r"[ \t]*第[一二三四五六七八九十百零\d]{1,5}[章节節条條编編部]")
_TABLE_ROW = re.compile(r"[ \t]*\||[^|\n]*?\s\|\s")
# A line that was broken by its writer's right margin is at least so wide; Han characters count twice.
_WRAP_WIDTH = 50


def blocks(text: str, headings: Sequence[Heading] | None = None, listings: Sequence[Span] = ()) -> Iterator[Block]:
    """In order, each character in one.

    headings: where the format marks them; None where they have to be told by their words
    listings: where each line stands for itself

    >>> text = "Stop it:\\n# halt\\nDone"
    >>> [text[block.start : block.end] for block in blocks(text, (), [(9, 16)])]
    ['Stop it:\\n', '# halt\\n', 'Done']
    """
    marked = [Block(heading.start, heading.end, True) for heading in headings or ()]
    marked += [Block(start, end) for start, end in listings]
    offset = 0
    for block in sorted(marked):
        if block.start < offset:
            continue
        yield from _prose(text, offset, block.start, by_words=headings is None)
        if block.opens_section:
            yield block
        else:
            yield from (Block(*line.span()) for line in _LINE.finditer(text, block.start, block.end))
        offset = block.end
    yield from _prose(text, offset, len(text), by_words=headings is None)


def _prose(text: str, first: int, end: int, *, by_words: bool) -> Iterator[Block]:
    start = first
    previous = ""
    for match in _LINE.finditer(text, first, end):
        line = match[0]
        if start < match.start() and _starts_block(previous, line):
            yield Block(start, match.start(), by_words and _HEADING.match(text, start) is not None)
            start = match.start()
        previous = line
    if start < end:
        yield Block(start, end, by_words and _HEADING.match(text, start) is not None)


def _starts_block(previous: str, line: str) -> bool:
    """Whether a line begins something new, or goes on where the right margin broke the line before it."""
    if not line.strip() or not previous.strip():
        return True
    if any(pattern.match(line) for pattern in (_LIST_ITEM, _HEADING, _TABLE_ROW)):
        return True
    if _HEADING.match(previous) or _TABLE_ROW.match(previous):
        return True
    return _width(previous.strip()) < _WRAP_WIDTH and not line.lstrip()[:1].islower()


def _width(line: str) -> int:
    return len(line) + sum(character >= "\u2e80" for character in line)


def lstripped(text: str, start: int, end: int) -> int:
    """The first character that is no blank."""
    while start < end and text[start].isspace():
        start += 1
    return start


def rstripped(text: str, start: int, end: int) -> int:
    """The end of the last character that is no blank."""
    while start < end and text[end - 1].isspace():
        end -= 1
    return end
