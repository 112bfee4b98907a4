"""Word files to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. Paragraphs and tables are
read from the file's own XML: python-docx passes over what is wrapped in anything, stops at tables whose rows do not fit
their grid and refuses a file that lacks a picture. Notes, comments and text boxes follow the paragraph that they hang
on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document, struck_warnings
from pagoda.rag.documents.office.archive import open_archive
from pagoda.rag.documents.office.docx_text import Attached, W, paragraph_text
from pagoda.rag.documents.office.grid import grid_lines
from pagoda.rag.documents.office.package import Package
from pagoda.rag.documents.office.word_table import grid_of

_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_HEADING = re.compile(r"(?:heading|标题|titre|überschrift)\s*(\d)|(title)$", re.IGNORECASE)
# What is in a note by itself: the marks of the separators between text and notes.
_SEPARATORS = ("separator", "continuationSeparator", "continuationNotice")
_DEEPEST = 12


def load_docx(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """Paragraphs and tables in their order; running headers and footers come last, each once."""
    with open_archive(data, settings, "docx") as archive:
        package = Package(archive)
        word = _Word(package)
        composition = Composition(settings.max_bytes)
        for text, level in word.blocks(word.body):
            composition.add(text, level=level)
        composition.add_all(dict.fromkeys(text for part in word.running_parts() for text, _ in word.blocks(part)))
        said = package.properties()
    return composition.document(source, said.pop("title"), metadata_of(said), struck_warnings(word.num_struck))


class _Word:
    """The main part of a Word file and what it refers to."""

    def __init__(self, package: Package) -> None:
        self._package, self._name = package, package.main
        self.body = package.main_root().find(W + "body")
        self.num_struck = 0
        self._notes = {kind: self._notes_of(kind) for kind in ("footnotes", "endnotes", "comments")}
        self._levels = {style.get(W + "styleId"): _heading_level(style) for style in self._styles()}

    def blocks(self, parent: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
        """The text of each paragraph, row and text box below an element, and its level as a heading, or 0."""
        if parent is None or depth > _DEEPEST:
            return
        for child in parent:
            if child.tag == W + "p":
                yield from self._paragraph(child, depth)
            elif child.tag == W + "tbl":
                yield from ((line, 0) for line in self._rows(child, depth))
            elif child.tag not in (W + "del", W + "moveFrom"):
                yield from self.blocks(child, depth)

    def running_parts(self) -> Iterator[Any]:
        """Headers, then footers."""
        for kind in ("header", "footer"):
            yield from self._package.related(self._name, kind)

    def _paragraph(self, paragraph: Any, depth: int) -> Iterator[tuple[str, int]]:
        attached = Attached()
        text = paragraph_text(paragraph, attached)
        self.num_struck += attached.num_struck
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        yield text, 0 if style is None else self._levels.get(style.get(W + "val"), 0)
        for box in attached.boxes:
            yield from self.blocks(box, depth + 1)
        for kind, number in attached.notes:
            yield from self.blocks(self._notes[kind].get(number), depth + 1)
        for relation in attached.diagrams:
            yield from ((line, 0) for line in self._diagram(relation))

    def _rows(self, table: Any, depth: int) -> Iterator[str]:
        rows, num_head = grid_of(table, lambda cell: self._cell(cell, depth + 1))
        yield from (text for _, text in grid_lines(rows, num_head))

    def _cell(self, cell: Any, depth: int) -> str:
        return " ".join(text.replace("\n", " ") for text, _ in self.blocks(cell, depth) if text)

    def _diagram(self, relation: str) -> Iterator[str]:
        root = self._package.referred(self._name, relation)
        for paragraph in () if root is None else root.iter(_DRAWING + "p"):
            yield "".join(run.text or "" for run in paragraph.iter(_DRAWING + "t"))

    def _notes_of(self, kind: str) -> dict[str, Any]:
        """The notes of one part by their ids."""
        return {
            note.get(W + "id"): note
            for part in self._package.related(self._name, kind)
            for note in part
            if note.get(W + "type") not in _SEPARATORS
        }

    def _styles(self) -> Iterator[Any]:
        for part in self._package.related(self._name, "styles"):
            yield from part.iter(W + "style")


def _heading_level(style: Any) -> int:
    name = style.find(W + "name")
    match = None if name is None else _HEADING.match(name.get(W + "val", ""))
    return int(match[1] or 1) if match else 0
