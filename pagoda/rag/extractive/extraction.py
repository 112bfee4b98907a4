"""What the extractive answerer comes to: the words that answer, and the places that are shown.

On a question's path: question -> Hits -> spans -> *extraction* -> Answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.showing.station import Kind, Span


@dataclass(frozen=True)
class Place:
    """What is shown of one hit. quote, marked: characters of the document, what is shown and what in it answers.

    chunk: the hit's own, or joined with those beside it
    """

    hit_index: int
    chunk: Chunk
    quote: Span
    marked: Span


@dataclass(frozen=True)
class Extraction:
    """What answers, or would answer if it were sure enough.

    text: the words that the reader found, characters start to end of the document
    hit_index: the hit they stand in; -1 where nothing could be read, and then `text` is empty
    kind: how much is shown of it; places: what is shown, the likeliest first; more than one only of passages
    An abstained extraction still has its best words.
    """

    text: str
    start: int
    end: int
    hit_index: int
    kind: Kind
    places: tuple[Place, ...]
    confidence: float
    abstained: bool


NOTHING = Extraction("", 0, 0, -1, "passage", (), 0.0, True)
