"""Tables of a page: which hold data, and what stands in which row and column of them.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A cell that spans rows or
columns stands in each of them, as a reader reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pagoda.rag.documents.tables import Spanned

Cell = tuple[int, str]
"""The line of the file, 0 of a cell that begins in a row above, and the text."""

# Whoever sets a page by means of a table puts such things into its cells.
_LAYOUT = ("table", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "form", "blockquote", "section")
_LONGEST_CELL = 400
_MOST_COLUMNS = 500


@dataclass
class Grid:
    """rows: of cells; num_header: how many of them name the columns."""

    rows: list[list[Cell]] = field(default_factory=list)
    num_header: int = 0


def is_data(table: Any) -> bool:
    """Whether a table holds data, or only sets the page."""
    if table.get("role") == "presentation" or any(True for _ in table.iterdescendants(*_LAYOUT)):
        return False
    cells = list(table.iter("td", "th"))
    if len(cells) < 2 or any(len(cell.findall("p")) > 1 for cell in cells):
        return False
    return all(len(cell.text_content()) <= _LONGEST_CELL for cell in cells)


def grid_of(table: Any, read: Callable[[Any], Cell]) -> Grid:
    """The cells of a table in their places. read: gives the line and text of one."""
    grid = Grid()
    # Column -> (rows that it still covers, cell).
    spanning: dict[int, tuple[int, Cell]] = {}
    is_header = True
    for row in table.iter("tr"):
        elements = [cell for cell in row if cell.tag in ("td", "th")]
        cells, spanning = _row(elements, spanning, read)
        if not any(text for _, text in cells):
            continue
        is_header = is_header and _names_columns(row, elements)
        grid.num_header += is_header
        grid.rows.append(cells)
    if grid.num_header == len(grid.rows):
        grid.num_header = 0
    return grid


def _names_columns(row: Any, elements: list[Any]) -> bool:
    if row.getparent().tag == "thead":
        return True
    return bool(elements) and all(cell.tag == "th" or not cell.text_content().strip() for cell in elements)


def _row(
    elements: list[Any], spanning: dict[int, tuple[int, Cell]], read: Callable[[Any], Cell]
) -> tuple[list[Cell], dict[int, tuple[int, Cell]]]:
    """One row of cells, those that span it from above included, and what spans the next."""
    cells: list[Cell] = []
    waiting = list(elements)
    below: dict[int, tuple[int, Cell]] = {}
    while (waiting or len(cells) <= max(spanning, default=-1)) and len(cells) < _MOST_COLUMNS:
        column = len(cells)
        if column in spanning:
            left, (_, text) = spanning[column]
            cells.append((0, text))
            if left > 1:
                below[column] = (left - 1, (0, text))
        elif waiting:
            element = waiting.pop(0)
            cell = read(element)
            for offset in range(_span(element, "colspan")):
                if offset:
                    cell = (cell[0], Spanned(cell[1]))
                cells.append(cell)
                if _span(element, "rowspan") > 1:
                    below[column + offset] = (_span(element, "rowspan") - 1, cell)
        else:
            cells.append((0, ""))
    return cells, below


def _span(element: Any, name: str) -> int:
    text = str(element.get(name) or "1").strip()
    return min(max(1, int(text)), _MOST_COLUMNS) if text.isdecimal() else 1
