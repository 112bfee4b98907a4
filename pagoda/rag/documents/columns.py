"""Tables of plain text, whose columns are set by blanks: found by the gaps that run through all of their lines.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A table of a text file has
no marks. What shows that there is one is that a line of short names stands above lines whose words keep out of the gaps
between those names. After the white streams of Baird 1992, "Background Structure in Document Images", and Hu et al.
1999, "Medium-Independent Table Detection". Characters of East Asia are two columns wide, as a terminal shows them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from pagoda.rag.documents.tables import has_header, row_lines

_RULE = re.compile(r"[ \t]*[-=+|─━═┼]{2}[-=+|─━═┼ \t]*")
_CELL = re.compile(r"\S+(?: \S+)*")
_GAP = 2
"""Blanks between two columns, at least: one stands between two words."""
_MIN_COLUMNS, _MIN_RULED, _MIN_ROWS = 3, 2, 2
"""Columns of a table that no rule shows, and of one with a rule below its names; rows of either."""


@dataclass(frozen=True)
class TextTable:
    """Lines of a text that are a table. rows: number of a line -> what it says, with the names of its columns.

    first, last: numbers of its lines, the last one behind it; a rule's line says nothing
    """

    first: int
    last: int
    rows: dict[int, str]


def text_tables(lines: Sequence[str]) -> Iterator[TextTable]:
    """The tables, in order.

    >>> lines = ["Line   From   Price", "R1     Ulm     8.40", "R2     Aalen  14.20"]
    >>> [table.rows for table in text_tables(lines)]
    [{1: 'Line: R1; From: Ulm; Price: 8.40', 2: 'Line: R2; From: Aalen; Price: 14.20'}]
    """
    at = 0
    while at < len(lines) - _MIN_ROWS:
        table = _table_at(lines, at)
        if table is not None:
            yield table
        at = at + 1 if table is None else table.last


def _table_at(lines: Sequence[str], at: int) -> TextTable | None:
    """The table whose columns are named in a line; None where none is."""
    is_ruled = _RULE.fullmatch(lines[at + 1]) is not None
    below = at + 1 + is_ruled
    names = _Columns.named_in(_grid(lines[at], is_ruled))
    if names is None or len(names.starts) < (_MIN_RULED if is_ruled else _MIN_COLUMNS):
        return None
    # Lines that keep out of the gaps, and those that are set by hand beside them but have as many cells.
    kept, apart = list[str](), dict[int, list[str]]()
    for line in takewhile(lambda line: line.strip() and not _RULE.fullmatch(line), lines[below:]):
        grid = _grid(line, is_ruled)
        if (narrowed := names.narrowed(grid)) is not None:
            names = narrowed
        elif len(split := _CELL.findall(grid)) == len(names.starts):
            apart[len(kept)] = [cell.replace(_WIDE, "") for cell in split]
        else:
            break
        kept.append(grid)
    header = names.cells(_grid(lines[at], is_ruled))
    rows = [apart.get(i) or names.cells(grid) for i, grid in enumerate(kept)]
    if len(rows) < _MIN_ROWS or not has_header([header, *rows], usually=is_ruled) or not all(row[0] for row in rows):
        return None
    told = {below + i: next(row_lines(header, row, longest=None)) for i, row in enumerate(rows)}
    return TextTable(at, below + len(rows), {**({at + 1: ""} if is_ruled else {}), **told})


@dataclass(frozen=True)
class _Columns:
    """Columns of a table. starts: of the names; gaps: what is blank between two columns in all lines so far."""

    starts: tuple[int, ...]
    gaps: tuple[frozenset[int], ...]

    @classmethod
    def named_in(cls, grid: str) -> _Columns | None:
        """As a line of names has them; None where it has no gaps."""
        names = [match.span() for match in _CELL.finditer(grid)]
        gaps = [frozenset(range(names[i][1], names[i + 1][0])) for i in range(len(names) - 1)]
        return cls(tuple(start for start, _ in names), tuple(gaps)) if gaps else None

    def narrowed(self, grid: str) -> _Columns | None:
        """With one more line; None where its words stand in a gap, or it has nothing but the first column."""
        gaps = tuple(frozenset(_widest(x for x in gap if grid[x : x + 1].strip() == "")) for gap in self.gaps)
        beyond = grid[min(gaps[0]) :].strip() if gaps[0] else ""
        return _Columns(self.starts, gaps) if beyond and all(len(gap) >= _GAP for gap in gaps) else None

    def cells(self, grid: str) -> list[str]:
        """What a line has in each column."""
        edges = [0, *(min(gap) for gap in self.gaps), len(grid)]
        parts = (grid[edges[i] : max(edges[i], edges[i + 1])] for i in range(len(edges) - 1))
        return [part.replace(_WIDE, "").strip() for part in parts]


_WIDE = "\0"
"""The second column of a wide character."""


def _grid(line: str, is_ruled: bool) -> str:
    """A line as it is set: a place is a column. Where a rule shows columns, the bars between them are gaps."""
    line = line.expandtabs()
    line = re.sub("[|│┃]", " ", line) if is_ruled else line
    wide = (f"{sign}{_WIDE}" if unicodedata.east_asian_width(sign) in "WF" else sign for sign in line)
    return "".join(wide).rstrip()


def _widest(places: Iterator[int]) -> list[int]:
    """The longest run of numbers that follow one another."""
    runs = [
        [place for _, place in run] for _, run in groupby(enumerate(sorted(places)), lambda pair: pair[1] - pair[0])
    ]
    return max(runs, key=len, default=[])
