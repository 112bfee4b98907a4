"""The lines of a PDF's pages, each with the place and the look that tell what it belongs to.

First station of a document's path, first step: *PDF -> lines* -> without furniture -> paragraphs -> Document. PDFium
(the reader of Chrome, through pypdfium2) tells words apart by the gaps between their glyphs, so that none are glued
together; it keeps the order in which the page was written, which is the order of reading also in columns.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

# PDFium's mark for a hyphen that the end of a line made; what a line's end is told by.
_HYPHEN = "\ufffe"
_LINE = re.compile(rf"[^\r\n{_HYPHEN}]+{_HYPHEN}?|{_HYPHEN}")
_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
    # Bullets of symbol fonts, which have no character of their own; what is not to be seen.
    | {"\uf0b7": "•", "\uf0a7": "▪", "\u00ad": "", "\u200b": "", "\ufeff": "", "\x00": "", "\x02": "-"}
)
# "1.2 Title . . . . . . 7": the dots lead the eye of a reader and nobody else.
_LEADER = re.compile(r"(?:\s?[.…·]){4,}\s*")
_BLANKS = re.compile(r"[ \t\xa0]+")
_FIXED_PITCH = 1
_CODE_FONT = re.compile(r"mono|courier|consol|typewriter|cmtt|tt\d+$|menlo", re.IGNORECASE)
_NUM_SAMPLES = 5
# Of the letters' size: a gap between two words is more, one between touching letters less. Of a line's gaps: if more
# are so wide, words are not told so.
_WORD_GAP, _TOUCHING, _MOST_WIDE = 0.15, 0.05, 0.3
_NO_BLANKS = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Line:
    """A line of a page.

    left, right, bottom, top: in points as the page is shown, from its lower left corner; size: of its letters
    is_code: whether it is set in letters of one width; breaks_word: whether its hyphen is one that the line's end made
    is_alone: whether it belongs to none of its neighbours
    """

    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float
    is_code: bool = False
    breaks_word: bool = False
    is_alone: bool = False


@dataclass(frozen=True)
class Page:
    """The lines of a page in the order of reading. has_picture: whether an image could hold what the lines do not."""

    lines: tuple[Line, ...]
    width: float
    height: float
    has_picture: bool = False


def read_page(page: Any) -> Page:
    """The lines of a page of pypdfium2."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        glyphs = _Glyphs(textpage, _turned(page.get_rotation(), width, height))
        lines = tuple(glyphs.lines())
    finally:
        textpage.close()
    has_picture = not lines and any(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3))
    return Page(lines, width, height, has_picture)


def _turned(rotation: int, width: float, height: float) -> Any:
    """From coordinates of the page as it was written to those of the page as it is shown."""
    return {
        90: lambda x, y: (y, height - x),
        180: lambda x, y: (width - x, height - y),
        270: lambda x, y: (width - y, x),
    }.get(rotation, lambda x, y: (x, y))


class _Glyphs:
    """What PDFium knows of the characters of a page, by their number."""

    def __init__(self, textpage: Any, turned: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium, self._page, self._turned = pdfium, textpage.raw, turned
        count = textpage.count_chars()
        text = textpage.get_text_range() if count else ""
        # Characters beyond the basic plane take two places in one of the two counts.
        self._text = text if len(text) == count else "".join(map(self._character, range(count)))

    def lines(self) -> Iterator[Line]:
        for match in _LINE.finditer(self._text):
            raw, breaks_word = match[0].removesuffix(_HYPHEN), match[0].endswith(_HYPHEN)
            inked = [match.start() + i for i, character in enumerate(raw) if not character.isspace()]
            if inked:
                yield self._line(inked, breaks_word)

    def _line(self, inked: list[int], breaks_word: bool) -> Line:
        boxes = [self._box(i) for i in inked]
        samples = inked[:: max(1, len(inked) // _NUM_SAMPLES)]
        size = Counter(self._size(i) for i in samples).most_common(1)[0][0]
        return Line(
            text=_cleaned(self._spaced(inked, boxes, size)) + "-" * breaks_word,
            left=min(box[0] for box in boxes),
            right=max(box[2] for box in boxes),
            bottom=min(box[1] for box in boxes),
            top=max(box[3] for box in boxes),
            size=size,
            is_code=all(self._is_code(i) for i in samples),
            breaks_word=breaks_word,
        )

    def _spaced(self, inked: list[int], boxes: Sequence[Box], size: float) -> str:
        """The characters of a line with a blank wherever there is one, or a gap that PDFium took for kerning."""
        text = self._text
        gaps = [right[0] - left[2] for left, right in pairwise(boxes)]
        usual = median(gaps) if gaps else 0.0
        is_wide = [gap - usual > _WORD_GAP * size for gap in gaps]
        # Where many are wide, the letters are spaced.
        is_spaced = sum(is_wide) > _MOST_WIDE * len(gaps)
        parts = [text[inked[0]]]
        for (i, j), gap, wide in zip(pairwise(inked), gaps, is_wide, strict=True):
            if j > i + 1:
                is_blank = is_spaced or not self._is_kerning(i + 1, gap / size)
            else:
                is_blank = wide and not is_spaced and not _NO_BLANKS.search(text[i] + text[j])
            parts.append(f" {text[j]}" if is_blank else text[j])
        return "".join(parts)

    def _is_kerning(self, i: int, gap: float) -> bool:
        """Whether PDFium made a blank where two letters touch. gap: in parts of the letters' size."""
        return abs(gap) < _TOUCHING and self._pdfium.FPDFText_IsGenerated(self._page, i) == 1

    def _character(self, i: int) -> str:
        return chr(self._pdfium.FPDFText_GetUnicode(self._page, i))

    def _box(self, i: int) -> Box:
        """Left, bottom, right, top, by the width that the font gives the character."""
        rect = self._pdfium.FS_RECTF()
        self._pdfium.FPDFText_GetLooseCharBox(self._page, i, rect)
        (x0, y0), (x1, y1) = self._turned(rect.left, rect.bottom), self._turned(rect.right, rect.top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def _size(self, i: int) -> float:
        """Of the letters as they are shown: many a PDF scales letters of size 1."""
        matrix = self._pdfium.FS_MATRIX()
        self._pdfium.FPDFText_GetMatrix(self._page, i, matrix)
        scale = math.hypot(matrix.c, matrix.d) or 1.0
        return round(self._pdfium.FPDFText_GetFontSize(self._page, i) * scale, 1)

    def _is_code(self, i: int) -> bool:
        flags, name = ctypes.c_int(), ctypes.create_string_buffer(128)
        self._pdfium.FPDFText_GetFontInfo(self._page, i, name, len(name), flags)
        plain = name.value.decode("utf-8", "replace")
        return bool(flags.value & _FIXED_PITCH) or _CODE_FONT.search(plain) is not None


def _cleaned(text: str) -> str:
    """Without ligatures, leaders and double blanks.

    >>> _cleaned("1.2 \\ufb01le . . . . . . . 7")
    '1.2 file 7'
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").translate(_LIGATURES)
    return _BLANKS.sub(" ", _LEADER.sub(" ", text)).strip()
