"""A document put together block by block, where its format is no text of its own.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. Loaders hand over what they
find, in the order of reading; here it becomes one text with a blank line between blocks, and each block keeps its page
or line of the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pagoda.rag.documents.document import Document, Heading, Metadata
from pagoda.rag.documents.places import Mark, Places

BETWEEN = "\n\n"
"""Between two blocks, so that no sentence is read across them."""


class Composition:
    """Collects the blocks of a document.

    max_characters: of the whole; more is what a small file should not unpack to, and raises ValueError
    """

    def __init__(self, max_characters: int = sys.maxsize) -> None:
        self._max_characters = max_characters
        self._parts: list[str] = []
        self._pages: list[Mark] = []
        self._lines: list[Mark] = []
        self._length = 0
        self._headings: list[Heading] = []
        self.first_heading = ""

    def add(
        self,
        text: str,
        *,
        page: int | None = None,
        line: int | None = None,
        is_heading: bool = False,
        level: int = 1,
    ) -> None:
        """One block: a paragraph, a heading, a row of a table; blank ones are passed over. level: of a heading."""
        text = text.strip()
        if not text:
            return
        if self._length + len(text) > self._max_characters:
            raise ValueError(f"holds more than {self._max_characters:,} characters")
        if self._parts:
            self._length += len(BETWEEN)
        for marks, number in ((self._pages, page), (self._lines, line)):
            if number is not None and (not marks or marks[-1][1] != number):
                marks.append((self._length, number))
        if is_heading:
            self.first_heading = self.first_heading or text
            self._headings.append(Heading(self._length, self._length + len(text), level))
        self._parts.append(text)
        self._length += len(text)

    def add_all(self, texts: Iterable[str], *, page: int | None = None) -> None:
        """Several blocks of one page."""
        for text in texts:
            self.add(text, page=page)

    def document(
        self,
        source: str,
        title: str = "",
        metadata: Metadata | None = None,
        warnings: Iterable[str] = (),
    ) -> Document:
        """What was collected. title: what the file says of itself; without one the first heading is it."""
        return Document(
            source=source,
            text=BETWEEN.join(self._parts),
            title=title or self.first_heading,
            places=Places(tuple(self._pages), tuple(self._lines)),
            metadata=dict(metadata or {}),
            headings=tuple(self._headings) or None,
            warnings=tuple(warnings),
        )
