"""Electronic books to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. EPUB 3.3 (W3C): a zip
archive of web pages and a list of the order to read them in, so that the standard library and the reader of web pages
are enough.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.markup.html import load_html
from pagoda.rag.documents.office.archive import first_text, open_archive, parse_xml
from pagoda.rag.errors import LoadError

_CONTAINER, _LOCK = "META-INF/container.xml", "META-INF/encryption.xml"
_OPF, _DC = "{http://www.idpf.org/2007/opf}", "{http://purl.org/dc/elements/1.1/}"
_PAGES = frozenset(("application/xhtml+xml", "text/html"))


def load_epub(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The chapters in the order of reading."""
    with open_archive(data, settings, "epub") as archive:
        names = set(archive.namelist())
        if _LOCK in names and b"EncryptedKey" in archive.read(_LOCK):
            raise LoadError("is locked by its seller (DRM): index a copy without a lock")
        folder, package = _package(archive)
        composition = Composition(settings.max_bytes)
        for name in _chapters(package, folder):
            if name in names:
                composition.add_document(load_html(archive.read(name), name, settings))
    title, author = first_text(package, _DC + "title"), first_text(package, _DC + "creator")
    return composition.document(
        source, title, metadata_of({"author": author, "language": first_text(package, _DC + "language")})
    )


def _package(archive: zipfile.ZipFile) -> tuple[str, Any]:
    """The folder that names are relative to, and the root of the list of contents."""
    container = parse_xml(archive.read(_CONTAINER))
    name = next(element.get("full-path") for element in container.iter() if element.get("full-path"))
    return posixpath.dirname(name), parse_xml(archive.read(name))


def _chapters(package: Any, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in package.iter(_OPF + "item")}
    for reference in package.iter(_OPF + "itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and item.get("media-type") in _PAGES and "nav" not in item.get("properties", "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
