"""The judge finds what a person would find: marks, capitals and tags aside, but never a part of a number or a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from manuals.text import lines_of, plain, stands


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("default is 50", "The **default** is `50`."),
        ("默认为 1017", "| Columns | 默认为1017，最大可调至 4096 |"),
        ("columns per table 1,600", "columns per table | 1,600 | further limited"),
        ("not a regular file", "if it is\nnot a   regular file"),
        ("toy story", "fromthe”ToyStory”movies"),
        ("-1", "Set this option to -1 to make it unlimited"),
    ],
)
def test_words_are_found_whatever_their_marks(wanted: str, text: str) -> None:
    assert stands(wanted, text)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("50", "150 or 50.5 or 500"),
        ("1", "-1"),
        ("32", "2^32 values"),
        ("-X", "with -x"),
        ("fast", "breakfast"),
        ("默认", "缺省"),
        ("", "anything"),
    ],
)
def test_a_part_of_a_number_or_word_is_not_the_word(wanted: str, text: str) -> None:
    assert not stands(wanted, text)


def test_lines_of_markdown_keep_their_numbers_and_front_matter_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("---\ntitle: secret\n---\n# Head\n\nThe limit\nis 50.\n", "utf-8")
    lines = lines_of(path)
    assert lines.find("limit is 50") == [6]
    assert lines.find("50") == [7]
    assert lines.find("secret") == []


def test_of_a_web_page_what_stands_between_tags_is_read_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>one\n<em>host</em>:<b>port</b></p>\n<script>hidden</script><td>a</td><td>b</td>", "utf-8")
    lines = lines_of(path)
    assert lines.find("host:port") == [2]
    assert lines.find("a b") == [3]
    assert lines.find("hidden") == []


def test_a_pdf_is_read_by_pages(tmp_path: Path) -> None:
    canvas = pytest.importorskip("reportlab.pdfgen.canvas")
    path = tmp_path / "a.pdf"
    drawing = canvas.Canvas(str(path))
    for text in ("first page", "the default is seven"):
        drawing.drawString(72, 700, text)
        drawing.showPage()
    drawing.save()
    assert lines_of(path).find("default is seven") == [2]


def test_no_blank_stands_beside_a_wide_character() -> None:
    assert plain("默认 值 为 4000 毫秒") == "默认值为4000毫秒"
