"""Notes at the foot of a page, put before the paragraph that they would cut in two.

First station of a document's path, third step: PDF -> lines -> without furniture -> *notes in their place* ->
paragraphs -> Document. A sentence that crosses a page would be read with the notes of the first page in its middle.
They stay on their page, so that a citation of either names the right one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from pagoda.rag.documents.pdf.lines import Line

_MARK = re.compile(r"(?:\d{1,3}|[*†‡§¶]{1,3}|[a-z])(?:[.)\]]?\s?\S|$)")
# Of the usual size: letters of a note are smaller.
_SMALLER = 0.94


def with_notes_first(
    pages: Sequence[Sequence[Line]], goes_on: Callable[[Line, Line, int, bool], bool]
) -> list[list[Line]]:
    """The lines of each page; where its text goes on overleaf, its notes stand before the paragraph that does.

    goes_on: of two lines that follow one another, the number (from 0) of the second one's page, and whether it is
        another page than the first one's: whether the second goes on in the paragraph of the first
    """
    sizes = Counter(line.size for lines in pages for line in lines for _ in line.text)
    usual = sizes.most_common(1)[0][0] if sizes else 0.0
    found: list[list[Line]] = []
    for number, lines in enumerate(pages):
        num_body = len(lines) - _num_notes(lines, usual)
        body, notes = list(lines[:num_body]), list(lines[num_body:])
        overleaf = pages[number + 1][:1] if number + 1 < len(pages) else ()
        if not notes or not overleaf or not goes_on(body[-1], overleaf[0], number + 1, True):
            found.append(list(lines))
            continue
        start = len(body) - 1
        while start > 0 and goes_on(body[start - 1], body[start], number, False):
            start -= 1
        found.append([*body[:start], *notes, *body[start:]])
    return found


def _num_notes(lines: Sequence[Line], usual: float) -> int:
    """How many of the last lines are notes: small, below all others, and the first of them begins with a mark."""
    count = 0
    while count < len(lines) and lines[-1 - count].size < _SMALLER * usual:
        count += 1
    notes, body = lines[len(lines) - count :], lines[: len(lines) - count]
    if not notes or not body or not _MARK.match(notes[0].text):
        return 0
    return count if max(line.top for line in notes) <= min(line.bottom for line in body) + usual else 0
