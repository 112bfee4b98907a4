"""Lines of pages to paragraphs, as the writer had them before the page's width broke them.

First station of a document's path, third step: PDF -> lines -> without furniture -> *paragraphs* -> Document. A line
goes on in the next where it is full (the next word would not have fitted) and both look alike: the same letters, the
usual distance. A heading, an item of a list, a row of a table and a line of code stay by themselves, because a sentence
that begins with somebody else's words can neither be found nor quoted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pagoda.rag.documents.composition import BETWEEN
from pagoda.rag.documents.document import Heading
from pagoda.rag.documents.pdf.footnotes import with_notes_first
from pagoda.rag.documents.pdf.lines import Line

_HAN = r"\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uffee"
_IS_HAN = re.compile(f"[{_HAN}]")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；…][\"'”’)\]）」』]*$")
_BULLET = re.compile(r"[•▪●○◦‣·∙■□◆▶►✓✔❖]")
_NUMBERED = re.compile(r"(?:[-–—*]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)]|[（(]?[一二三四五六七八九十\d]{1,3}[）、])\s?\S")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST_PART, _FIRST_PART = re.compile(r"[^\W\d_]+(?=-$)"), re.compile(r"[^\W\d_]+")
# Of the letters' size: a difference that is one; of the usual distance: more is a gap; of an em: an indent.
_SAME_SIZE, _GAP, _INDENT, _USUAL_LEADING = 0.04, 1.3, 0.8, 1.4
_PARAGRAPH, _ROW, _BLANK = BETWEEN, "\n", " "
# Of the usual size: letters of a heading are larger; characters that a heading has at most.
_LARGER, _LONGEST_HEADING = 1.08, 200
_MIN_RUN = 3


@dataclass(frozen=True)
class Joined:
    """The text of all pages, a blank line between paragraphs, and the offset at which each page begins.

    headings: paragraphs in larger letters than most; None where there are none, so that they have to be told by words
    listings: (start, end) of lines of code
    """

    text: str
    page_starts: list[int]
    headings: tuple[Heading, ...] | None
    listings: tuple[tuple[int, int], ...]


def joined(pages: Sequence[Sequence[Line]]) -> Joined:
    """The paragraphs of all pages."""
    joiner = _Joiner(pages)
    pages = with_notes_first(
        pages, lambda last, line, page, is_new: joiner.between(last, line, page, is_new_page=is_new) == _BLANK
    )
    parts: list[str] = []
    starts: list[int] = []
    # The first line of each paragraph and where it begins.
    opened: list[tuple[Line, int]] = []
    length = 0
    last: Line | None = None
    for number, lines in enumerate(pages):
        for i, line in enumerate(lines):
            between = ""
            if last is not None:
                between = joiner.between(last, line, number, is_new_page=i == 0)
                kept, glue = joiner.seam(last, line) if between == _BLANK else (len(last.text), between)
                parts[-1] = last.text[:kept] + glue
                length += len(parts[-1]) - len(last.text)
            if last is None or between == _PARAGRAPH:
                opened.append((line, length))
            # Pages without a line begin where the next one does.
            starts += [length] * (number + 1 - len(starts))
            parts.append(line.text)
            length += len(line.text)
            last = line
    ends = [*(start - len(_PARAGRAPH) for _, start in opened[1:]), length]
    spans = [(line, start, end) for (line, start), end in zip(opened, ends, strict=False)]
    listings = tuple((start, end) for line, start, end in spans if line.is_code)
    starts += [length] * (len(pages) - len(starts))
    return Joined("".join(parts), starts, _headings(spans), listings)


def _headings(paragraphs: Sequence[tuple[Line, int, int]]) -> tuple[Heading, ...] | None:
    """The larger the letters, the higher the level."""
    sizes: Counter[float] = Counter()
    for line, start, end in paragraphs:
        sizes[line.size] += end - start
    usual = sizes.most_common(1)[0][0] if sizes else 0.0
    found = [
        (line.size, start, end)
        for line, start, end in paragraphs
        if line.size > _LARGER * usual and end - start <= _LONGEST_HEADING and not line.is_code
    ]
    ranks = {size: rank for rank, size in enumerate(sorted({size for size, *_ in found}, reverse=True), start=1)}
    return tuple(Heading(start, end, ranks[size]) for size, start, end in found) or None


@dataclass
class _Layout:
    """What is usual on a page. margin: where its lines end; runs: where the block of a line ends, by its id."""

    margin: float
    gutter: float | None
    left_margin: float
    runs: dict[int, float] = field(default_factory=dict)

    def right_of(self, line: Line) -> float:
        """How far a line of this column may reach."""
        in_left_column = self.gutter is not None and line.right <= self.gutter
        return self.left_margin if in_left_column else self.margin


class _Joiner:
    """Decides between each two lines, by what is usual in the whole document."""

    def __init__(self, pages: Sequence[Sequence[Line]]) -> None:
        self._leading = _leadings(pages)
        widest = _margin([line for lines in pages for line in lines])
        self._layouts = [self._layout(lines, widest) for lines in pages]
        self._words = Counter(_whole_words(line for lines in pages for line in lines))

    def between(self, last: Line, line: Line, page: int, *, is_new_page: bool) -> str:
        """What stands between two lines that follow one another."""
        if last.is_alone or line.is_alone:
            return _PARAGRAPH
        layout = self._layouts[page - 1 if is_new_page else page]
        if is_new_page or line.bottom > last.top:
            return _BLANK if self._goes_on_elsewhere(last, line, layout) else _PARAGRAPH
        if abs(last.bottom - line.bottom) < 0.3 * max(last.size, line.size) and line.left >= last.left:
            return _BLANK
        if not self._is_near(last, line):
            return _PARAGRAPH
        if last.is_code and line.is_code:
            return _ROW
        return _BLANK if self._goes_on(last, line, layout) else _PARAGRAPH

    def seam(self, last: Line, line: Line) -> tuple[int, str]:
        """How many characters stay of a line that goes on in the next, and what follows them."""
        size = len(last.text)
        if last.text.endswith("-") and (last.breaks_word or line.text[:1].islower()):
            return (size if self._keeps_hyphen(last.text, line.text) else size - 1), ""
        if _IS_HAN.match(last.text[-1:]) and _IS_HAN.match(line.text[:1]):
            return size, ""
        return size, _BLANK

    def _keeps_hyphen(self, last: str, line: str) -> bool:
        """Whether a word has its hyphen within a line, too: by the document's own words, else by its look."""
        before, after = _LAST_PART.search(last), _FIRST_PART.match(line)
        if before is None or after is None or last[: before.start()].endswith(("-", "_", "/", ".")):
            return True
        left, right = before[0].lower(), after[0].lower()
        together, apart = self._words[left + right], self._words[f"{left}-{right}"]
        if together or apart:
            return apart > together
        return after[0][0].isupper() or (self._words[left] > 0 and self._words[right] > 0)

    def _goes_on(self, last: Line, line: Line, layout: _Layout) -> bool:
        if not _alike(last, line) or _BULLET.match(line.text):
            return False
        if last.breaks_word:
            return True
        is_end = _SENTENCE_END.search(last.text) is not None
        if _NUMBERED.match(line.text) and (is_end or line.left <= last.left):
            return False
        is_indented = line.left - last.left > _INDENT * line.size and not _is_item(last.text)
        is_outdented = last.left - line.left > _INDENT * line.size
        if is_end and (is_indented or is_outdented):
            return False
        return self._is_full(last, line, layout)

    def _goes_on_elsewhere(self, last: Line, line: Line, layout: _Layout) -> bool:
        """In the next column or on the next page, where distances say nothing."""
        if last.is_code or not _alike(last, line) or _is_item(line.text):
            return False
        if last.breaks_word:
            return True
        if _SENTENCE_END.search(last.text):
            return False
        return line.text[:1].islower() or self._is_full(last, line, layout)

    def _is_full(self, last: Line, line: Line, layout: _Layout) -> bool:
        """Whether the next word would not have fitted: at the page's margin, or at that of the block."""
        needed = _first_word_width(line)
        if layout.right_of(last) - last.right < needed:
            return True
        return id(last) in layout.runs and layout.runs[id(last)] - last.right < needed

    def _is_near(self, last: Line, line: Line) -> bool:
        return last.bottom - line.bottom <= _GAP * self._usual_step(line)

    def _usual_step(self, line: Line) -> float:
        return self._leading.get(line.size, _USUAL_LEADING * line.size)

    def _layout(self, lines: Sequence[Line], widest: float) -> _Layout:
        gutter = _gutter(lines)
        left = [line for line in lines if gutter is not None and line.right <= gutter]
        margin = _margin(lines) if len(lines) >= 12 else widest
        layout = _Layout(margin, gutter, _margin(left) if left else margin)
        for run in self._runs(lines):
            right = max(line.right for line in run)
            if len(run) >= _MIN_RUN and all(right - a.right < _first_word_width(b) for a, b in pairwise(run)):
                layout.runs.update((id(line), right) for line in run)
        return layout

    def _runs(self, lines: Sequence[Line]) -> Iterator[list[Line]]:
        """Blocks of lines that begin at the same place and follow one another closely."""
        run: list[Line] = []
        for line in lines:
            if run and not (
                _alike(run[-1], line)
                and not line.is_code
                and abs(run[-1].left - line.left) < 2
                and 0 < run[-1].bottom - line.bottom <= _GAP * self._usual_step(line)
            ):
                yield run
                run = []
            run.append(line)
        if run:
            yield run


