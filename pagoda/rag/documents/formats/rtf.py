"""RTF files to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. striprtf takes the control
words away; what is left is a line for each paragraph and each row of a table.
"""

from __future__ import annotations

import re
from itertools import groupby

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.office.grid import grid_lines
from pagoda.rag.errors import LoadError

_CODE_PAGE = re.compile(rb"\\ansicpg(\d+)")
_NOTE = re.compile(r"\{\s*(?:\\\*\s*)?\\footnote(?![a-z])\s?")
_BRACE = re.compile(r"(\\[{}\\]|[{}])")
_UNSET, _GB18030 = ("0", "1252"), "936"


def load_rtf(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The paragraphs and the rows of tables in their order."""
    try:
        from striprtf.striprtf import rtf_to_text
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading RTF (striprtf)", "rag") from error
    if not data.lstrip().startswith(b"{") or b"\\" not in data:
        raise LoadError("is no RTF: give it the suffix of its format")
    # Bytes one by one: which letters they are, the file's own control words say.
    marked = _with_notes(data.decode("latin-1"))
    if not marked.lstrip().startswith("{\\rtf"):
        # A fragment, as programs write it for one another.
        marked = f"{{\\rtf1\\ansi {marked}}}"
    # A cell's paragraph ends before the cell does.
    text = rtf_to_text(marked, encoding=_encoding(data), errors="replace").replace("\n|", "|")
    composition = Composition(settings.max_bytes)
    for is_table, lines in groupby(text.split("\n"), key=lambda line: "|" in line):
        rows = [[" ".join(cell.split()) for cell in line.removesuffix("|").split("|")] for line in lines]
        composition.add_all((line for _, line in grid_lines(rows)) if is_table else (row[0] for row in rows))
    return composition.document(source)


def _with_notes(text: str) -> str:
    """Notes as a remark in brackets where they hang: striprtf passes over them.

    >>> _with_notes(r"40 euros{\\footnote {\\b Since} 2024.} a day")
    '40 euros{ ({\\\\b Since} 2024.)} a day'
    """
    parts: list[str] = []
    last = 0
    for match in _NOTE.finditer(text):
        if match.start() >= last and (end := _end_of_group(text, match.end())) is not None:
            parts += [text[last : match.start()], "{ (", text[match.end() : end], ")"]
            last = end
    return "".join([*parts, text[last:]])


def _end_of_group(text: str, start: int) -> int | None:
    """Where the group ends that `start` is in."""
    depth = 1
    for match in _BRACE.finditer(text, start):
        depth += 1 if match[1] == "{" else -1 if match[1] == "}" else 0
        if depth == 0:
            return match.start(1)
    return None


def _encoding(data: bytes) -> str:
    found = _CODE_PAGE.search(data[:2000])
    number = found[1].decode() if found else _UNSET[0]
    if number == _GB18030:
        return "gb18030"
    return "cp1252" if number in _UNSET else f"cp{number}"
