"""A document of an index to look at, with the passage that an answer cites marked.

Beside a question's path, behind the answer: citation -> *document*. A document is asked for by the name that the index
knows; where its file is, nobody outside can say. The file is shown only where it is, byte by byte, what was indexed;
where it changed or is gone, what the index holds of it is shown instead, and said so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pagoda.errors import InvalidRequestError
from pagoda.rag.documents.decoding import decode
from pagoda.rag.documents.document import Chunk, Document
from pagoda.rag.documents.formats.light_markup import is_rst
from pagoda.rag.documents.formats.source_code import CODE_SUFFIXES
from pagoda.rag.documents.loaders import load_bytes
from pagoda.rag.documents.markup.front_matter import split_front_matter
from pagoda.rag.documents.markup.html import declared_encoding
from pagoda.rag.documents.markup.markdown import MARKDOWN_SUFFIXES
from pagoda.rag.errors import LoadError, UnknownDocumentError
from pagoda.rag.index.catalog import Catalog, DocumentRecord
from pagoda.rag.viewing.marking import mark, plain_text
from pagoda.rag.viewing.pages import Span, html_tree, markdown_tree, safe_html, text_tree
from pagoda.rag.viewing.passage import find_passage
from pagoda.rag.viewing.pdf import Box, page_picture, passage_boxes

ViewKind = Literal["markdown", "html", "text", "code", "pages"]
_MARKDOWN, _HTML = frozenset((*MARKDOWN_SUFFIXES, ".mdx")), frozenset((".html", ".htm", ".xhtml"))
_CODE = frozenset((*CODE_SUFFIXES, ".py", ".pyi", ".log"))
_LINK_TARGET = re.compile(r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?\)|\{#[\w-]+\}")
# Of a page whose whole is shown, and of the part of a longer document that is shown around the passage.
_MOST_BYTES, _WINDOW = 1_000_000, 120_000


@dataclass(frozen=True, kw_only=True)
class DocumentView:
    """A document as a person looks at it.

    html: safe to stand in any page: see `viewing.pages`; of kind "pages" the text of one page of a PDF
    is_marked: whether the passage was found in it; is_current: whether the file is what was indexed
    is_whole: False where only the part around the passage is shown
    page, num_pages: of a PDF, counted from 1; has_picture: whether `picture_of` has that page
    boxes: around the lines of the passage on that page
    """

    source: str
    title: str
    kind: ViewKind
    html: str = ""
    is_marked: bool = False
    is_current: bool = True
    is_whole: bool = True
    page: int | None = None
    num_pages: int | None = None
    has_picture: bool = False
    boxes: tuple[Box, ...] = ()


def view_of(catalog: Catalog, source: str, start: int = 0, end: int = 0, page: int | None = None) -> DocumentView:
    """A document with its characters from `start` to `end` marked; none where they are equal.

    page: of a PDF, another one than that of the passage
    Raises InvalidRequestError for what is not in the index or not in the document, MissingExtraError.
    """
    record = _record(catalog, source)
    if not 0 <= start <= end <= record.num_chars:
        raise InvalidRequestError(
            f"start and end are {start} and {end}, but the document has {record.num_chars} characters", param="end"
        )
    text, chunks = _indexed(catalog, record)
    asked = _Asked(record, text, chunks, (start, end))
    data = _current_bytes(record)
    if _suffix(record) == ".pdf":
        return _pdf_view(asked, data, page)
    if data is not None and len(data) <= _MOST_BYTES:
        is_page = _suffix(record) in _MARKDOWN | _HTML
        shown = (_page_view(asked, data) if is_page else None) or _structured_view(asked, data)
        if shown is not None:
            return shown
    return replace(_text_view(asked, Document(source, text)), is_current=data is not None)


def picture_of(catalog: Catalog, source: str, page: int) -> bytes:
    """A page of a PDF as PNG. Raises InvalidRequestError where there is none, MissingExtraError."""
    record = _record(catalog, source)
    data = _current_bytes(record)
    if data is None or _suffix(record) != ".pdf":
        raise InvalidRequestError(f"{source!r:.200} has no pictures of pages: it is no PDF, or changed", param="source")
    return page_picture(data, page)


@dataclass(frozen=True)
class _Asked:
    """A document as the index holds it, and the characters to mark."""

    record: DocumentRecord
    text: str
    chunks: Sequence[Chunk]
    span: Span

    @property
    def passage(self) -> str:
        return self.text[slice(*self.span)]

    def view(self, kind: ViewKind, **fields: Any) -> DocumentView:
        return DocumentView(source=self.record.source, title=self.record.title, kind=kind, **fields)


def _record(catalog: Catalog, source: str) -> DocumentRecord:
    found = next((record for record in catalog.documents() if record.source == source), None)
    if found is None:
        raise UnknownDocumentError(f"there is no document {source!r:.200} in this index", param="source")
    return found


def _suffix(record: DocumentRecord) -> str:
    return PurePosixPath(record.source).suffix.lower()


def _indexed(catalog: Catalog, record: DocumentRecord) -> tuple[str, list[Chunk]]:
    """The document's text, put together from its chunks, which have all of it but blanks."""
    chunks = catalog.chunks(record.source)
    characters = ["\n"] * record.num_chars
    for chunk in chunks:
        characters[chunk.start : chunk.end] = chunk.text
    return "".join(characters), chunks


