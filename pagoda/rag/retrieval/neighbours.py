"""The chunks before and behind a chunk in its document.

Beside a question's path: question -> Hits -> *what stands around a hit* -> answerer -> Answer. A hit is as long as its
embedder's window, not as the table or the list that it is cut from.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from pagoda.rag.documents.document import Chunk


class Neighbours:
    """Of the chunks of one snapshot. Never changes; threads may share it."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks

    def beside(self, chunk: Chunk) -> tuple[Chunk | None, Chunk | None]:
        """The one before and the one after, None where the document begins or ends, or the chunk is unknown.

        >>> chunks = [Chunk("1", "a", "One.", 0, 4, 1), Chunk("2", "a", "Two.", 5, 9, 1), Chunk("3", "b", "", 0, 0, 1)]
        >>> before, after = Neighbours(chunks).beside(chunks[1])
        >>> before.text, after
        ('One.', None)
        """
        row = self._rows.get(chunk.chunk_id)
        return (None, None) if row is None else (self._of(row - 1, chunk.source), self._of(row + 1, chunk.source))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {chunk.chunk_id: row for row, chunk in enumerate(self._chunks)}

    def _of(self, row: int, source: str) -> Chunk | None:
        inside = 0 <= row < len(self._chunks) and self._chunks[row].source == source
        return self._chunks[row] if inside else None
