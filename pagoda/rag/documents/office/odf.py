"""OpenDocument files (LibreOffice): texts, tables and presentations, to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. OASIS OpenDocument 1.3,
part 3: one XML file in a zip archive holds all text as it is shown, so that the standard library and lxml are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document, struck_warnings
from pagoda.rag.documents.office.archive import first_text, open_archive, parse_xml
from pagoda.rag.documents.office.grid import grid_lines
from pagoda.rag.documents.tables import Spanned
from pagoda.rag.errors import LoadError

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _OFFICE, _DRAW = (f"{{{_OASIS}{name}:1.0}}" for name in ("text", "table", "office", "drawing"))
_STYLE, _DC = f"{{{_OASIS}style:1.0}}", "{http://purl.org/dc/elements/1.1/}"
_PARAGRAPHS = frozenset((_TEXT + "p", _TEXT + "h"))
_AS_TEXT = {_TEXT + "tab": " ", _TEXT + "line-break": "\n"}
# What was deleted; what hangs on a paragraph and is read behind it; numbers that notes carry.
_GONE = frozenset(
    (_TEXT + "tracked-changes", _TEXT + "note-citation", _OFFICE + "forms", _DC + "date", _DC + "creator")
)
_HANGING = frozenset((_TEXT + "note", _OFFICE + "annotation", _DRAW + "text-box", _TABLE + "table"))
# An empty cell that is repeated to the end of the sheet says nothing.
_MOST_REPEATED = 100


def load_odf(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The text in its order; the slide or the sheet is the page of a citation; running titles come last, each once."""
    with open_archive(data, settings, source.rsplit(".", 1)[-1].lower()) as archive:
        names = set(archive.namelist())
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise LoadError("is encrypted: remove its password")
        content = parse_xml(archive.read("content.xml"))
        styles = parse_xml(archive.read("styles.xml")) if "styles.xml" in names else None
        meta = parse_xml(archive.read("meta.xml")) if "meta.xml" in names else None
    body, num_struck = content.find(_OFFICE + "body"), _without_struck(content)
    composition = Composition(settings.max_bytes)
    for page, text, level in _pages(body):
        composition.add(text, page=page, level=level)
    composition.add_all(dict.fromkeys(_running(styles)))
    author = metadata_of({"author": first_text(meta, _DC + "creator")})
    return composition.document(source, first_text(meta, _DC + "title"), author, struck_warnings(num_struck))


def _without_struck(content: Any) -> int:
    """Take away what a style draws a line through; how many places there were."""
    struck = set()
    for style in content.iter(_STYLE + "style"):
        look = style.find(_STYLE + "text-properties")
        if look is not None and look.get(_STYLE + "text-line-through-style", "none") != "none":
            struck.add(style.get(_STYLE + "name"))
    found = [part for part in content.iter(_TEXT + "span", *_PARAGRAPHS) if part.get(_TEXT + "style-name") in struck]
    for part in found:
        part.clear(keep_tail=True)
    return len(found)


def _pages(body: Any) -> Iterator[tuple[int | None, str, int]]:
    kind = body[0]
    parts = [part for part in kind if part.tag in (_DRAW + "page", _TABLE + "table")]
    if kind.tag not in (_OFFICE + "presentation", _OFFICE + "drawing", _OFFICE + "spreadsheet"):
        yield from ((None, text, level) for text, level in _blocks(kind))
        return
    for number, part in enumerate(parts, start=1):
        if part.tag == _TABLE + "table" and len(parts) > 1:
            yield number, part.get(_TABLE + "name", ""), 1
        blocks = _blocks(part) if part.tag == _DRAW + "page" else ((line, 0) for line in _rows(part))
        yield from ((number, text, level) for text, level in blocks)


def _blocks(element: Any) -> Iterator[tuple[str, int]]:
    """The text of each paragraph and row below an element, and its level as a heading, 0 for what is none."""
    for child in element:
        if child.tag in _GONE:
            continue
        if child.tag == _TABLE + "table":
            yield from ((line, 0) for line in _rows(child))
        elif child.tag in _PARAGRAPHS:
            hanging: list[Any] = []
            text = "".join(_pieces(child, hanging))
            yield "\n".join(" ".join(line.split()) for line in text.split("\n")), _heading_level(child)
            for behind in hanging:
                yield from _blocks([behind] if behind.tag == _TABLE + "table" else behind)
        elif isinstance(child.tag, str):
            yield from _blocks(child)


def _heading_level(paragraph: Any) -> int:
    level = paragraph.get(_TEXT + "outline-level", "1")
    return max(1, int(level) if level.isdigit() else 1) if paragraph.tag == _TEXT + "h" else 0


def _pieces(element: Any, hanging: list[Any]) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag in _HANGING:
            hanging.append(child)
        elif child.tag in _AS_TEXT:
            yield _AS_TEXT[child.tag]
        elif child.tag == _TEXT + "s":
            yield " "
        elif child.tag not in _GONE and isinstance(child.tag, str):
            # Paragraphs within a paragraph: in frames around pictures.
            yield from (" ",) if child.tag in _PARAGRAPHS else ()
            yield from _pieces(child, hanging)
        yield child.tail or ""


def _rows(table: Any) -> Iterator[str]:
    yield from (text for _, text in grid_lines([row for row in _grid(table) if any(row)]))


def _grid(table: Any) -> Iterator[list[str]]:
    # Column -> (rows that its cell still reaches down to, text).
    reaching: dict[int, tuple[int, str]] = {}
    for row in table.iter(_TABLE + "table-row"):
        if next(row.iterancestors(_TABLE + "table")) is not table:
            continue
        cells: list[str] = []
        for cell in row.iterchildren(_TABLE + "table-cell", _TABLE + "covered-table-cell"):
            column = len(cells)
            left, text = reaching.get(column, (0, ""))
            if cell.tag == _TABLE + "table-cell":
                text = " ".join(part for part, _ in _blocks(cell) if part)
                reaching[column] = (_count(cell, "number-rows-spanned") - 1, text)
            elif left > 0:
                reaching[column] = (left - 1, text)
            else:
                text = Spanned(cells[-1]) if cells else ""
            cells += [text] * _count(cell, "number-columns-repeated")
        yield cells


def _count(cell: Any, name: str) -> int:
    value = cell.get(_TABLE + name, "1")
    return min(int(value), _MOST_REPEATED) if value.isdigit() else 1


def _running(styles: Any) -> Iterator[str]:
    if styles is not None:
        for name in ("header", "footer"):
            for element in styles.iter(_STYLE + name):
                yield from (text for text, _ in _blocks(element))
