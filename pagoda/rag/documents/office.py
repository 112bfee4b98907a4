"""PDF and Word files to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A PDF knows lines, not
paragraphs: lines that were broken for the page's width are joined again, because a sentence or a Chinese word that is
cut in two can neither be found nor quoted.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.markup import metadata_of
from pagoda.rag.documents.tables import rows_to_lines
from pagoda.rag.errors import LoadError

_OLE = b"\xd0\xcf\x11\xe0"
_HAN = r"[\u2e80-\u9fff\uf900-\ufaff\uff01-\uffee]"
_HAN_BREAK = re.compile(rf"(?<={_HAN})(?<![。！？；])\n(?={_HAN})")
_HYPHEN_BREAK = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_WORD_BREAK = re.compile(r"(?<=[A-Za-z0-9,;)’\"'])\n(?=[a-z(0-9])")


def load_docx(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """Paragraphs and tables in their order."""
    if data.startswith(_OLE):
        raise LoadError("is encrypted, or a .doc of old Word: remove the password, or save it as .docx")
    _check_unpacked(data, settings)
    document = _docx(data)
    properties = document.core_properties
    metadata = metadata_of({"author": properties.author, "category": properties.category})
    return Document(source, "\n\n".join(_docx_blocks(document)), properties.title or "", metadata=metadata)


def _check_unpacked(data: bytes, settings: LoaderSettings) -> None:
    """A few kilobytes of a zip file can unpack to all of the memory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        total = sum(entry.file_size for entry in archive.infolist())
    if total > settings.max_bytes:
        raise LoadError(f"unpacks to {total:,} bytes, at most {settings.max_bytes:,} are read: raise max_bytes")


def _docx(data: bytes) -> Any:
    try:
        import docx
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Word files (python-docx)", "rag") from error
    return docx.Document(io.BytesIO(data))


def _docx_blocks(document: Any) -> Iterator[str]:
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            yield from rows_to_lines(_docx_rows(block))
        elif block.text.strip():
            yield block.text.strip()


def _docx_rows(table: Any) -> list[list[str]]:
    """A merged cell stands in every column that it covers: it is taken once."""
    rows = []
    for row in table.rows:
        cells = [cell for i, cell in enumerate(row.cells) if i == 0 or cell._tc is not row.cells[i - 1]._tc]
        rows.append([" ".join(cell.text.split()) for cell in cells])
    return rows
