"""Files to documents: one loader per format, chosen by the file's suffix.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. A loader gives the text as
a person would read it, because answers quote it. Whatever is wrong with a file ends in one LoadError, and the other
files go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar, cast

from pagoda.errors import MissingExtraError, PagodaError
from pagoda.rag.documents.columns import text_tables
from pagoda.rag.documents.decoding import HIGHER_LIMIT, LoaderSettings, decode
from pagoda.rag.documents.delimited import load_csv, load_tsv
from pagoda.rag.documents.description import described
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.formats.eml import load_eml
from pagoda.rag.documents.formats.epub import load_epub
from pagoda.rag.documents.formats.ipynb import load_ipynb
from pagoda.rag.documents.formats.light_markup import is_rst, load_adoc, load_org, load_rst
from pagoda.rag.documents.formats.rtf import load_rtf
from pagoda.rag.documents.formats.source_code import CODE_SUFFIXES, load_code, load_python
from pagoda.rag.documents.markup.html import load_html
from pagoda.rag.documents.markup.markdown import MARKDOWN_SUFFIXES, load_markdown
from pagoda.rag.documents.markup.mdx import load_mdx
from pagoda.rag.documents.office.docx import load_docx
from pagoda.rag.documents.office.odf import load_odf
from pagoda.rag.documents.office.pptx import load_pptx
from pagoda.rag.documents.office.xlsx import load_xlsx
from pagoda.rag.documents.pdf.loader import load_pdf
from pagoda.rag.documents.places import line_starts
from pagoda.rag.documents.records import load_json, load_jsonl
from pagoda.rag.errors import EmptyFileError, LoadError, UnknownKindError

T = TypeVar("T")
# Part of each document's recipe: another version means that the same file gives another text.
LOADERS_VERSION = "6"


def load_text(text: str, source: str) -> Document:
    """Plain text, as it is; rows of a table whose columns are set by blanks name their columns."""
    lines = text.split("\n")
    tables = list(text_tables(lines))
    for table in tables:
        for number, line in table.rows.items():
            lines[number] = line
    starts, text = line_starts(lines), "\n".join(lines)
    return Document(source, text, listings=tuple((starts[t.first], min(starts[t.last], len(text))) for t in tables))


def load_marked(text: str, source: str) -> Document:
    """What is called Markdown, and now and then is reStructuredText."""
    return load_rst(text, source) if is_rst(text) else load_markdown(text, source)


_FROM_TEXT: dict[str, Callable[[str, str], Document]] = {
    **dict.fromkeys((".txt", ".text", ".log"), load_text),
    **dict.fromkeys(MARKDOWN_SUFFIXES, load_marked),
    **dict.fromkeys((".adoc", ".asciidoc"), load_adoc),
    **dict.fromkeys((".jsonl", ".ndjson"), load_jsonl),
    **dict.fromkeys((".py", ".pyi"), load_python),
    **dict.fromkeys(CODE_SUFFIXES, load_code),
    ".mdx": load_mdx,
    ".rst": load_rst,
    ".org": load_org,
    ".json": load_json,
    ".csv": load_csv,
    ".tsv": load_tsv,
}
_FROM_BYTES: dict[str, Callable[[bytes, str, LoaderSettings], Document]] = {
    **dict.fromkeys((".html", ".htm", ".xhtml"), load_html),
    **dict.fromkeys((".docx", ".docm"), load_docx),
    **dict.fromkeys((".xlsx", ".xlsm"), load_xlsx),
    **dict.fromkeys((".pptx", ".pptm"), load_pptx),
    **dict.fromkeys((".odt", ".ods", ".odp"), load_odf),
    ".pdf": load_pdf,
    ".rtf": load_rtf,
    ".epub": load_epub,
    ".eml": load_eml,
    ".ipynb": load_ipynb,
}
SUFFIXES = frozenset(_FROM_TEXT) | frozenset(_FROM_BYTES)
"""Of every format that can be read."""
# Half of a surrogate pair and the zero character are in no text that a database keeps.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read_file(path: Path, settings: LoaderSettings) -> bytes:
    """The bytes of a file, if it is one that can be loaded. Raises LoadError before it reads much."""
    _loader_suffix(path.name)
    try:
        if not path.is_file():
            raise LoadError("is no regular file: give it a copy of its contents")
        _check_size(path.stat().st_size, settings)
        with path.open("rb") as file:
            # It may be growing while it is read.
            data = file.read(settings.max_bytes + 1)
    except OSError as error:
        raise LoadError(f"cannot be read ({error.strerror}): check that it is there and its permissions") from error
    _check_size(len(data), settings)
    return data


def load_bytes(data: bytes, source: str, settings: LoaderSettings | None = None) -> Document:
    """The document in `data`, whose format the suffix of `source` tells. Raises LoadError: what is wrong with it."""
    settings = settings or LoaderSettings()
    suffix = _loader_suffix(source)
    if not data:
        raise EmptyFileError("is empty: write something into it, or leave it out")
    try:
        if suffix in _FROM_TEXT:
            text = decode(data, settings.encoding)
            document = _warned(_FROM_TEXT[suffix](text, source), text)
        else:
            document = _FROM_BYTES[suffix](data, source, settings)
            # A PDF says itself what of its fonts cannot be read.
            document = document if suffix == ".pdf" else _warned(document, document.text)
    except MissingExtraError as error:
        # Other files go on without it.
        raise LoadError(str(error)) from error
    except PagodaError:
        raise
    except Exception as error:
        # Parsers of foreign formats raise whatever they stumble over; it says something about the file.
        raise LoadError(f"is broken: {type(error).__name__}: {error}".rstrip(": ")) from error
    return _finished(document, suffix)


def _warned(document: Document, text: str) -> Document:
    """With a warning where bytes of the file were broken."""
    if not (num_broken := text.count("\ufffd")):
        return document
    what = (
        f"has {num_broken:,} broken characters that could not be read: save it as UTF-8 again from where it came from"
    )
    return replace(document, warnings=(*document.warnings, what))


def _finished(document: Document, suffix: str) -> Document:
    if not document.text.strip():
        raise EmptyFileError("holds no text" + "".join(f"; it {warning}" for warning in document.warnings))
    title, told = " ".join(document.title.split()), {**described(document), "format": suffix[1:]}
    metadata = {_storable(name): _storable(value) for name, value in told.items()}
    return replace(document, text=_storable(document.text), title=_storable(title), metadata=metadata)


def _storable(value: T) -> T:
    """Texts, alone or among others, without what no database keeps; all else as it is."""
    if isinstance(value, str):
        return cast(T, _UNSTORABLE.sub("\ufffd", value))
    return cast(T, tuple(map(_storable, value))) if isinstance(value, tuple) else value


def _loader_suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    known = ", ".join(sorted(known[1:] for known in SUFFIXES))
    raise UnknownKindError(f"is of a kind that cannot be read ({suffix or 'no suffix'})", known)


def _check_size(num_bytes: int, settings: LoaderSettings) -> None:
    if num_bytes > settings.max_bytes:
        raise LoadError(
            f"has {num_bytes:,} bytes, at most {settings.max_bytes:,} are read: split it, or {HIGHER_LIMIT}"
        )
