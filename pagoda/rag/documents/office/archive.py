"""Files that are zip archives of XML, as offices and publishers make them: opened with care.

Below the first station of a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer. A few kilobytes
of a zip file can unpack to all of the memory, and XML may name files to be read: neither happens here.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.decoding import HIGHER_LIMIT, LoaderSettings
from pagoda.rag.errors import LoadError

_OLE = b"\xd0\xcf\x11\xe0"


def open_archive(data: bytes, settings: LoaderSettings, kind: str) -> zipfile.ZipFile:
    """The archive in `data`. kind: the suffix, for messages. Raises LoadError where it is too large or locked."""
    if data.startswith(_OLE):
        old = kind.removesuffix("x")
        raise LoadError(f"is encrypted, or a .{old} of an old office: remove the password, or save it as .{kind}")
    archive = zipfile.ZipFile(io.BytesIO(data))
    total = sum(entry.file_size for entry in archive.infolist())
    if total > settings.max_bytes:
        raise LoadError(f"unpacks to {total:,} bytes, at most {settings.max_bytes:,} are read: {HIGHER_LIMIT}")
    if any(entry.flag_bits & 1 for entry in archive.infolist()):
        raise LoadError("is encrypted: remove its password")
    return archive


def parse_xml(data: bytes) -> Any:
    """The root element. Entities are not expanded, and nothing outside of `data` is read."""
    try:
        from lxml import etree
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading office files (lxml)", "rag") from error
    return etree.fromstring(
        data, etree.XMLParser(resolve_entities=False, no_network=True, recover=True, huge_tree=False)
    )


def first_text(root: Any, tag: str) -> str:
    """What the first element with a tag says; "" where there is none."""
    found = None if root is None else next(root.iter(tag), None)
    return "" if found is None else (found.text or "")
