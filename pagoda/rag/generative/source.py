"""A numbered source of the prompt: what a model reads, and a sentence of its answer leans on.

On a question's path: question -> Hits -> *sources* -> prompt -> model -> checked Answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.rag.documents.document import Chunk


@dataclass(frozen=True)
class Source:
    """A source of the prompt: chunks of one document that touch, in its order. number: as [n] refers to it."""

    number: int
    chunks: tuple[Chunk, ...]
    score: float
    max_characters: int | None = None

    @property
    def file(self) -> str:
        """Its document."""
        return self.chunks[0].source

    @property
    def text(self) -> str:
        """What the model reads of it, before it is neutralised.

        >>> a, b = Chunk("1", "x", "One. Two.", 0, 9, 1), Chunk("2", "x", "Two. Three.", 5, 16, 1)
        >>> Source(1, (a, b), 0.0).text
        'One. Two. Three.'
        """
        text, end = "", self.chunks[0].start
        for chunk in self.chunks:
            # Chunks of a document overlap by a sentence.
            text += ("\n" if text and chunk.start > end else "") + chunk.text[max(0, end - chunk.start) :]
            end = max(end, chunk.end)
        return text if self.max_characters is None else text[: self.max_characters]
