"""What a line is drawn through is no answer in any format, and the mark of a note is no word of its sentence."""

from __future__ import annotations

import io
import json
import zipfile

import openpyxl
import pytest
from openpyxl.styles import Font
from pptx import Presentation
from pptx.util import Inches

from pagoda.rag.documents.document import Document, heading_title
from pagoda.rag.documents.loaders import load_bytes
from pagoda.rag.errors import EmptyFileError

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word() -> bytes:
    import docx

    document = docx.Document()
    paragraph = document.add_paragraph("It costs ")
    paragraph.add_run("100").font.strike = True
    paragraph.add_run(" 80").font.strike = False
    paragraph.add_run(" euros.")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def slides() -> bytes:
    deck = Presentation()
    frame = deck.slides.add_slide(deck.slide_layouts[6]).shapes.add_textbox(*[Inches(1)] * 4).text_frame
    for text, strike in (("It costs ", "noStrike"), ("100", "sngStrike"), (" 80 euros.", "noStrike")):
        run = frame.paragraphs[0].add_run()
        run.text = text
        run.font._element.set("strike", strike)
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["item", "price"])
    book.active.append(["old", 100])
    book.active.append(["new", 80])
    book.active["B2"].font = Font(strike=True)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def odt() -> bytes:
    oasis = "urn:oasis:names:tc:opendocument:xmlns:"
    names = " ".join(f'xmlns:{name}="{oasis}{name}:1.0"' for name in ("office", "text", "style"))
    content = (
        f'<office:document-content {names}><office:automatic-styles><style:style style:name="T1" style:family="text">'
        '<style:text-properties style:text-line-through-style="solid"/></style:style></office:automatic-styles>'
        '<office:body><office:text><text:p>It costs <text:span text:style-name="T1">100</text:span> 80 euros.</text:p>'
        "</office:text></office:body></office:document-content>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("content.xml", content)
    return file.getvalue()


STRUCK: dict[str, bytes] = {
    "a.html": b"<p>It costs <del>100</del> 80 euros.",
    "b.html": b"<p>It costs <s>100</s> 80 euros.",
    "c.html": b"<p>It costs <span style='color:red; text-decoration: line-through'>100</span> 80 euros.",
    "a.md": b"It costs ~~100~~ 80 euros.",
    "b.md": b"It costs <del>100</del> 80 euros.",
    "a.docx": word(),
    "a.pptx": slides(),
    "a.xlsx": workbook(),
    "a.odt": odt(),
}


@pytest.mark.parametrize("name", STRUCK)
def test_what_is_struck_out_is_left_out_and_told(name: str) -> None:
    document = load_bytes(STRUCK[name], name)
    assert "100" not in document.text
    assert "80" in document.text
    assert any("struck out (1 places)" in warning for warning in document.warnings)


def markdown(text: str) -> Document:
    return load_bytes(text.encode(), "a.md")


def test_code_that_shows_how_to_strike_out_stays_and_lines_keep_their_numbers() -> None:
    text = "Write `~~x~~` or:\n\n    ~~x~~\n\n```\n<del>x</del>\n```\n~~one\ntwo~~ three\n"
    document = markdown(text)
    assert document.text == text.replace("~~one\ntwo~~", "\n")
    assert document.line_at(document.text.index("three")) == 9
    assert markdown("a ~~ b ~~ c, some ~5, no ~~\n\nend~~").text == "a ~~ b ~~ c, some ~5, no ~~\n\nend~~"


def test_a_table_of_markdown_has_no_struck_values() -> None:
    document = markdown("| item | price |\n|---|---|\n| a | ~~9~~ 8 |\n")
    assert document.text.endswith("item: a; price: 8\n")


def test_the_mark_of_a_note_is_no_part_of_the_sentence() -> None:
    assert markdown("It costs 40[^1] euros.\n\n[^1]: Since 2024.").text == "It costs 40 euros.\n\n Since 2024."
    page = '<p>It costs 40<sup><a href="#fn1">2</a></sup> euros<a href="#n"><sup>[3]</sup></a>.'
    page += '<p>10<sup>6</sup> of <a href="#x">2</a>'
    page += '<p id=fn1><a class="footnote-back" href="#r">\u21a9</a>Since 2024.'
    assert load_bytes(page.encode(), "a.html").text == "It costs 40 euros.\n\n106 of 2\n\nSince 2024."


def test_a_heading_is_called_as_it_is_written() -> None:
    from pagoda.rag.splitting.sections import Sections

    document = markdown("# C#\n\nx\n\n## Fees {#fees}\n\ny\n\n## F# ##\n\nz")
    sections = Sections(document)
    assert document.title == "C#"
    assert [sections.path_at(document.text.index(f"\n{letter}")) for letter in "xyz"] == ["C#", "C# > Fees", "C# > F#"]


def test_a_row_of_markdown_stands_for_itself_however_long_it_is() -> None:
    from pagoda.rag.splitting.splitter import Splitter

    rows = "".join(f"| {name} | {'word ' * 12}| more |\n" for name in ("one", "two"))
    document = markdown(f"| name | text | rest |\n|---|---|---|\n{rows}")
    splitter = Splitter(lambda texts: [len(text.split()) for text in texts])
    sentences = [text for chunk in splitter.split(document) for text in chunk.sentence_texts()]
    assert [text[:9] for text in sentences if text.startswith("name")] == ["name: one", "name: two"]


def test_broken_bytes_of_a_page_are_told() -> None:
    page = "<meta charset=utf-8><p>Öffnungszeiten für Gäste: täglich größer ".encode() + b"\xff."
    assert any("1 broken characters" in warning for warning in load_bytes(page, "a.html").warnings)


def test_a_workbook_with_a_broken_style_sheet_is_read_and_told() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook())) as archive, zipfile.ZipFile(file, "w") as target:
        for name in archive.namelist():
            data = archive.read(name)
            target.writestr(name, data.replace(b"<font>", b"<font><sz val='?'/>") if "styles" in name else data)
    document = load_bytes(file.getvalue(), "a.xlsx")
    assert document.text == "item: old; price: 100\n\nitem: new; price: 80"
    assert document.warnings == (
        "has a broken style sheet or broken names: dates, shares and currencies are plain numbers, none struck out",
    )