def _current_bytes(record: DocumentRecord) -> bytes | None:
    """The file, if it is still the one that was indexed."""
    path = Path(record.location)
    try:
        if not path.is_file() or path.stat().st_size != record.size:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == record.file_hash else None


def _structured_view(asked: _Asked, data: bytes) -> DocumentView | None:
    """The text with its headings and listings; None where it was read with other settings than the usual ones."""
    try:
        document = load_bytes(data, asked.record.source)
    except LoadError:
        return None
    return _text_view(asked, document) if document.content_hash == asked.record.content_hash else None


def _page_view(asked: _Asked, data: bytes) -> DocumentView | None:
    """Markdown or HTML as it is meant, the passage found by its words; None where nobody knows its encoding.

    None, too, for reStructuredText that is called Markdown.
    """
    kind: ViewKind = "markdown" if _suffix(asked.record) in _MARKDOWN else "html"
    try:
        text = decode(data, None if kind == "markdown" else declared_encoding(data))
    except LoadError:
        return None
    if kind == "markdown" and is_rst(text):
        return None
    tree = markdown_tree(text[split_front_matter(text)[1] :]) if kind == "markdown" else html_tree(text)
    expected = asked.span[0] / max(1, len(asked.text))
    # What a link leads to is not to be seen.
    passage = _LINK_TARGET.sub("]", asked.passage) if kind == "markdown" else asked.passage
    found = find_passage(plain_text(tree), passage, expected)
    is_marked = found is not None and mark(tree, *found) > 0
    return asked.view(kind, html=safe_html(tree), is_marked=is_marked)


def _text_view(asked: _Asked, document: Document) -> DocumentView:
    start, end = asked.span
    first = max(0, document.text.rfind("\n", 0, max(0, (start + end - _WINDOW) // 2)) + 1)
    last = min(len(document.text), max(first + _WINDOW, end))
    is_code = _suffix(asked.record) in _CODE
    headings, listings = (() if is_code else document.headings or ()), document.listings
    if is_code:
        listings = ((0, len(document.text)),)
    tree = text_tree(document.text, (first, last), asked.span, headings, listings)
    is_marked = bool(asked.passage.strip())
    is_whole = (first, last) == (0, len(document.text))
    return asked.view("code" if is_code else "text", html=safe_html(tree), is_marked=is_marked, is_whole=is_whole)


def _pdf_view(asked: _Asked, data: bytes | None, page: int | None) -> DocumentView:
    """One page: its text as it was indexed, and where on its picture the passage stands."""
    starts = {(number, begin) for chunk in asked.chunks for begin, number in chunk.places.pages}
    pages = sorted(starts | {(chunk.page, chunk.start) for chunk in asked.chunks if chunk.page is not None})
    at_passage = next((number for number, first in reversed(pages) if first <= asked.span[0]), 1)
    number = page or at_passage
    first = min((begin for found, begin in pages if found == number), default=len(asked.text))
    last = min((begin for found, begin in pages if found > number), default=len(asked.text))
    passage = asked.text[max(first, asked.span[0]) : min(last, asked.span[1])]
    num_pages, boxes = max((number for number, _ in pages), default=1), list[Box]()
    if data is not None:
        num_pages, boxes = passage_boxes(data, number, passage)
    elif not 1 <= number <= num_pages:
        raise InvalidRequestError(f"page is {number}, but the document has pages 1 to {num_pages}", param="page")
    tree = text_tree(asked.text, (first, last), asked.span)
    facts = {"page": number, "num_pages": num_pages, "is_current": data is not None, "has_picture": data is not None}
    return asked.view("pages", html=safe_html(tree), is_marked=bool(passage.strip()), boxes=tuple(boxes), **facts)
