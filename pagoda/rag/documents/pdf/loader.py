"""PDF files to documents.

First station of a document's path: *PDF -> lines -> without furniture -> paragraphs -> Document* -> Chunks -> index ->
Hits -> answer. Here the file is opened, and what may be missing from its text is said.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.decoding import HIGHER_LIMIT, LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.pdf import recognition
from pagoda.rag.documents.pdf.furniture import without_furniture
from pagoda.rag.documents.pdf.lines import Page, read_page
from pagoda.rag.documents.pdf.paragraphs import joined
from pagoda.rag.documents.pdf.quality import page_list, quality_warnings
from pagoda.rag.documents.places import Places
from pagoda.rag.errors import EmptyFileError, LoadError

_INSTALL = "install pagoda-llm[ocr], which reads it from the picture, or run text recognition (OCR) over the file first"
# PDFium is not made for threads: one file at a time.
_pdfium_lock = threading.Lock()


def load_pdf(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The text of all pages, paragraph by paragraph, and where each page begins."""
    with opened_pdf(data) as pdf:
        pages, scanned = _pages(pdf, settings)
        info = pdf.get_metadata_dict()
    read = joined(without_furniture(pages))
    warnings = quality_warnings(read.text)
    if scanned and not read.text.strip():
        raise EmptyFileError(f"holds no text, only pictures of it: {_INSTALL}")
    if scanned:
        warnings.append(f"has pages without text, which seem to be scanned ({page_list(scanned)}): {_INSTALL}")
    return Document(
        source=source,
        text=read.text,
        title=info["Title"],
        places=Places.from_pages(read.page_starts),
        metadata=metadata_of({"author": info["Author"]}),
        headings=read.headings,
        listings=read.listings,
        warnings=tuple(warnings),
    )


def _pages(pdf: Any, settings: LoaderSettings) -> tuple[list[Page], list[int]]:
    """The pages, and the numbers of those that are pictures and stay so."""
    pages: list[Page] = []
    scanned: list[int] = []
    length = 0
    for number in range(1, len(pdf) + 1):
        with closing(pdf[number - 1]) as opened:
            page = read_page(opened)
            if page.has_picture and (lines := recognition.recognised(opened)):
                page = Page(lines, page.width, page.height)
        if page.has_picture:
            scanned.append(number)
        pages.append(page)
        length += sum(len(line.text) for line in page.lines)
        if length > settings.max_bytes:
            raise LoadError(f"unpacks to more than {settings.max_bytes:,} characters: split it, or {HIGHER_LIMIT}")
    return pages, scanned


@contextmanager
def opened_pdf(data: bytes) -> Iterator[Any]:
    """The file in PDFium, for one thread at a time. Raises LoadError, MissingExtraError."""
    try:
        import pypdfium2
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading PDF (pypdfium2)", "rag") from error
    with _pdfium_lock:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise LoadError("is encrypted: remove its password") from error
            raise
        with closing(pdf):
            yield pdf
