"""The benchmark of citations notices a line, a row or a page that is not the right one."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
rag_citations = importlib.import_module("rag_citations")

PAGE = (
    "<html><head><style>\np {}\n</style></head><body>\n<p>The shop opens at\n<b>nine</b> on week<i>days</i>.</p>\n"
    "<table>\n<tr><th>Day</th><th>Hours</th></tr>\n<tr>\n<td>Sunday</td>\n<td>closed</td></tr>\n</table>\n"
    "<p>Nobody is there on holidays.</p></body></html>"
)
FILES = {
    "a.html": PAGE.encode(),
    "a.md": b"# Hours\n\nThe shop opens at nine.\n\n| Day | Hours |\n|---|---|\n| Sunday | closed |\n\nAsk us first.\n",
    "a.csv": b"day,hours\nMonday,9\nSunday,closed\n",
}


@pytest.fixture(params=[*FILES, "a.xlsx"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in (["day", "hours"], ["Monday", 9], ["Sunday", "closed"]):
            book.active.append(row)
        book.save(path)
    else:
        path.write_bytes(FILES[request.param])
    return path


def test_citations_as_they_are_pass_and_those_of_other_lines_do_not(file: Path) -> None:
    look = rag_citations.checker(file, file.read_bytes())
    found = list(rag_citations.citations(file.read_bytes(), file.name, 100))
    assert len(found) > 1
    assert all(look(citation) for citation in found)
    for step in (-1, 1):
        assert not any(look(replace(citation, line=citation.line + step)) for citation in found)


def test_who_cannot_look_says_so(tmp_path: Path) -> None:
    assert rag_citations.checker(tmp_path / "a.docx", b"") is None


def test_words_are_found_on_their_pages_and_on_no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pages = {1: ("the", "shop", "opens"), 2: ("at", "nine", "on", "week", "days"), 3: ("never", "on", "sundays")}
    monkeypatch.setattr(rag_citations, "page_words", lambda path, first, last: pages[first])
    (citation, *_) = rag_citations.citations(b"The shop opens at nine.", "a.txt", 1)
    right = replace(citation, page=1, last_page=2)
    assert rag_citations.on_pages(tmp_path, right)
    for wrong in (replace(right, last_page=None), replace(right, page=2, last_page=3), replace(right, page=2)):
        assert not rag_citations.on_pages(tmp_path, wrong)
    assert rag_citations.on_pages(tmp_path, replace(citation, quote="on weekdays", page=2))
