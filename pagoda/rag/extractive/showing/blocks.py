"""A passage made whole: the list, the table or the code that a chunk's edge has cut, from the chunks beside it.

Beside what is shown: hits -> spans -> *passage* -> showing -> Answer. A chunk ends where an embedder's window ends. The
rows of a table without its header, or the steps of a list without the last, would answer by half: so chunks are joined
as far as the block goes on, up to a size that a person reads. Offsets stay those of the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from pagoda.rag.documents.document import Chunk
from pagoda.rag.documents.places import Places
from pagoda.rag.extractive.showing.prose import LEADS_IN, in_code

Beside = Callable[[Chunk], tuple[Chunk | None, Chunk | None]]
"""The chunk before and the chunk after one in its document, None where there is none."""
MOST_CHARACTERS, MOST_CHUNKS = 2400, 2
"""Of a passage; and how many chunks are added on each side."""
_KINDS = (
    ("row", re.compile(r"^[ \t]*\|")),
    ("item", re.compile(r"^[ \t]*(?:[-*+•·‣▪]\s|\d{1,3}[.)、]\s?\D|[（(]?[一二三四五六七八九十\d]{1,3}[）)])")),
    ("code", re.compile(r"^(?: {4,}|\t)\S")),
)


def completed(chunk: Chunk, beside: Beside) -> Chunk:
    """The chunk with those beside it, as far as one block goes on over its edges."""
    whole, first, last = chunk, chunk, chunk
    for _ in range(MOST_CHUNKS):
        before = beside(first)[0]
        if before is None or not _goes_on(before, whole.text) or not _fits(before, whole):
            break
        whole, first = joined(before, whole), before
    for _ in range(MOST_CHUNKS):
        after = beside(last)[1]
        if after is None or not _goes_on(whole, _new_in(after, whole)) or not _fits(whole, after):
            break
        whole, last = joined(whole, after), after
    return whole


def joined(one: Chunk, other: Chunk) -> Chunk:
    """Two chunks that follow one another as one; what lies between them is blank.

    >>> chunk = joined(Chunk("1", "a", "One. Two.", 0, 9, 1), Chunk("2", "a", "Two. Three.", 5, 16, 1))
    >>> chunk.text, chunk.end
    ('One. Two. Three.', 16)
    """
    rest = _new_in(other, one)
    blank = "\n" if _kind(rest.lstrip("\n")) or _ends_in_code(one) else " "
    gap = max(0, other.start - one.end)
    places = Places(
        one.places.pages + other.places.pages,
        one.places.lines + other.places.lines,
        tuple(sorted({*one.places.code, *other.places.code})),
    )
    return replace(
        one,
        text=one.text + ("\n" * gap if gap > 1 else blank * gap) + rest,
        end=max(one.end, other.end),
        sentences=one.sentences + tuple(span for span in other.sentences if span[0] >= one.end),
        places=places,
    )


def _new_in(other: Chunk, one: Chunk) -> str:
    """What a chunk holds behind the end of the one before; chunks take over sentences of one another."""
    return other.text[max(0, one.end - other.start) :]


def _fits(one: Chunk, other: Chunk) -> bool:
    return other.end - one.start <= MOST_CHARACTERS


def _goes_on(one: Chunk, other: str) -> bool:
    """Whether the second text goes on with the block that the first ends in."""
    if _ends_in_code(one):
        return True
    last, first = _lines(one.text)[-1:], _lines(other)[:1]
    if not last or not first:
        return False
    kinds = _kind(last[0]), _kind(first[0])
    return bool(kinds[1]) and (kinds[0] == kinds[1] or LEADS_IN.search(last[0]) is not None)


def _ends_in_code(chunk: Chunk) -> bool:
    return in_code(chunk.text, len(chunk.text), chunk.places.in_code(chunk.start))


def _kind(line: str) -> str:
    """row, item or code; empty for prose."""
    return next((kind for kind, pattern in _KINDS if pattern.match(line)), "")


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]
