"""What an extractive answer comes to: the words that answer, and the places of the documents that are shown.

End of a question's path without a generating model: question -> Hits -> spans -> *extraction* -> Answer; `extractor`
makes it, `answerer` cites it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.showing.blocks import Beside, completed
from pagoda.rag.extractive.showing.station import Kind, Showing, Span


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


def place_of(index: int, chunk: Chunk, showing: Showing) -> Place:
    """In the document's characters."""
    quote, marked = ((chunk.start + left, chunk.start + right) for left, right in (showing.place, showing.marked))
    return Place(index, chunk, quote, marked)


def whole_place(place: Place, beside: Beside | None) -> Place:
    """A passage with all of the list, the table or the code at its edges."""
    if beside is None:
        return place
    chunk = completed(place.chunk, beside)
    return replace(place, chunk=chunk, quote=(chunk.start, chunk.end))


def distinct_places(places: Sequence[Place]) -> list[Place]:
    """Without those whose words the ones before hold."""
    kept: list[Place] = []
    for place in places:
        start, end = place.quote
        held = (k for k in kept if k.chunk.source == place.chunk.source)
        if not any(k.quote[0] <= start and end <= k.quote[1] for k in held):
            kept.append(place)
    return kept


def part_of(chunk: Chunk, start: int, end: int) -> Chunk:
    """A sentence of a chunk, characters start to end of it, as a chunk of its own."""
    first, last = chunk.start + start, chunk.start + end
    return replace(chunk, text=chunk.text[start:end], start=first, end=last, sentences=((first, last),))
