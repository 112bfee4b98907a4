"""A page's text as it is put together: words, gaps between them, listings, headings, and the line that each stands in.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer.
"""

from __future__ import annotations

import re

from pagoda.rag.documents.composition import BETWEEN
from pagoda.rag.documents.document import Document, Heading
from pagoda.rag.documents.markup.tree import LINE_CLOSE, LINE_OPEN
from pagoda.rag.documents.places import Mark, Places

_TOKEN = re.compile(f"{LINE_OPEN}(\\d+){LINE_CLOSE}|[^\\s{LINE_OPEN}]+|\\s+")
_LINE = re.compile(f"{LINE_OPEN}(\\d+){LINE_CLOSE}")
_ANCHOR = re.compile(r"\s*[¶§#]$")


class TextWriter:
    """Takes a page in its order. line: of the file, where it begins."""

    def __init__(self, line: int = 1) -> None:
        self.line = line
        self._parts: list[str] = []
        self._length = 0
        self._gap = ""
        self._is_joined = False
        self._prefix = ""
        self._marks: list[Mark] = []
        self._headings: list[Heading] = []
        self._listings: list[tuple[int, int]] = []

    def words(self, text: str) -> None:
        """Words of a line; blanks and new lines in them are one blank."""
        for match in _TOKEN.finditer(text):
            if match[1]:
                self.line = int(match[1])
                self._gap = self._gap or " "
            elif match[0].isspace():
                self._gap = self._gap or " "
            else:
                self._put(match[0])

    def begin_with(self, text: str) -> None:
        """What the next words begin with, such as an item's number, wherever they stand."""
        self._prefix = text

    def end_line(self) -> None:
        """What follows begins a new line of the same paragraph."""
        if BETWEEN not in self._gap and not self._is_joined:
            self._gap = "\n"

    def end_block(self) -> None:
        """What follows is another paragraph."""
        if not self._is_joined:
            self._gap = BETWEEN

    def join(self, by: str) -> None:
        """What follows goes on in the same line, though it is another paragraph of the page."""
        if self._length:
            self._gap, self._is_joined = by, True

    def listing(self, text: str) -> None:
        """Lines that stay as they are."""
        lines, numbers = self._numbered_lines(text)
        last_line = self.line
        while lines and not lines[0].strip():
            lines, numbers = lines[1:], numbers[1:]
        while lines and not lines[-1].strip():
            lines, numbers = lines[:-1], numbers[:-1]
        if not lines:
            return
        self._gap, self._is_joined = BETWEEN, False
        start = self._length + (len(BETWEEN) if self._length else 0)
        for line, number in zip(lines, numbers, strict=True):
            self.line = number
            self._put(line)
            self._gap = "\n"
        self._listings.append((start, self._length))
        # Behind the blank lines that it ended in.
        self._gap, self.line = BETWEEN, last_line

    def heading(self, level: int, writer: TextWriter) -> None:
        """A line that heads what follows; `writer` took its words."""
        title = _ANCHOR.sub("", writer.flat())
        if title:
            self.paragraph(title, writer.first_line)
            self._headings.append(Heading(self._length - len(title), self._length, level))
        self.line = writer.line

    def paragraph(self, text: str, line: int) -> None:
        """A paragraph of its own."""
        if text:
            self._gap, self._is_joined, self.line = BETWEEN, False, line
            self._put(text)
            self._gap = BETWEEN

    def flat(self) -> str:
        """All of it in one line."""
        return " ".join("".join(self._parts).split())

    @property
    def first_line(self) -> int:
        """Where the first of its words stands."""
        return self._marks[0][1] if self._marks else self.line

    def document(self) -> Document:
        """All of it; the title is its first heading."""
        text = "".join(self._parts)
        return Document(
            source="",
            text=text,
            title=next((text[heading.start : heading.end] for heading in self._headings), ""),
            places=Places(lines=tuple(self._marks)),
            headings=tuple(self._headings),
            listings=tuple(self._listings),
        )

    def _put(self, text: str) -> None:
        text, self._prefix = self._prefix + text, ""
        gap = self._gap if self._length else ""
        self._gap, self._is_joined = "", False
        self._length += len(gap)
        if not self._marks or self._marks[-1][1] != self.line:
            self._marks.append((self._length, self.line))
        self._parts += [gap, text]
        self._length += len(text)

    def _numbered_lines(self, text: str) -> tuple[list[str], list[int]]:
        lines: list[str] = []
        numbers: list[int] = []
        for part in text.split("\n"):
            if match := _LINE.search(part):
                self.line = int(match[1])
            lines.append(_LINE.sub("", part).rstrip())
            numbers.append(self.line)
        return lines, numbers
