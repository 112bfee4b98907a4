"""PowerPoint files to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. Text is
taken wherever it stands on a slide (shapes in groups, tables, charts, diagrams, alternative forms), and the speaker's
notes follow. The slide is the page of a citation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.description import metadata_of
from pagoda.rag.documents.document import Document, struck_warnings
from pagoda.rag.documents.office.archive import open_archive
from pagoda.rag.documents.office.grid import grid_lines
from pagoda.rag.documents.office.package import Package
from pagoda.rag.documents.tables import Spanned

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
# What a slide repeats: its number, the date, the footer.
_FURNITURE = frozenset(("sldNum", "dt", "ftr", "hdr", "sldImg"))
_TITLES = frozenset(("title", "ctrTitle"))


def load_pptx(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The slides in their order, each with its title first and its notes last."""
    with open_archive(data, settings, "pptx") as archive:
        package = Package(archive)
        composition = Composition(settings.max_bytes)
        num_struck = 0
        for number, name in enumerate(_slides(package), start=1):
            slide, root = _Slide(package, name), package.xml(name)
            num_struck += _without_struck(root)
            for text, is_title in sorted(slide.blocks(root), key=lambda block: not block[1]):
                composition.add(text, page=number, level=int(is_title))
            for notes in package.related(name, "notesSlide"):
                composition.add_all((text for text, _ in slide.blocks(notes)), page=number)
        said = package.properties()
    return composition.document(source, said.pop("title"), metadata_of(said), struck_warnings(num_struck))


def _without_struck(slide: Any) -> int:
    """Take the text of runs away that a line is drawn through; how many there were."""
    found = [run for run in _all(slide, _A + "r") if run.find(f"{_A}rPr[@strike]") is not None]
    struck = [run for run in found if run.find(_A + "rPr").get("strike") != "noStrike"]
    for run in struck:
        for text in run.findall(_A + "t"):
            text.text = ""
    return len(struck)


def _slides(package: Package) -> Iterator[str]:
    """The names of their parts, in the order in which they are shown."""
    relations = package.relations(package.main)
    for slide in package.main_root().iter(_P + "sldId"):
        relation = relations.get(slide.get(_RELATION + "id"))
        if relation is not None:
            yield relation.target


class _Slide:
    """A slide, for what its shapes refer to."""

    def __init__(self, package: Package, name: str) -> None:
        self._package, self._name = package, name

    def blocks(self, element: Any, *, is_title: bool = False) -> Iterator[tuple[str, bool]]:
        """The text of each paragraph and row below an element, and whether it is the slide's title."""
        for child in () if element is None else element:
            tag = child.tag
            if tag == _A + "p":
                yield _text(child), is_title
            elif tag == _A + "tbl":
                yield from ((line, False) for _, line in grid_lines(_grid(child)))
            elif tag == _C + "chart":
                yield from ((line, False) for line in _chart(self._related(child.get(_RELATION + "id"))))
            elif tag == _DIAGRAM + "relIds":
                diagram = self._related(child.get(_RELATION + "dm"))
                yield from ((_text(paragraph), False) for paragraph in _all(diagram, _A + "p"))
            elif tag == _MC + "AlternateContent":
                forms = (list(self.blocks(form)) for form in child)
                yield from next((form for form in forms if any(text for text, _ in form)), ())
            elif isinstance(tag, str) and (kind := _placeholder(child)) not in _FURNITURE:
                yield from self.blocks(child, is_title=is_title or kind in _TITLES)

    def _related(self, relation: str | None) -> Any:
        return self._package.referred(self._name, relation)


def _placeholder(shape: Any) -> str:
    if shape.tag != _P + "sp":
        return ""
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return "" if found is None else found.get("type", "")


def _text(paragraph: Any) -> str:
    """Runs, fields and breaks; formulas by their letters."""
    pieces = []
    for element in paragraph.iter():
        if element.tag == _A + "br":
            pieces.append("\n")
        elif isinstance(element.tag, str) and element.tag.endswith("}t"):
            pieces.append(element.text or "")
    return "\n".join(" ".join(line.split()) for line in "".join(pieces).split("\n"))


def _grid(table: Any) -> list[list[str]]:
    """A merged cell is in each row and column that it covers."""
    rows: list[list[str]] = []
    for row in table.iter(_A + "tr"):
        cells: list[str] = []
        for i, cell in enumerate(row.iter(_A + "tc")):
            text = " ".join(filter(None, (_text(paragraph) for paragraph in cell.iter(_A + "p"))))
            if cell.get("hMerge") in ("1", "true") and cells:
                text = Spanned(cells[-1])
            elif cell.get("vMerge") in ("1", "true") and rows and i < len(rows[-1]):
                text = rows[-1][i]
            cells.append(text)
        if any(cells):
            rows.append(cells)
    return rows


def _chart(chart: Any) -> Iterator[str]:
    """Its titles, then a line for each series: what it is called and its values by their categories."""
    for title in _all(chart, _C + "title"):
        yield " ".join(_text(paragraph) for paragraph in title.iter(_A + "p"))
    for series in _all(chart, _C + "ser"):
        name = " ".join(_points(series.find(_C + "tx")))
        categories, values = _points(series.find(_C + "cat")), _points(series.find(_C + "val"))
        if len(categories) == len(values):
            values = [f"{category}: {value}" for category, value in zip(categories, values, strict=True)]
        yield f"{name}: {'; '.join(values)}" if name else "; ".join(values)


def _points(element: Any) -> list[str]:
    return [value.text or "" for value in _all(element, _C + "v")]


def _all(element: Any, tag: str) -> Iterator[Any]:
    return iter(()) if element is None else element.iter(tag)
