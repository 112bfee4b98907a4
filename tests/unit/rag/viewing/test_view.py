"""Documents of an index to look at: of each kind, changed, gone, of many pages, and never anything else."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import InvalidRequestError
from pagoda.rag.errors import UnknownDocumentError
from pagoda.rag.viewing.pdf import page_picture
from pagoda.rag.viewing.view import _LINK_TARGET, DocumentView, picture_of, view_of

MARKS = re.compile("<mark>(.*?)</mark>", re.DOTALL)


@pytest.fixture
def shown(make_indexer: Callable[..., Any], documents: Path) -> Callable[..., DocumentView]:
    """`shown(source, passage, **options)`: a document of `documents`, which is indexed first, with a passage marked."""
    indexer = make_indexer()

    def show(source: str, passage: str = "", **options: Any) -> DocumentView:
        if not indexer.index.catalog.documents():
            indexer.add([documents])
        chunks = indexer.index.catalog.chunks(source)
        found = next((chunk for chunk in chunks if passage and passage in chunk.text), None)
        start = found.start + found.text.index(passage) if found else 0
        show.catalog = indexer.index.catalog  # type: ignore[attr-defined]
        return view_of(indexer.index.catalog, source, start, start + len(passage), **options)

    return show


@pytest.mark.parametrize(
    ("name", "content", "passage", "kind", "marked"),
    [
        ("a.md", "---\ntitle: T\n---\n# Tea\n\nIt *is* [3 euros](x.md).", "[3 euros](x.md).", "markdown", "euros"),
        ("a.html", "<h1>Tea</h1><p>It <b>costs</b> 3 euros.</p>", "It costs 3 euros.", "html", "costs"),
        ("a.txt", "Tea.\n\nIt costs 3 euros.", "costs 3", "text", "costs 3"),
        ("a.rst", "Tea\n===\n\nIt costs 3 euros.", "It costs 3 euros.", "text", "It costs 3 euros."),
        ("b.md", "Tea\n===\n\n.. note:: It costs 3 euros.", "It costs 3 euros.", "text", "It costs 3 euros."),
        ("c.md", "茶室\n====\n\n.. note:: 茶室九点开门。", "茶室九点开门。", "text", "茶室九点开门。"),
        ("a.py", "def tea():\n    return 3\n", "return 3", "code", "return 3"),
        ("茶.md", "# 茶室\n\n茶室早上**九点**开门。", "茶室早上**九点**开门。", "markdown", "九点"),
    ],
)  # fmt: skip
def test_a_passage_is_marked_in_a_document_of_any_kind(
    shown: Callable[..., DocumentView], documents: Path, name: str, content: str, passage: str, kind: str, marked: str
) -> None:
    (documents / name).write_text(content, "utf-8")
    view = shown(name, passage)
    assert (view.kind, view.is_marked, view.is_current, view.is_whole) == (kind, True, True, True)
    assert marked in "".join(MARKS.findall(view.html))


def test_a_document_that_is_opened_by_itself_has_no_mark(shown: Callable[..., DocumentView]) -> None:
    view = shown("hr/leave.md")
    assert not view.is_marked
    assert "<mark>" not in view.html
    assert "<h1>Leave</h1>" in view.html


@pytest.mark.parametrize("what", ["changed", "gone", "replaced by a link"])
def test_a_file_that_is_not_what_was_indexed_is_not_shown_but_what_was_is(
    shown: Callable[..., DocumentView], documents: Path, tmp_path: Path, what: str
) -> None:
    shown("hr/leave.md")
    file = documents / "hr" / "leave.md"
    secret = tmp_path / "secret.md"
    secret.write_text("x" * file.stat().st_size, "utf-8")
    file.unlink()
    if what == "changed":
        file.write_text("Staff have no leave at all.", "utf-8")
    elif what != "gone":
        file.symlink_to(secret)
    view = shown("hr/leave.md", "15 days of leave")
    assert not view.is_current
    assert MARKS.findall(view.html) == ["15 days of leave"]
    assert "xxx" not in view.html
    assert "no leave" not in view.html


@pytest.mark.parametrize("source", ["../secret.md", "/etc/passwd", "hr", "", "hr/../hr/leave.md"])
def test_only_what_the_index_names_is_shown(shown: Callable[..., DocumentView], source: str) -> None:
    shown("hr/leave.md")
    with pytest.raises(UnknownDocumentError, match="no document"):
        shown(source)
    with pytest.raises(UnknownDocumentError, match="no document"):
        picture_of(shown.catalog, source, 1)  # type: ignore[attr-defined]


def test_characters_that_the_document_does_not_have_are_refused(shown: Callable[..., DocumentView]) -> None:
    shown("hr/leave.md")
    for start, end in ((5, 3), (0, 10**9), (-1, 2)):
        with pytest.raises(InvalidRequestError, match="characters"):
            view_of(shown.catalog, "hr/leave.md", start, end)  # type: ignore[attr-defined]


def test_of_a_long_document_the_part_around_the_passage_is_shown(
    shown: Callable[..., DocumentView], documents: Path
) -> None:
    lines = [f"Line {number} of the protocol says nothing." for number in range(4_000)]
    lines[3_000] = "Line 3000 says that tea is ready."
    (documents / "long.txt").write_text("\n\n".join(lines), "utf-8")
    view = shown("long.txt", "tea is ready")
    assert not view.is_whole
    assert MARKS.findall(view.html) == ["tea is ready"]
    assert len(view.html) < 200_000


def pdf(pages: list[str], rotation: int = 0) -> bytes:
    """A PDF with a line of text on each page."""
    canvas_module = pytest.importorskip("reportlab.pdfgen.canvas", reason="makes PDFs for tests")
    file = io.BytesIO()
    canvas = canvas_module.Canvas(file, pagesize=(600, 800))
    for text in pages:
        canvas.setPageRotation(rotation)
        canvas.drawString(100, 500, text)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def test_of_a_pdf_the_page_is_shown_with_the_passage_in_a_box(
    shown: Callable[..., DocumentView], documents: Path
) -> None:
    (documents / "tea.pdf").write_bytes(pdf(["Coffee is on the first page.", "Tea costs three euros here."]))
    view = shown("tea.pdf", "costs three euros")
    assert (view.kind, view.page, view.num_pages, view.has_picture) == ("pages", 2, 2, True)
    assert MARKS.findall(view.html) == ["costs three euros"]
    ((left, top, width, height),) = view.boxes
    assert 100 / 600 < left < 0.3
    assert 0.2 < top < 0.5
    assert top + height / 2 == pytest.approx(1 - 503 / 800, abs=0.01)
    assert 0.05 < width < 0.5
    other = shown("tea.pdf", "costs three euros", page=1)
    assert (other.page, other.is_marked, other.boxes) == (1, False, ())
    assert "Coffee" in other.html
    with pytest.raises(InvalidRequestError, match="pages 1 to 2"):
        shown("tea.pdf", page=3)


def test_a_picture_of_a_page_is_png_and_the_box_lies_on_its_letters(
    shown: Callable[..., DocumentView], documents: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    for rotation in (0, 90):
        name = f"turned-{rotation}.pdf"
        (documents / name).write_bytes(pdf(["Tea costs three euros here."], rotation))
    for rotation in (0, 90):
        name = f"turned-{rotation}.pdf"
        view = shown(name, "Tea costs three euros here")
        picture = image.open(io.BytesIO(picture_of(shown.catalog, name, 1))).convert("L")  # type: ignore[attr-defined]
        ink = picture.point(lambda value: 255 * (value < 128)).getbbox()
        left, top, width, height = view.boxes[0]
        shares = (ink[0] / picture.width, ink[1] / picture.height, ink[2] / picture.width, ink[3] / picture.height)
        assert shares == pytest.approx((left, top, left + width, top + height), abs=0.03)


@pytest.mark.parametrize("size", [(1e-6, 1e9), (0.5, 14_400), (1e5, 1e5)])
def test_a_page_of_any_size_is_a_picture_that_a_machine_can_hold(size: tuple[float, float]) -> None:
    image, pdfium = pytest.importorskip("PIL.Image"), pytest.importorskip("pypdfium2")
    document, file = pdfium.PdfDocument.new(), io.BytesIO()
    document.new_page(*size)
    document.save(file)
    picture = image.open(io.BytesIO(page_picture(file.getvalue(), 1)))
    assert max(picture.size) <= 20_001
    assert picture.width * picture.height < 7_000_000


def test_a_pdf_that_is_gone_is_shown_by_its_words(shown: Callable[..., DocumentView], documents: Path) -> None:
    (documents / "tea.pdf").write_bytes(pdf(["Coffee is on the first page.", "Tea costs three euros here."]))
    shown("tea.pdf")
    os.unlink(documents / "tea.pdf")
    view = shown("tea.pdf", "three euros")
    assert (view.page, view.is_current, view.has_picture) == (2, False, False)
    assert MARKS.findall(view.html) == ["three euros"]
    with pytest.raises(InvalidRequestError, match="no pictures"):
        picture_of(shown.catalog, "tea.pdf", 1)  # type: ignore[attr-defined]


def test_a_link_that_nothing_closes_is_looked_through_once() -> None:
    # Every way to cut its target in two was tried.
    assert _LINK_TARGET.sub("]", "](" + "a" * 50_000) == "](" + "a" * 50_000
    assert _LINK_TARGET.sub("]", "[a](b_(c)_d) {#e}") == "[a] ]"
