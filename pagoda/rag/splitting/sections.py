"""Which headings a place of a document stands under.

Second station of a document's path: file -> Document -> sentences -> *Chunks* -> index -> Hits -> answer. A chunk alone
rarely says what its section is about; the headings above it do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from pagoda.rag.documents.document import SECTION_SEPARATOR, Document, Heading, heading_title


class Sections:
    """The sections of one document."""

    def __init__(self, document: Document) -> None:
        self._starts: list[int] = []
        self._paths: list[str] = []
        self._labels: set[int] = set()
        path: list[tuple[Heading, str]] = []
        for heading in document.headings or ():
            title = heading_title(document.text[heading.start : heading.end])
            if not title and not heading.is_label:
                continue
            path = [entry for entry in path if entry[0].level < heading.level]
            if title:
                path.append((heading, title))
                self._labels |= {heading.start} if heading.is_label else set()
            self._starts.append(heading.start)
            self._paths.append(_written(path, document.title))

    def is_label(self, offset: int) -> bool:
        """Whether the name of a part of a section begins at a character."""
        return offset in self._labels

    def path_at(self, offset: int) -> str:
        """The headings above a character, the highest first, that at the character included; "" before the first."""
        found = bisect_right(self._starts, offset)
        return self._paths[found - 1] if found else ""


def _written(path: Sequence[tuple[Heading, str]], title: str) -> str:
    """A label stands beside the heading above it, for alone it says less; not beside the document's title."""
    told = ""
    for place, (heading, name) in enumerate(path):
        is_beside = heading.is_label and place > 0 and path[place - 1][1] != title
        told += f"{': ' if is_beside else SECTION_SEPARATOR}{name}"
    return told.removeprefix(SECTION_SEPARATOR)
