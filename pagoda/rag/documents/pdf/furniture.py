"""Running headers, footers and page numbers: what a page repeats, taken out of the text that runs past it.

First station of a document's path, second step: PDF -> lines -> *without furniture* -> paragraphs -> Document. Left in,
they stand in the middle of each sentence that crosses a page and are found by every question about the title. What
says something that the rest does not (a version, a date of issue) is kept once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pagoda.rag.documents.pdf.lines import Line, Page

# Lines at each edge of a page that may be furniture; how far apart, in points, the same place may be on two pages.
_DEPTH, _SLACK = 3, 3.0
_NUMBER = re.compile(
    r"^(?P<first>\d{1,4}|[ivxlc]+)(?=\W|$)|(?<!\w)(?P<last>\d{1,4}|[ivxlc]+)(?:\s*(?:/|of|von|de)\s*\d+)?$"
)
_EDGE_SIGNS = " -–—|·•[]()第页頁"
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_PAGE_WORDS = frozenset(("page", "pages", "seite", "página", "страница", "p", "of", "von"))
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class _Edge:
    """A line at the edge of a page. text: without what may be the page's number; number: that, or None."""

    page: int
    is_top: bool
    line: Line
    text: str
    number: int | None


def without_furniture(pages: Sequence[Page]) -> list[list[Line]]:
    """The lines of each page without its furniture; what is kept of it leads its page."""
    edges = [edge for number, page in enumerate(pages) for edge in _edges(number, page)]
    furniture = _Repeated(edges).furniture()
    gone = {(edge.page, id(edge.line)) for edge in furniture}
    body = [[line for line in page.lines if (i, id(line)) not in gone] for i, page in enumerate(pages)]
    known = {word for lines in body for line in lines for word in _words(line.text)}
    for edge in furniture:
        if not known.issuperset(words := _words(edge.text)):
            known.update(words)
            body[edge.page].insert(0, replace(edge.line, is_alone=True))
    return body


def _edges(number: int, page: Page) -> Iterator[_Edge]:
    by_height = sorted(page.lines, key=lambda line: -line.bottom)
    for is_top, lines in ((True, by_height[:_DEPTH]), (False, by_height[: -_DEPTH - 1 : -1])):
        for line in lines:
            text, value = _numbered(line.text)
            yield _Edge(number, is_top, line, text, value)


class _Repeated:
    """Which edges repeat: by their page number, which counts along, or by their words, which stay where they are."""

    def __init__(self, edges: Sequence[_Edge]) -> None:
        self._edges = edges
        self._numbers: dict[tuple[int, bool], list[_Edge]] = defaultdict(list)
        self._texts: dict[tuple[str, bool], list[_Edge]] = defaultdict(list)
        for edge in edges:
            self._texts[edge.line.text, edge.is_top].append(edge)
            if edge.number is not None:
                self._numbers[edge.page, edge.is_top].append(edge)
                self._texts[edge.text, edge.is_top].append(edge)

    def furniture(self) -> list[_Edge]:
        """From the outermost line inwards, as far as each is furniture."""
        found: list[_Edge] = []
        inside: set[tuple[int, bool]] = set()
        for edge in self._edges:
            if (edge.page, edge.is_top) in inside:
                continue
            if self._counts_along(edge) or self._stays(edge):
                found.append(edge)
            else:
                inside.add((edge.page, edge.is_top))
        return found

    def _counts_along(self, edge: _Edge) -> bool:
        """Whether pages nearby have the number that belongs there, in the same place; headings may count along, too."""
        if edge.number is None:
            return False
        supporters = sum(
            any(
                other.number == edge.number + step and _same_place(edge, other)
                for other in self._numbers.get((edge.page + step, edge.is_top), ())
            )
            for step in (-2, -1, 1, 2)
        )
        return supporters > 1 or (supporters == 1 and not _words(edge.text) - _PAGE_WORDS)

    def _stays(self, edge: _Edge) -> bool:
        others = self._texts[edge.line.text, edge.is_top]
        return bool(_words(edge.line.text)) and any(
            other.page != edge.page and _same_place(edge, other) for other in others
        )


def _same_place(one: _Edge, other: _Edge) -> bool:
    return abs(one.line.bottom - other.line.bottom) <= _SLACK


def _numbered(text: str) -> tuple[str, int | None]:
    """What is left of a line without the number at its beginning or end, and that number.

    >>> _numbered("Chapter 3: Shell 35"), _numbered("- iv -"), _numbered("Page 3 of 9"), _numbered("Summary")
    (('Chapter 3: Shell', 35), ('', 4), ('Page', 3), ('Summary', None))
    """
    plain = text.strip(_EDGE_SIGNS)
    found = list(_NUMBER.finditer(plain))
    if not found:
        return plain, None
    # A number at the end is the page's more often than one in front, which may be a section's.
    match = found[-1]
    value = match["last"] or match["first"]
    rest = f"{plain[: match.start()]} {plain[match.end() :]}".strip(_EDGE_SIGNS)
    return rest, int(value) if value.isdigit() else _roman(value)


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def _words(text: str) -> set[str]:
    """Without numbers: those of pages are nobody's loss."""
    return {word.lower() for word in _WORD.findall(text) if not word.isdigit()}
