"""Which headings a place of a document stands under.

Second station of a document's path: file -> Document -> sentences -> *Chunks* -> index -> Hits -> answer. A chunk alone
rarely says what its section is about; the headings above it do.
"""

from __future__ import annotations

from bisect import bisect_right

from pagoda.rag.documents.document import SECTION_SEPARATOR, Document, heading_title


class Sections:
    """The sections of one document."""

    def __init__(self, document: Document) -> None:
        self._starts: list[int] = []
        self._paths: list[str] = []
        path: list[tuple[int, str]] = []
        for heading in document.headings or ():
            title = heading_title(document.text[heading.start : heading.end])
            if not title:
                continue
            path = [entry for entry in path if entry[0] < heading.level]
            path.append((heading.level, title))
            self._starts.append(heading.start)
            self._paths.append(SECTION_SEPARATOR.join(title for _, title in path))

    def path_at(self, offset: int) -> str:
        """The headings above a character, the highest first, that at the character included; "" before the first."""
        found = bisect_right(self._starts, offset)
        return self._paths[found - 1] if found else ""
