"""Whatever Word wraps its text in, it is read, and tables name the columns that a reader sees."""

from __future__ import annotations

import io
import zipfile

import docx
import pytest

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.loaders import load_bytes

NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)


def word_of(body: str, notes: dict[str, str] | None = None) -> bytes:
    """A Word file with this in its body. notes: the contents of footnotes, endnotes or comments."""
    file = io.BytesIO()
    docx.Document().save(file)
    parts = {name: zipfile.ZipFile(file).read(name) for name in zipfile.ZipFile(file).namelist()}
    parts["word/document.xml"] = f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>".encode()
    relations, types = "", ""
    for kind, content in (notes or {}).items():
        parts[f"word/{kind}.xml"] = f"<w:{kind} {NAMESPACES}>{content}</w:{kind}>".encode()
        base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        relations += f'<Relationship Id="n{kind}" Type="{base}/{kind}" Target="{kind}.xml"/>'
        types += f'<Override PartName="/word/{kind}.xml" ContentType="application/xml"/>'
    for name, end, more in (
        ("word/_rels/document.xml.rels", b"</Relationships>", relations),
        ("[Content_Types].xml", b"</Types>", types),
    ):
        parts[name] = parts[name].replace(end, more.encode() + end)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return made.getvalue()


def load(body: str, notes: dict[str, str] | None = None) -> Document:
    return load_bytes(word_of(body, notes), "a.docx")


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def p(*inner: str) -> str:
    return f"<w:p>{''.join(inner)}</w:p>"


def row(*cells: str, properties: str = "") -> str:
    made = (cell if cell.startswith("<") else f"<w:tc>{p(run(cell))}</w:tc>" for cell in cells)
    return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(made)}</w:tr>"


def wide(text: str, span: int) -> str:
    return f'<w:tc><w:tcPr><w:gridSpan w:val="{span}"/></w:tcPr>{p(run(text))}</w:tc>'


def tall(text: str = "", value: str = "restart") -> str:
    return f'<w:tc><w:tcPr><w:vMerge w:val="{value}"/></w:tcPr>{p(run(text))}</w:tc>'


@pytest.mark.parametrize(
    "wrapped",
    [
        "<w:smartTag><w:smartTag>{}</w:smartTag></w:smartTag>",
        "<w:ins w:id='1'>{}</w:ins>",
        "<w:moveTo w:id='1'>{}</w:moveTo>",
        "<w:sdt><w:sdtContent><w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt></w:sdtContent></w:sdt>",
        "<w:hyperlink>{}</w:hyperlink>",
        "<w:fldSimple>{}</w:fldSimple>",
        "<w:bdo>{}</w:bdo>",
    ],
)
def test_text_is_read_in_whatever_it_is_wrapped(wrapped: str) -> None:
    assert load(p(run("The fee is "), wrapped.format(run("40 euros")), run("."))).text == "The fee is 40 euros."


def test_what_was_deleted_moved_away_or_hidden_is_no_text() -> None:
    gone = "<w:del><w:r><w:delText>30</w:delText></w:r></w:del>"
    moved = f"<w:moveFrom>{run('50')}</w:moveFrom>"
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>60</w:t></w:r>"
    field = "<w:r><w:instrText>PAGEREF</w:instrText></w:r>"
    assert load(p(run("Fee: "), gone, moved, hidden, field, run("40"))).text == "Fee: 40"


def test_blocks_within_content_controls_are_read_in_their_order() -> None:
    body = f"<w:sdt><w:sdtContent>{p(run('one'))}<w:sdt><w:sdtContent>{p(run('two'))}</w:sdtContent></w:sdt>"
    assert load(f"{body}{p(run('three'))}</w:sdtContent></w:sdt>").text == "one\n\ntwo\n\nthree"


def test_a_text_box_follows_its_paragraph_once() -> None:
    box = f"<w:txbxContent>{p(run('in the box'))}</w:txbxContent>"
    both = f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    assert load(p(run("before"), f"<w:r>{both}</w:r>") + p(run("after"))).text == "before\n\nin the box\n\nafter"


def test_notes_and_comments_follow_the_paragraph_that_they_hang_on() -> None:
    notes = {
        "footnotes": f'<w:footnote w:id="0" w:type="separator">{p(run("---"))}</w:footnote>'
        f'<w:footnote w:id="2">{p(run("Since 2024."))}</w:footnote>',
        "comments": f'<w:comment w:id="0">{p(run("Really?"))}</w:comment>',
    }
    mark = '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:commentReference w:id="0"/></w:r>'
    text = load(p(run("The fee is 40."), mark) + p(run("Next.")), notes).text
    assert text == "The fee is 40.\n\nSince 2024.\n\nReally?\n\nNext."


def test_signs_that_are_no_letters_are_read() -> None:
    signs = "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:noBreakHyphen/><w:t>c</w:t></w:r>"
    formula = "<m:oMath><m:r><m:t>x=2</m:t></m:r></m:oMath>"
    assert load(p(signs, formula)).text == "a b-cx=2"


def test_a_merged_head_names_every_column_that_it_covers() -> None:
    table = row("Region", wide("2023", 2), "2024") + row("North", "10", "15", "20")
    assert load(f"<w:tbl>{table}</w:tbl>").text == "Region: North; 2023: 10; 2023: 15; 2024: 20"


def test_a_head_of_two_rows_is_one() -> None:
    head = row("Region", wide("2023", 2), properties="<w:tblHeader/>")
    head += row("", "min", "max", properties="<w:tblHeader/>")
    assert load(f"<w:tbl>{head}{row('North', '10', '15')}</w:tbl>").text == "Region: North; 2023 min: 10; 2023 max: 15"


def test_a_cell_that_reaches_down_belongs_to_each_of_its_rows() -> None:
    rows = (
        row("Dept", "Name")
        + row(tall("Sales"), "Ann")
        + row("<w:tc><w:p/></w:tc>")
        + row(tall(value="continue"), "Bob")
    )
    assert load(f"<w:tbl>{rows}</w:tbl>").text == "Dept: Sales; Name: Ann\n\nDept: Sales; Name: Bob"


def test_rows_that_do_not_fit_their_grid_are_read() -> None:
    late = row("30", properties='<w:gridBefore w:val="1"/>')
    table = f"<w:tblGrid><w:gridCol/></w:tblGrid>{row('City', 'Limit')}{row('Wuhan', '20', 'extra')}{late}"
    assert load(f"<w:tbl>{table}</w:tbl>").text == "City: Wuhan; Limit: 20; column 3: extra\n\nLimit: 30"


def test_a_row_of_one_cell_is_a_title_and_one_column_a_frame() -> None:
    table = row(wide("Fees of 2024", 2)) + row("City", "Fee") + row("Wuhan", "20")
    frame = row("Mind the gap.") + row("Really.")
    text = load(f"<w:tbl>{table}</w:tbl><w:tbl>{frame}</w:tbl>").text
    assert text == "Fees of 2024\n\nCity: Wuhan; Fee: 20\n\nMind the gap.\n\nReally."


def test_a_first_heading_is_the_title_of_a_file_that_has_none() -> None:
    file = io.BytesIO()
    document = docx.Document()
    document.add_paragraph("Before.")
    document.add_heading("Fees", 1)
    document.sections[0].header.paragraphs[0].text = "Valid from May"
    document.core_properties.title = ""
    document.save(file)
    loaded = load_bytes(file.getvalue(), "a.docx")
    assert (loaded.title, loaded.text) == ("Fees", "Before.\n\nFees\n\nValid from May")
