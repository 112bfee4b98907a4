"""What is known of every document, under one name each, whatever its format calls it: language, version, date.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A filter asks for these
names, and a citation shows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from pagoda.language import language_of
from pagoda.rag.documents.document import Document, Metadata, Scalar

_ALIASES = {
    "language": ("lang", "locale", "语言"),
    "version": ("release", "product_version", "版本"),
    "date": ("updated", "last_updated", "lastmod", "last_modified", "modified", "published", "created", "日期"),
}
_VERSION = re.compile(r"v?(\d+(?:\.\d+)+(?:[-.]?(?:rc|alpha|beta|dev)\d*)?)|v(\d+)", re.IGNORECASE)
_IN_NAME = re.compile(rf"(?:^|[-_])(?:{_VERSION.pattern})(?=$|[-_])", re.IGNORECASE)
_SAMPLE = 2000
_KANA = re.compile(r"[\u3041-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH = re.compile(r"\b(?:the|of|and|to|is|in|for|are|with|that|this)\b", re.IGNORECASE)
_LATIN_WORD = re.compile(r"[^\W\d_]+")


def metadata_of(pairs: Mapping[str, str | None]) -> Metadata:
    """Fields of a file's own metadata that say something."""
    return {name: value for name, value in pairs.items() if value}


def described(document: Document) -> Metadata:
    """The document's metadata with what can be told of it besides; nothing that it says of itself is changed."""
    found = dict(document.metadata)
    for name, others in _ALIASES.items():
        if name not in found:
            said = next((found[other] for other in others if other in found), None)
            value = said if said is not None else _told(name, document)
            if value:
                found[name] = value
    return found


def version_in_path(source: str) -> str:
    """The version that a folder or a file is named by, the innermost; "" where none is.

    >>> version_in_path("docs/v1.2/install.md"), version_in_path("guide-2.0.1.html"), version_in_path("2024/notes.md")
    ('1.2', '2.0.1', '')
    """
    path = PurePosixPath(source)
    for part in (path.stem, *reversed(path.parts[:-1])):
        if match := _VERSION.fullmatch(part) or _IN_NAME.search(part):
            return match[1] or match[2]
    return ""


def _told(name: str, document: Document) -> Scalar:
    """What path and text tell; "" where they do not."""
    if name == "version":
        return version_in_path(document.source)
    return _language(document.text) if name == "language" else ""


def _language(text: str) -> str:
    """By its script, and where that is Latin only if it is surely English.

    >>> _language("图书馆九点开门。"), _language("The library opens at nine."), _language("Die Bibliothek öffnet.")
    ('zh', 'en', '')
    """
    sample = text[:_SAMPLE]
    letters = _LATIN_WORD.findall(sample)
    num_han = len(_HAN.findall(sample))
    for pattern, language in ((_KANA, "ja"), (_HANGUL, "ko")):
        if len(pattern.findall(sample)) > max(2, num_han // 4):
            return language
    if num_han:
        return language_of(sample)
    return "en" if letters and len(_ENGLISH.findall(sample)) >= 0.1 * len(letters) else ""
