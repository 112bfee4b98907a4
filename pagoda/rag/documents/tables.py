"""Rows of cells to lines that can be found and understood alone, whatever format they came from.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. Each line names the columns
of its cells; a row that is too long for one line is told in several, each with the row's first cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# Some 150 tokens: a chunk holds it.
LONGEST_ROW = 600
_VALUE = re.compile(
    r"[$€£¥￥+-]?\d[\d.,:/%\s-]*(?:%|元|万|亿|[a-zA-Z]{1,3})?|https?://.*|[^\s@]+@[^\s@]+\.\w+|true|false|n/?a",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d年?")
_SAMPLE = 50


class Spanned(str):
    """The text of a cell that covers several columns, in those after its first: it names them, and is said once."""

    __slots__ = ()


def side_by_side(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row of a table without names of columns: its cells in their places, "" for a blank row.

    A cell that is empty, or that one before it covers, keeps its place, and so does one that says the same as another;
    columns in which no row has a word of its own have none.

    >>> list(side_by_side([["0", "5", "0", ""], ["a", Spanned("a"), "b", ""], ["", "7"], ["c"]]))
    ['0 | 5 | 0', 'a | | b', '| 7', 'c']
    """
    told = [["" if isinstance(cell, Spanned) else " ".join(cell.split()) for cell in row] for row in rows]
    used = sorted({i for row in told for i, cell in enumerate(row) if cell})
    for row in told:
        line = " | ".join(row[i] if i < len(row) else "" for i in used)
        yield " ".join(line.rstrip(" |").split())


def row_lines(columns: Sequence[str], row: Sequence[str], longest: int | None = LONGEST_ROW) -> Iterator[str]:
    """One row. columns: their names; none where nobody named them.

    >>> list(row_lines(["id", "text", "note"], ["7", "a b", "c d"], longest=14))
    ['id: 7; text: a b', 'id: 7; note: c d']
    """
    cells = [" ".join(cell.split()) for cell in row]
    if not columns:
        yield " | ".join(cells)
        return
    entries = [f"{_column(columns, i)}: {cell}" for i, cell in enumerate(cells) if cell]
    line = entries[:1]
    length = len(entries[0]) if entries else 0
    for entry in entries[1:]:
        if longest is not None and length + len(entry) > longest and len(line) > 1:
            yield "; ".join(line)
            line, length = entries[:1], len(entries[0])
        line.append(entry)
        length += len(entry) + 2
    yield "; ".join(line)


def column_names(header: Sequence[Sequence[str]]) -> list[str]:
    """The names of the columns, from the highest row to the lowest; one that spans rows is said once.

    >>> column_names([["City", "2023", "2023"], ["City", "Rooms", "Guests"]])
    ['City', '2023 Rooms', '2023 Guests']
    """
    if not any(cell.strip() for row in header for cell in row):
        return []
    width = max(len(row) for row in header)
    stacked = ([" ".join(row[i].split()) for row in header if i < len(row)] for i in range(width))
    return [" ".join(dict.fromkeys(filter(None, names))) for names in stacked]


def num_title_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many rows stand above the table: alone in their line, where the rows below have several cells.

    >>> num_title_rows([["Prices 2024", ""], ["item", "price"], ["tea", "3"]])
    1
    """
    filled = [[i for i, cell in enumerate(row) if cell.strip()] for row in rows[:_SAMPLE]]
    first = next((i for i, places in enumerate(filled) if places != [0]), 0)
    return first if len(rows) > first + 1 and all(len(places) > 1 for places in filled[first : first + 2]) else 0


def num_head_rows(rows: Sequence[Sequence[str]], *, usually: bool = True) -> int:
    """How many of the first rows name the columns: none, one, or several where those below it name parts of them.

    usually: as in `has_header`. A row goes on with the head where its first cell is empty or is the one above it, none
    of its cells is a value but years, and rows with values and a first cell stand below.

    >>> num_head_rows([["CHF", "", "2022"], ["", "Sales", "Profit"], ["Zone A", "12", "3"]])
    2
    """
    head = ["" if isinstance(cell, Spanned) else cell for cell in rows[0]]
    if not has_header([head, *rows[1:]], usually=usually):
        return 0
    count = 1
    while count + 1 < len(rows) and _goes_on_with_head(rows[count], rows[0], rows[count + 1 :]):
        count += 1
    return count


def _goes_on_with_head(row: Sequence[str], above: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    if len(row) < 2 or row[0].strip() not in ("", above[0].strip()) or not below[0][0].strip():
        return False
    if not any(row) or any(is_value(cell.strip()) and not _YEAR.fullmatch(cell.strip()) for cell in row[1:]):
        return False
    return any(is_value(cell.strip()) for line in below[:_SAMPLE] for cell in line[1:])


def has_header(rows: Sequence[Sequence[str]], *, usually: bool = True) -> bool:
    """Whether the first row names the columns, rather than being the first of the values.

    usually: where nothing in the cells tells, as where all of them are words

    >>> has_header([["item", "price"], ["tea", "3"]]), has_header([["tea", "3"], ["coffee", "5"]])
    (True, False)
    """
    first = [cell.strip() for cell in rows[0]]
    names = [name for name in first if name]
    if len(rows) < 2 or not names or len(set(names)) < len(names) or max(map(len, names)) > 80:
        return False
    if any(_YEAR.fullmatch(name) for name in first[1:]):
        return not is_value(first[0])
    if any(is_value(name) for name in names):
        return False
    below = [[cell.strip() for cell in row] for row in rows[1:_SAMPLE]]
    if any(is_value(cell) for row in below for cell in row):
        return True
    # A name of a column is no value of it.
    repeats = any(i < len(row) and row[i] == name for row in below for i, name in enumerate(first) if name)
    return usually and not repeats


def is_value(cell: str) -> bool:
    """Whether a cell holds a number, an address or a truth rather than words."""
    return _VALUE.fullmatch(cell) is not None


def _column(columns: Sequence[str], i: int) -> str:
    return (columns[i] if i < len(columns) else "") or f"column {i + 1}"
