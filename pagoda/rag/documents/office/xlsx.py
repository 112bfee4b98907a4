"""Excel workbooks to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. openpyxl reads the cells;
each table of a sheet becomes a paragraph a row, which names its columns, with values as a reader sees them (a share as
per cent, a date as a date). The number of the row is the line of a citation, that of the sheet its page.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import groupby
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document, struck_warnings
from pagoda.rag.documents.office.archive import open_archive
from pagoda.rag.documents.office.grid import grid_lines
from pagoda.rag.documents.tables import Spanned, is_value

_DEFAULT_NAME = re.compile(r"(?:sheet|tabelle|feuil|hoja|工作表|лист)\s*\d*", re.IGNORECASE)
_CURRENCY = re.compile(r"[$€£¥￥₽₹元]")
# A cell merged over more than this is a frame, and its text is not repeated.
_LARGEST_MERGE = 1000
_NO_STYLES = (
    b'<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts><font/></fonts><fills>'
    b"<fill><patternFill/></fill></fills><borders><border/></borders><cellStyleXfs><xf/></cellStyleXfs><cellXfs><xf/></cellXfs></styleSheet>"
)
_STYLE_OF_CELL = re.compile(rb"""(<(?:\w+:)?(?:c|row|col)\b[^>]*?)\s(?:s|style)=["']\d*["']""")
_SHEET_DATA, _STRINGS = re.compile(rb"<(?:\w+:)?sheetData"), "xl/sharedStrings.xml"
_HOW = {"data_only": True, "keep_links": False, "rich_text": True}
Row = tuple[int, list[str]]
"""The number of a row and the texts of its cells."""


def load_xlsx(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The visible sheets in their order."""
    open_archive(data, settings, "xlsx").close()
    workbook, told = _workbook(data)
    visible = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
    hidden = [sheet.title for sheet in workbook.worksheets if sheet.sheet_state != "visible"]
    composition = Composition(settings.max_bytes)
    num_struck = 0
    for number, sheet in enumerate(visible, start=1):
        page = number if len(visible) > 1 else None
        if not _DEFAULT_NAME.fullmatch(sheet.title):
            composition.add(sheet.title, page=page, line=1, level=1)
        for line, text in _sheet_lines(sheet):
            composition.add(text, page=page, line=line)
        num_struck += sum(_is_struck(cell) for cell in getattr(sheet, "_cells", {}).values())
    properties = workbook.properties
    metadata = metadata_of({"author": properties.creator, "category": properties.category})
    told += [f"has hidden sheets, which were left out: {', '.join(hidden)}"] if hidden else []
    told += struck_warnings(num_struck)
    return composition.document(source, properties.title or "", metadata, told)


def _workbook(data: bytes) -> tuple[Any, list[str]]:
    """The workbook, and what was lost on the way to it."""
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Excel files (openpyxl)", "rag") from error
    with warnings.catch_warnings():
        # It warns of every extension that it does not know.
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):
            return openpyxl.load_workbook(io.BytesIO(data), **_HOW), []
        with contextlib.suppress(Exception):
            # A drawing or a pivot that is broken: cells alone, without what is merged.
            book = openpyxl.load_workbook(io.BytesIO(data), **_HOW, read_only=True)
            return book, ["has broken parts: merged cells stand once, and remarks are left out"]
        plain = openpyxl.load_workbook(io.BytesIO(_without_styles(data)), **_HOW)
        return plain, [
            "has a broken style sheet or broken names: dates, shares and currencies are plain numbers, none struck out"
        ]


def _without_styles(data: bytes) -> bytes:
    """The workbook with a style sheet that says nothing, and cells that ask for none."""
    plain = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as target:
        for name in archive.namelist():
            part = archive.read(name)
            if name.lower().endswith("styles.xml"):
                part = _NO_STYLES
            elif _SHEET_DATA.search(part):
                part = _STYLE_OF_CELL.sub(rb"\1", part)
            # Names are the same in any case, and openpyxl knows one.
            target.writestr(_STRINGS if name.lower() == _STRINGS.lower() else name, part)
    return plain.getvalue()


def _sheet_lines(sheet: Any) -> Iterator[tuple[int, str]]:
    """(row, text) of each row with its columns named."""
    for table in _tables(_rows(sheet)):
        first = min(_first_filled(cells) for _, cells in table)
        for index, text in grid_lines([cells[first:] for _, cells in table]):
            yield table[index][0], text


def _tables(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows that follow one another without an empty one between them, but for one that is set off below a head."""
    table: list[Row] = []
    is_set_off = False
    for number, cells in rows:
        if not any(cells):
            is_set_off = bool(table)
            continue
        if is_set_off and not _names_parts(table[-1][1], cells):
            yield table
            table = []
        table.append((number, cells))
        is_set_off = False
    if table:
        yield table


def _names_parts(last: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a row above an empty one is a head's last: words above the cells of a row that has a name before them."""
    named = {i for i, cell in enumerate(last) if cell}
    filled = {i for i, cell in enumerate(cells) if cell}
    first = min(filled)
    is_below = len(named) > 1 and first < min(named) and filled - {first} == named
    return is_below and not any(is_value(last[i]) for i in named) and any(is_value(cells[i]) for i in named)


def _rows(sheet: Any) -> Iterator[Row]:
    """The rows that have a text, and an empty one wherever some are left out."""
    merged = _merged(sheet)
    last = 0
    for number, cells in _filled_rows(sheet):
        texts: list[str] = []
        for column, cell in cells:
            texts += [""] * (column - 1 - len(texts))
            texts.append(merged.get((number, column)) or _shown(cell))
        if any(texts):
            if number > last + 1:
                yield number - 1, []
            yield number, texts
            last = number


def _filled_rows(sheet: Any) -> Iterator[tuple[int, list[tuple[int, Any]]]]:
    """The cells that the file has, by row and column.

    A sheet that is formatted down to its last corner has seventeen thousand million: asked by rows, it makes them all.
    """
    if hasattr(sheet, "_cells"):
        for number, row in groupby(sorted(sheet._cells), key=lambda place: place[0]):
            yield number, [(column, sheet._cells[place_row, column]) for place_row, column in row]
        return
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(), start=1):
        yield number, [(column, cell) for column, cell in enumerate(row, start=1) if cell.value is not None]


def _merged(sheet: Any) -> dict[tuple[int, int], str]:
    """The text of a merged cell in every row and column of it; where it has its row to itself, it stands once."""
    texts: dict[tuple[int, int], str] = {}
    merged = getattr(sheet, "merged_cells", None)
    widths = _widths(sheet) if merged is not None else {}
    for area in merged.ranges if merged is not None else ():
        first, last = widths.get(area.min_row, (area.min_col, area.max_col))
        has_row_to_itself = area.min_col <= first and last <= area.max_col
        if has_row_to_itself or area.size["rows"] * area.size["columns"] > _LARGEST_MERGE:
            continue
        text = _shown(sheet.cell(area.min_row, area.min_col))
        for row, column in _places(area):
            texts[row, column] = text if column == area.min_col else Spanned(text)
    return texts


def _widths(sheet: Any) -> dict[int, tuple[int, int]]:
    """The first and the last column of each row that hold a value."""
    widths: dict[int, tuple[int, int]] = {}
    for (row, column), cell in sheet._cells.items():
        if cell.value is not None:
            first, last = widths.get(row, (column, column))
            widths[row] = (min(first, column), max(last, column))
    return widths


def _places(area: Any) -> Iterator[tuple[int, int]]:
    for row in range(area.min_row, area.max_row + 1):
        for column in range(area.min_col, area.max_col + 1):
            yield row, column


def _is_struck(cell: Any) -> bool:
    """Whether a line is drawn through a value or through a part of it, which holds no longer."""
    return cell.value is not None and str(cell.value) != str(_standing(cell))


def _standing(cell: Any) -> Any:
    """The value without what is struck out; parts of a text may have letters of their own."""
    is_struck = cell.value is not None and cell.has_style and bool(cell.font.strike)
    if not isinstance(cell.value, list):
        return "" if is_struck else cell.value
    runs = ((part, is_struck) if isinstance(part, str) else (part.text, part.font.strike) for part in cell.value)
    return "".join(text for text, struck in runs if not struck)


def _shown(cell: Any) -> str:
    text = _value(_standing(cell), cell.number_format)
    note = getattr(cell, "comment", None)
    return f"{text} ({' '.join(note.text.split())})" if note is not None and note.text.strip() else text


def _value(value: Any, number_format: str) -> str:
    """As a reader sees it, without the format's rounding.

    >>> _value(0.15, "0.0%"), _value(1200.5, '#,##0.00 "€"'), _value(datetime(2024, 5, 1), "dd.mm.yyyy")
    ('15%', '1200.5 €', '2024-05-01')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if not isinstance(value, (int, float)):
        return " ".join(str(value).split())
    if "%" in number_format:
        return f"{100 * value:.12g}%"
    currency = _CURRENCY.search(number_format)
    number = str(value) if isinstance(value, int) else f"{value:.15g}"
    return f"{number} {currency[0]}" if currency else number


def _first_filled(cells: Sequence[str]) -> int:
    return next(i for i, cell in enumerate(cells) if cell)