def test_a_part_of_a_cell_may_be_struck_out() -> None:
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    book = openpyxl.Workbook()
    book.active["A1"] = CellRichText("Fee: ", TextBlock(InlineFont(strike=True), "100"), " 80 euros")
    book.active["A2"] = CellRichText(TextBlock(InlineFont(b=True), "now "), "90")
    book.active["A2"].font = Font(strike=True)
    file = io.BytesIO()
    book.save(file)
    document = load_bytes(file.getvalue(), "a.xlsx")
    assert document.text == "Fee: 80 euros\n\nnow"
    assert document.warnings == ("has text that is struck out (2 places), which was left out",)


def test_a_table_that_a_notebook_printed_is_read_by_its_columns() -> None:
    page = "<table><thead><tr><th></th><th>price</th></tr></thead><tbody><tr><th>0</th><td>80</td></tr></tbody></table>"
    output = {"output_type": "execute_result", "data": {"text/html": [page], "text/plain": "cut ..."}}
    cell = {"cell_type": "code", "source": "frame", "outputs": [output]}
    assert load_bytes(json.dumps({"cells": [cell]}).encode(), "a.ipynb").text == "frame\n\ncolumn 1: 0; price: 80"


def test_a_file_that_is_struck_out_as_a_whole_says_why_it_is_empty() -> None:
    with pytest.raises(EmptyFileError, match=r"holds no text; it has text that is struck out \(1 places\)"):
        load_bytes(b"~~All of it.~~", "a.md")


@pytest.mark.parametrize("sign", ["<!-- ", "~~tea ", "<s> ", "<s ", "[^", "`tea``milk```"])
def test_signs_that_nothing_closes_are_text_and_cost_no_more_than_text(sign: str) -> None:
    # Were the end of each looked for on its own, this would take minutes.
    text = "Tea. " + sign * 20_000
    assert markdown(text).text.rstrip() == text.rstrip()


def test_blanks_in_a_heading_are_one() -> None:
    assert heading_title("# Tea" + " " * 2_000 + "rooms ##") == "Tea rooms"
