"""What pages repeat goes, what they say stays."""

from __future__ import annotations

from pagoda.rag.documents.pdf.furniture import without_furniture
from pagoda.rag.documents.pdf.lines import Line, Page


def line(text: str, bottom: float) -> Line:
    return Line(text, 50, 50 + 5 * len(text), bottom, bottom + 10, 10)


def page(*texts: str, head: str = "", foot: str = "") -> Page:
    lines = [line(text, 700 - 12 * row) for row, text in enumerate(texts)]
    edges = [line(text, bottom) for text, bottom in ((head, 780), (foot, 40)) if text]
    return Page(tuple(edges + lines), 600, 800)


def texts_of(pages: list[Page]) -> list[list[str]]:
    return [[line.text for line in lines] for lines in without_furniture(pages)]


def test_running_titles_and_page_numbers_go() -> None:
    pages = [
        page(f"Body {name}", f"of the manual {name}", head=f"The Manual {i}", foot=f"- {['iv', 'v', 'vi'][i - 4]} -")
        for i, name in enumerate(("one", "two", "three"), start=4)
    ]
    assert texts_of(pages) == [[f"Body {name}", f"of the manual {name}"] for name in ("one", "two", "three")]


def test_what_only_the_furniture_says_is_kept_once() -> None:
    pages = [page(f"Body {name}", foot=f"Valid from May 2024, page {i}") for i, name in enumerate("abc", start=1)]
    assert texts_of(pages) == [["Valid from May 2024, page 1", "Body a"], ["Body b"], ["Body c"]]
    assert without_furniture(pages)[0][0].is_alone


def test_lines_at_the_edge_that_do_not_repeat_stay() -> None:
    pages = [page("Table 3", "is big", foot="Total: 40"), page("Table 4", "is small", foot="Total: 70")]
    assert texts_of(pages) == [["Total: 40", "Table 3", "is big"], ["Total: 70", "Table 4", "is small"]]


def test_numbers_of_a_table_that_do_not_count_along_stay() -> None:
    pages = [page("12", "Body a"), page("70", "Body b")]
    assert texts_of(pages) == [["12", "Body a"], ["70", "Body b"]]


def test_a_single_page_has_no_furniture() -> None:
    assert texts_of([page("Body", head="Title", foot="1")]) == [["Title", "1", "Body"]]
