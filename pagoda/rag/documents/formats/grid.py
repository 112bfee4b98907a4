"""The table of an office file as lines, each of which can be understood alone.

First station of a document's path: *file -> blocks -> Document*. Office tables have titles above their head, rows that
are one cell wide, and frames that are no tables at all; the loaders say what stands in which cell, here it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from pagoda.rag.documents.tables import rows_to_lines


def grid_lines(rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
    """(row, text): the cells of a row with the names of their columns, which the first row of several cells has.

    A row of one cell is a title and names nothing; a lone row has its cells side by side, and so has the head where a
    column that it names is empty.

    >>> [text for _, text in grid_lines([["Fees"], ["City", "Fee"], ["Wuhan", "20"], ["", "30"]])]
    ['Fees', 'City: Wuhan; Fee: 20', 'Fee: 30']
    >>> list(grid_lines([["a", "b", "b"]]))
    [(0, 'a | b')]
    """
    wide = [index for index, row in enumerate(rows) if len(row) > 1 and _num_filled(row) > 1]
    head = wide[0] if len(wide) > 1 else len(rows)
    for index, row in enumerate(rows):
        if len(row) == 1 or (_num_filled(row) == 1 and index < head):
            yield index, "".join(row)
        elif index < head or (index == head and not _names_all(row, rows[head + 1 :])):
            yield index, " | ".join(text for text, _ in groupby(row) if text)
        elif index > head:
            yield from ((index, line) for line in rows_to_lines([rows[head], row]))


def _names_all(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each column that has a name has a value, beside which the name will stand."""
    filled = {i for row in rows if len(row) > 1 for i, cell in enumerate(row) if cell}
    return all(i in filled for i, name in enumerate(head) if name)


def _num_filled(row: Sequence[str]) -> int:
    return sum(map(bool, row))
