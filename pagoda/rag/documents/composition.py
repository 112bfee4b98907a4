"""A document put together block by block, where its format is no text of its own.

Beside the first station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. What loaders
that convert a file have in common: they hand over what they find, in the order of reading; here it becomes one text
with a blank line between blocks, and each block keeps its page or line of the file.
"""

from __future__ import annotations

from collections.abc import Iterable

from pagoda.rag.documents.document import Document, Heading, Metadata
from pagoda.rag.documents.places import Mark, Places
from pagoda.rag.errors import LoadError

BETWEEN = "\n\n"
"""Between two paragraphs, so that no sentence is read across them."""


class Composition:
    """Collects the blocks of a document.

    max_characters: of the whole, where a small file could unpack to more; adding beyond raises LoadError
    """

    def __init__(self, max_characters: int | None = None) -> None:
        self._max_characters = max_characters
        self._parts: list[str] = []
        self._pages: list[Mark] = []
        self._lines: list[Mark] = []
        self._headings: list[Heading] = []
        self._listings: list[tuple[int, int]] = []
        self._warnings: list[str] = []
        self._length = 0
        self._title = ""

    def add(
        self, text: str, *, page: int | None = None, line: int | None = None, level: int = 0, is_listing: bool = False
    ) -> None:
        """One block, a paragraph or a row of a table; blank ones are passed over.

        page, line: of the file, counted from 1; level: of a heading, 1 the highest, 0 for what is none
        is_listing: whether each line stands for itself
        """
        text = text.strip("\n") if is_listing else text.strip()
        if not text.strip():
            return
        start = self._append(text)
        for marks, number in ((self._pages, page), (self._lines, line)):
            if number is not None and (not marks or marks[-1][1] != number):
                marks.append((start, number))
        if level:
            self._headings.append(Heading(start, self._length, level))
            self._title = self._title or text
        if is_listing:
            self._listings.append((start, self._length))

    def add_all(self, texts: Iterable[str], *, page: int | None = None) -> None:
        """Several blocks of one page."""
        for text in texts:
            self.add(text, page=page)

    def add_document(self, document: Document) -> None:
        """A document of its own that this one holds: its text with its headings and listings."""
        if document.text.strip():
            start = self._append(document.text.rstrip())
            self._title = self._title or document.title
            self._headings += [
                Heading(start + heading.start, start + heading.end, heading.level)
                for heading in document.headings or ()
            ]
            self._listings += [(start + first, start + last) for first, last in document.listings]
            self._warnings += document.warnings

    def document(
        self, source: str, title: str = "", metadata: Metadata | None = None, warnings: Iterable[str] = ()
    ) -> Document:
        """All of it. title: what the file says of itself; without one the first heading is it."""
        return Document(
            source=source,
            text=BETWEEN.join(self._parts),
            title=title or self._title,
            places=Places(tuple(self._pages), tuple(self._lines)),
            metadata=dict(metadata or {}),
            # Without one, words have to tell.
            headings=tuple(self._headings) or None,
            listings=tuple(self._listings),
            warnings=tuple(dict.fromkeys((*self._warnings, *warnings))),
        )

    def _append(self, text: str) -> int:
        """Where it begins."""
        start = self._length + (len(BETWEEN) if self._parts else 0)
        self._parts.append(text)
        self._length = start + len(text)
        if self._max_characters is not None and self._length > self._max_characters:
            raise LoadError(f"unpacks to more than {self._max_characters:,} characters: split it")
        return start
