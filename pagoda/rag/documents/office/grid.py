"""The table of an office file as lines, each of which can be understood alone.

First station of a document's path: *file -> blocks -> Document*. Office tables have titles above their head, rows that
are one cell wide, and frames that are no tables at all; the loaders say what stands in which cell, here it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pagoda.rag.documents.tables import column_names, num_head_rows, row_lines, side_by_side


def grid_lines(rows: Sequence[Sequence[str]], num_head: int = 0) -> Iterator[tuple[int, str]]:
    """(row, text): the cells of a row with the names of their columns, where the rows below the titles name any.

    num_head: how many rows the file says are the head; of 0 they tell by what they hold
    A row of one cell is a title and names nothing; of other rows without names the cells stand side by side, and so
    has the head where a column that it names is empty.

    >>> [text for _, text in grid_lines([["Fees"], ["City", "Fee"], ["Wuhan", "20"], ["", "30"]])]
    ['Fees', 'City: Wuhan; Fee: 20', 'Fee: 30']
    >>> list(grid_lines([["a", "5", "5", ""]]))
    [(0, 'a | 5 | 5')]
    """
    first = next((index for index, row in enumerate(rows) if _is_wide(row)), len(rows))
    body = max(first + _num_head(rows[first:]), num_head)
    columns = column_names(rows[first:body]) if first < body < len(rows) else []
    plain = list(side_by_side(rows[first:]))
    for index, row in enumerate(rows):
        if len(row) == 1 or (index < body and not _is_wide(row)):
            yield index, "".join(row)
        elif index >= body and columns:
            yield from ((index, line) for line in row_lines(columns, row))
        elif not columns or not _names_all(row, rows[body:]):
            yield index, plain[index - first]


def _num_head(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows name the columns."""
    return num_head_rows([row for row in rows if len(row) > 1]) if sum(map(_is_wide, rows)) > 1 else 0


def _is_wide(row: Sequence[str]) -> bool:
    return len(row) > 1 and sum(map(bool, row)) > 1


def _names_all(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each column that has a name has a value, beside which the name will stand."""
    filled = {i for row in rows if len(row) > 1 for i, cell in enumerate(row) if cell}
    return all(i in filled for i, name in enumerate(head) if name)
