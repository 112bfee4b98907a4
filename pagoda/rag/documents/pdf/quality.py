"""Whether the text of a PDF is what a reader sees, as far as its letters tell.

First station of a document's path: PDF -> lines -> without furniture -> paragraphs -> *Document*. Fonts may name their
glyphs wrongly or not at all, letters may be spaced or glued, pages may be pictures: the text is taken as it is then,
and the person who indexes it is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")
# Controls, the private area and the mark for what could not be read.
_NO_LETTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ue000-\uf8ff\ufffd]")
_LONGEST_WORD, _MOST_GLUED, _MOST_SPACED, _MOST_UNREADABLE, _MIN_WORDS = 30, 0.02, 0.5, 0.02, 50


def quality_warnings(text: str) -> list[str]:
    """What seems wrong with a text, one sentence each.

    >>> quality_warnings("A plain text. " * 40)
    []
    >>> quality_warnings("thewordsofthispagearegluedtogetherbyitsproducer and more " * 40)[0][:50]
    'has words glued together (87 % of its letters): if'
    """
    words = _WORD.findall(text)
    letters = sum(map(len, words)) or 1
    advice = "if answers from it look wrong, export it anew or run text recognition (OCR) over it"
    found = []
    glued = sum(len(word) for word in words if len(word) > _LONGEST_WORD) / letters
    if len(words) >= _MIN_WORDS and glued > _MOST_GLUED:
        found.append(f"has words glued together ({100 * glued:.0f} % of its letters): {advice}")
    spaced = sum(len(word) == 1 for word in words) / (len(words) or 1)
    if len(words) >= _MIN_WORDS and spaced > _MOST_SPACED:
        found.append(f"has blanks between its letters: {advice}")
    unreadable = len(_NO_LETTER.findall(text)) / (sum(map(len, text.split())) or 1)
    if unreadable > _MOST_UNREADABLE:
        found.append(f"has fonts that do not say their letters ({100 * unreadable:.0f} % of the text): {advice}")
    return found


def page_list(numbers: Sequence[int]) -> str:
    """Page numbers as a person writes them.

    >>> page_list([2, 3, 4, 9])
    '2-4, 9'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
