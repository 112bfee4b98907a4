"""CSV and TSV to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A row becomes a paragraph
that names its columns, so that it can be found and understood alone; a citation names the line of the file where the
row begins.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.tables import column_names, has_header, num_title_rows, row_lines
from pagoda.rag.errors import LoadError

_DELIMITERS = ",;\t|"
# A cell may hold a whole article; Python's own limit is 128 KB, and what it was is for all of the process.
_LONGEST_CELL = 2**31 - 1

NumberedRow = tuple[int, list[str]]
"""The line of the file where a row begins, and its cells."""


def load_csv(text: str, source: str) -> Document:
    """A row a paragraph; the delimiter is the one of , ; tab | that the first lines agree on."""
    return _load_rows(text, source, _delimiter(text))


def load_tsv(text: str, source: str) -> Document:
    """A row a paragraph; cells end at tabs."""
    return _load_rows(text, source, "\t")


def _load_rows(text: str, source: str, delimiter: str) -> Document:
    try:
        rows = list(_rows(text, delimiter))
    except csv.Error as error:
        raise LoadError(f"is no table ({error}): check its quotation marks") from error
    composition = Composition()
    num_titles = num_title_rows([cells for _, cells in rows])
    titles = [" ".join(filter(None, (cell.strip() for cell in cells))) for _, cells in rows[:num_titles]]
    for (line, _), title in zip(rows, titles, strict=False):
        composition.add(title, line=line)
    columns, body = _header(rows[num_titles:])
    for line, cells in body:
        for told in row_lines(columns, cells):
            composition.add(told, line=line)
    return composition.document(source, title=titles[0] if titles else "")


def _rows(text: str, delimiter: str) -> Iterator[NumberedRow]:
    """Rows that hold something."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    for row in reader:
        if any(cell.strip() for cell in row):
            # Blank lines before a row are none of it.
            yield line, row
        line = reader.line_num + 1


def _header(rows: Sequence[NumberedRow]) -> tuple[list[str], Sequence[NumberedRow]]:
    """The names of the columns, [] where there are none, and the rows that are not they."""
    if not rows or not has_header([cells for _, cells in rows[:50]]):
        return [], rows
    return column_names([rows[0][1]]), rows[1:]


def _delimiter(text: str) -> str:
    """The one that splits the first lines into the same number of cells, and into most.

    >>> _delimiter("a;b\\n1,5;2\\n")
    ';'
    """
    lines = [line for line in text[:10_000].split("\n") if line.strip()][:10]

    def columns(delimiter: str) -> tuple[bool, int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        usual = sorted(widths)[len(widths) // 2] if widths else 0
        return len(set(widths)) == 1 and usual > 1, widths.count(usual) if usual > 1 else 0, usual

    return max(_DELIMITERS, key=columns)
