"""A table of Word as the rows and columns that a reader sees.

First station of a document's path: *Word file -> blocks -> Document*. A merged cell is in each row and column that it
covers, so that every row names its columns rightly and can be understood alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pagoda.rag.documents.office.docx_text import W, is_on
from pagoda.rag.documents.tables import Spanned

_WRAPPERS = frozenset(W + name for name in ("sdt", "sdtContent", "ins", "customXml", "moveTo"))


def grid_of(table: Any, text_of: Callable[[Any], str]) -> tuple[list[list[str]], int]:
    """The texts of the rows that have any, and how many of the first are the head. text_of: of a cell's element.

    A row of one cell has one text, however many columns it covers: it is a title, not a value of each column.
    """
    rows: list[list[str]] = []
    num_head = 0
    merged: dict[int, str] = {}
    for row in unwrapped(table, W + "tr"):
        cells = _cells(row, merged, text_of)
        if any(cells):
            num_head += num_head == len(rows) and _is_head(row)
            rows.append(cells)
    return rows, num_head


def unwrapped(element: Any, tag: str) -> Iterator[Any]:
    """The children with a tag, also within content controls and insertions."""
    for child in element:
        if child.tag == tag:
            if child.find(f"{W}trPr/{W}del") is None:
                yield child
        elif child.tag in _WRAPPERS:
            yield from unwrapped(child, tag)


def _cells(row: Any, merged: dict[int, str], text_of: Callable[[Any], str]) -> list[str]:
    """The texts of a row. merged: of cells that reach down from above, by their columns; brought up to date."""
    num_before, num_cells = _number(row, f"{W}trPr/{W}gridBefore", 0), 0
    cells = [""] * num_before
    for cell in unwrapped(row, W + "tc"):
        merge = cell.find(f"{W}tcPr/{W}vMerge")
        goes_on = merge is not None and merge.get(W + "val", "continue") == "continue"
        text = merged.get(len(cells), "") if goes_on else text_of(cell)
        if merge is not None:
            merged[len(cells)] = text
        cells += [text] + [Spanned(text)] * (_number(cell, f"{W}tcPr/{W}gridSpan", 1) - 1)
        num_cells += 1
    return cells[:1] if num_cells == 1 and not num_before else cells


def _is_head(row: Any) -> bool:
    return is_on(row.find(f"{W}trPr/{W}tblHeader"))


def _number(element: Any, path: str, default: int) -> int:
    found = element.find(path)
    value = "" if found is None else found.get(W + "val", "")
    return max(default, int(value)) if value.isdigit() else default