def _leadings(pages: Sequence[Sequence[Line]]) -> dict[float, float]:
    """The usual distance of lines by the size of their letters."""
    steps: dict[float, Counter[float]] = {}
    for lines in pages:
        for a, b in pairwise(lines):
            step = a.bottom - b.bottom
            if a.size == b.size and 0.8 * a.size < step < 2.5 * a.size:
                steps.setdefault(a.size, Counter())[round(step, 0)] += 1
    return {size: counts.most_common(1)[0][0] for size, counts in steps.items() if counts.total() >= _MIN_RUN}


def _margin(lines: Sequence[Line]) -> float:
    """Where lines end at the right; a few that stick out do not count."""
    rights = sorted((line.right for line in lines if not line.is_code and not line.is_alone), reverse=True)
    return rights[len(rights) // 12] if rights else 0.0


def _gutter(lines: Sequence[Line]) -> float | None:
    """Between two columns: what hardly a line crosses, with many on both sides."""
    if len(lines) < 12:
        return None
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    for tenth in (50, 48, 52, 46, 54, 44, 56):
        x = left + (right - left) * tenth / 100
        before = sum(line.right <= x for line in lines)
        after = sum(line.left >= x for line in lines)
        if before + after >= 0.85 * len(lines) and min(before, after) >= 0.25 * len(lines):
            return x
    return None


def _alike(one: Line, other: Line) -> bool:
    return abs(one.size - other.size) <= _SAME_SIZE * one.size


def _is_item(text: str) -> bool:
    return _BULLET.match(text) is not None or _NUMBERED.match(text) is not None


def _first_word_width(line: Line) -> float:
    """With the blank before it. A Han character is a word; a mark of punctuation does not begin a line."""
    width = (line.right - line.left) / max(1, len(line.text) + len(_IS_HAN.findall(line.text)))
    if _IS_HAN.match(line.text):
        return 4.2 * width
    return 1.1 * (len(line.text.split(" ", 1)[0]) + 1) * width


def _whole_words(lines: Iterable[Line]) -> Iterator[str]:
    """Words in small letters, without those that the end of a line may have cut."""
    for line in lines:
        words = [match[0].lower() for match in _WORD.finditer(line.text)]
        yield from words[1:-1] if line.text.endswith("-") else words[1:]
