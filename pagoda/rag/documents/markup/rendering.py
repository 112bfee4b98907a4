"""A page's tree to its text: a paragraph for each block, a line for each row of a table, listings as they are.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A term of a list of
definitions stands before its definition, and a cell behind the names of its row and column, because each may be found
alone.
"""

from __future__ import annotations

from typing import Any

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.markup.grids import grid_of, is_data
from pagoda.rag.documents.markup.tree import line_marked
from pagoda.rag.documents.markup.writing import TextWriter
from pagoda.rag.documents.tables import Spanned, column_names, num_head_rows, row_lines, side_by_side

_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
        *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html"),
        *("legend", "li", "main", "menu", "ol", "p", "section", "summary", "table", "tbody", "td", "tfoot", "th"),
        *("thead", "tr", "ul", "option", "textarea", "button"),
    )
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTINGS = ("pre", "listing", "xmp", "plaintext")


def rendered(tree: Any) -> Document:
    """The text of a page from which what is not seen was taken, without a name and what the page says of itself."""
    writer = TextWriter()
    _Rendering(writer).children(tree)
    return writer.document()


class _Rendering:
    """Walks a tree into a writer. Pages nest deeper than Python's stack: what is still to be done is kept in a list."""

    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        self._num_items: dict[Any, int] = {}
        """Of each list, the items so far."""

    def children(self, root: Any) -> None:
        """All that stands in an element."""
        self._writer.words(root.text or "")
        waiting: list[Any] = list(reversed(root))
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, tuple):
                self._leave(*entry)
                continue
            waiting.append((entry.tag, entry.tail))
            if self._enter(entry):
                self._writer.words(entry.text or "")
                waiting += reversed(entry)

    def _enter(self, element: Any) -> bool:
        """Begin an element; whether its children follow, or all of it is written."""
        tag = element.tag
        if tag == "br":
            self._writer.end_line()
        elif tag in _HEADINGS:
            inner = TextWriter(self._writer.line)
            _Rendering(inner).children(element)
            self._writer.heading(_HEADINGS[tag], inner)
            return False
        elif tag in _LISTINGS:
            self._writer.listing("".join(element.itertext()))
            return False
        elif tag == "table" and is_data(element):
            self._table(element)
            return False
        elif tag in _BLOCKS:
            self._writer.end_block()
            if tag in ("dd", "dt"):
                self._join_definition(element)
            elif tag == "li" and (number := self._ordinal(element)):
                self._writer.begin_with(f"{number}. ")
        return True

    def _ordinal(self, item: Any) -> int | None:
        """The number that a browser writes before an item."""
        parent = item.getparent()
        if parent is None or parent.tag != "ol":
            return None
        num_before = self._num_items.get(parent, 0)
        self._num_items[parent] = num_before + 1
        if item.text_content().strip() == "":
            return None
        if str(item.get("value") or "").isdecimal():
            return int(item.get("value"))
        first = int(parent.get("start")) if str(parent.get("start") or "").isdecimal() else 1
        return first + num_before

    def _leave(self, tag: str, tail: str | None) -> None:
        if tag in _BLOCKS or tag in _HEADINGS or tag in _LISTINGS:
            self._writer.end_block()
        self._writer.words(tail or "")

    def _join_definition(self, element: Any) -> None:
        """Terms of one definition stand side by side, and it behind them."""
        before = element.getprevious()
        if before is not None and before.tag == "dt" and (before.text_content().strip()):
            ends_itself = before.text_content().rstrip().endswith((":", "：", "?", "？"))
            self._writer.join(", " if element.tag == "dt" else " " if ends_itself else ": ")

    def _table(self, table: Any) -> None:
        """A line for each row."""
        for caption in table.iter("caption"):
            self._writer.paragraph(" ".join(self._cell(caption, self._writer.line)[1].split()), self._writer.line)
        lines, last_line = _lines_of_cells(table, self._writer.line)
        grid = grid_of(table, lambda cell: self._cell(cell, lines[cell]))
        rows = [[text for _, text in row] for row in grid.rows]
        num_header = grid.num_header or (num_head_rows(rows, usually=False) if len(rows) > 2 else 0)
        columns = column_names(rows[:num_header]) if len(rows) > num_header else []
        plain = [*side_by_side(rows)]
        for index in range(num_header if columns else 0, len(rows)):
            cells = rows[index]
            line = next((line for line, text in grid.rows[index] if line and text), self._writer.line)
            if columns:
                told = [row for row in row_lines(columns, cells) if row]
            elif len(cells) == 2 and all(cells) and not isinstance(cells[1], Spanned):
                told = [f"{cells[0].rstrip(':：')}: {cells[1]}"]
            else:
                told = [plain[index]]
            for row in told:
                self._writer.paragraph(row, line)
        self._writer.line = last_line

    def _cell(self, element: Any, line: int) -> tuple[int, str]:
        """The line and the text of a cell. line: where it begins."""
        inner = TextWriter(line)
        _Rendering(inner).children(element)
        self._writer.line = inner.line
        return inner.first_line, inner.flat()


def _lines_of_cells(table: Any, line: int) -> tuple[dict[Any, int], int]:
    """The line in which each cell of a table begins, and that in which it ends. line: in which the table begins."""
    from lxml.etree import iterwalk

    lines: dict[Any, int] = {}
    for event, element in iterwalk(table, events=("start", "end")):
        if event == "start":
            lines[element] = line
            line = line_marked(element.text, line)
        elif element is not table:
            line = line_marked(element.tail, line)
    return lines, line
