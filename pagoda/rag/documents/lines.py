"""A text that is put together from paragraphs, each of which stands in some line of the file.

Beside the first station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. What loaders
that convert a file have in common.
"""

from __future__ import annotations

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.places import Mark, Places

BETWEEN = "\n\n"
"""Between two paragraphs, so that no sentence is read across them."""


class Paragraphs:
    """Paragraphs in their order, with the lines where they begin."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._marks: list[Mark] = []
        self._length = 0

    def add(self, text: str, line: int) -> None:
        """One more; nothing where it has no text. line: of the file, counted from 1."""
        if text.strip():
            self._texts.append(text)
            self._marks.append((self._length, line))
            self._length += len(text) + len(BETWEEN)

    def document(self, source: str, title: str = "") -> Document:
        """All of them."""
        return Document(source, BETWEEN.join(self._texts), title, Places(lines=tuple(self._marks)), headings=())
