"""Sheets, slides, OpenDocument and RTF become text with the places that a reader would name."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

import openpyxl
import pptx
import pytest
from openpyxl.comments import Comment
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.loaders import load_bytes
from pagoda.rag.errors import LoadError


def workbook_of(*sheets: tuple[str, list[list[object]]]) -> openpyxl.Workbook:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets:
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return workbook


def load_workbook(workbook: openpyxl.Workbook) -> Document:
    file = io.BytesIO()
    workbook.save(file)
    return load_bytes(file.getvalue(), "a.xlsx")


def test_rows_of_a_sheet_name_their_columns_and_know_their_line() -> None:
    rows: list[list[object]] = [["Prices of 2024"], [], [None, "item", "price"], [None, "tea", 3], [None, "茶", 4.5]]
    document = load_workbook(workbook_of(("Sheet1", rows)))
    assert document.text == "Prices of 2024\n\nitem: tea; price: 3\n\nitem: 茶; price: 4.5"
    offset = document.text.index("茶")
    assert (document.line_at(offset), document.page_at(offset)) == (5, None)


def test_sheets_are_pages_with_their_names_and_hidden_ones_are_told() -> None:
    workbook = workbook_of(("Rooms", [["room", "beds"], ["A", 2]]), ("Lists", [["secret"]]), ("Fees", [["fee", 9]]))
    workbook["Lists"].sheet_state = "hidden"
    document = load_workbook(workbook)
    assert document.text == "Rooms\n\nroom: A; beds: 2\n\nFees\n\nfee | 9"
    assert (document.page_at(0), document.page_at(len(document.text) - 1)) == (1, 2)
    assert document.warnings == ("has hidden sheets, which were left out: Lists",)


def test_values_are_as_a_reader_sees_them() -> None:
    workbook = workbook_of(("Sheet", [["share", "day", "fee", "done"], [0.155, datetime(2024, 5, 1), 1200.5, True]]))
    sheet = workbook.active
    assert sheet is not None
    sheet["A2"].number_format, sheet["C2"].number_format = "0.0%", '#,##0.00 "€"'
    sheet["C2"].comment = Comment("without tax", "Ann")
    assert load_workbook(workbook).text == "share: 15.5%; day: 2024-05-01; fee: 1200.5 € (without tax); done: true"


def test_merged_cells_stand_in_each_row_and_a_merged_title_once() -> None:
    rows: list[list[object]] = [["All fees", None], ["dept", "name"], ["Sales", "Ann"], [None, "Bob"]]
    workbook = workbook_of(("Sheet", rows))
    sheet = workbook.active
    assert sheet is not None
    sheet.merge_cells("A1:B1")
    sheet.merge_cells("A3:A4")
    assert load_workbook(workbook).text == "All fees\n\ndept: Sales; name: Ann\n\ndept: Sales; name: Bob"


@pytest.mark.parametrize("is_set_off", [False, True])
def test_a_head_of_two_rows_names_the_columns_of_the_rows_below_it(is_set_off: bool) -> None:
    rows: list[list[object]] = [["in millions", "2023", None, "2022"], [None, "Sales", "Profit", "Sales"]]
    rows += [[]] if is_set_off else []
    workbook = workbook_of(("Sheet", [*rows, ["Zone A", 12, 3, 11], ["Coffee", 7, 3, 8]]))
    workbook.active.merge_cells("B1:C1")
    assert load_workbook(workbook).text.split("\n\n") == [
        "in millions: Zone A; 2023 Sales: 12; 2023 Profit: 3; 2022 Sales: 11",
        "in millions: Coffee; 2023 Sales: 7; 2023 Profit: 3; 2022 Sales: 8",
    ]


def test_a_row_of_words_above_an_empty_one_is_no_head_of_another_table() -> None:
    workbook = workbook_of(("Sheet", [["a", "b"], ["c", "d"], [], ["e", 5], ["f", 6]]))
    assert "d: " not in load_workbook(workbook).text


def test_a_sheet_that_is_formatted_down_to_its_last_corner_costs_little() -> None:
    workbook = workbook_of(("Sheet", [["city", "fee"], ["Wuhan", 20]]))
    sheet = workbook.active
    assert sheet is not None
    sheet["XFD1048576"].number_format = "0%"
    assert load_workbook(workbook).text == "city: Wuhan; fee: 20"


def test_equal_values_of_a_row_without_names_are_all_there() -> None:
    assert load_workbook(workbook_of(("Sheet", [[5, 5, 7]]))).text == "5 | 5 | 7"


def test_slides_are_pages_with_title_table_chart_group_and_notes() -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "in a group"
    table = slide.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(1)).table
    for i, text in enumerate(("city", "fee", "Wuhan", "20")):
        table.cell(i // 2, i % 2).text = text
    data = CategoryChartData()
    data.categories = ["2023", "2024"]
    data.add_series("Guests", (5, 7))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(2), Inches(2), data)
    slide.notes_slide.notes_text_frame.text = "say hello"
    slide.shapes.title.text = "Fees"
    presentation.slides.add_slide(presentation.slide_layouts[5]).shapes.title.text = "End"
    file = io.BytesIO()
    presentation.save(file)
    document = load_bytes(file.getvalue(), "a.pptx")
    expected = ["Fees", "in a group", "city: Wuhan; fee: 20", "Guests: 2023: 5; 2024: 7", "say hello", "End"]
    assert document.text.split("\n\n") == expected
    assert [document.page_at(document.text.index(text)) for text in ("hello", "End")] == [1, 2]
    assert [document.text[h.start : h.end] for h in document.headings or ()] == ["Fees", "End"]


ODF_NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"))
)


def odf_of(kind: str, body: str, **more: str) -> bytes:
    content = f"<office:document-content {ODF_NAMES}><office:body><office:{kind}>{body}</office:{kind}></office:body>"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("content.xml", f"{content}</office:document-content>")
        for name, text in more.items():
            archive.writestr(name, text)
    return file.getvalue()


def test_an_opendocument_text_is_read_with_what_hangs_on_it_and_without_what_was_deleted() -> None:
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Since May.</text:p>"
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">Fees</text:h>'
        f"<text:p>It costs<text:s/>40<text:span> euros</text:span>{note}</text:note-body></text:note> a day.</text:p>"
        "<text:list><text:list-item><text:p>Item</text:p></text:list-item></text:list>"
    )
    document = load_bytes(odf_of("text", body), "a.odt")
    assert document.text.split("\n\n") == ["Fees", "It costs 40 euros a day.", "Since May.", "Item"]
    assert document.title == "Fees"


def test_an_opendocument_table_names_its_columns() -> None:
    def cells(*texts: str) -> str:
        made = "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)
        return f"<table:table-row>{made}</table:table-row>"

    span = "table:number-columns-spanned='2'"
    head = "<table:table-row><table:table-cell><text:p>city</text:p></table:table-cell>"
    head += f"<table:table-cell {span}><text:p>2024</text:p></table:table-cell>"
    head += "<table:covered-table-cell/></table:table-row>"
    wide = '<table:table-row><table:table-cell table:number-columns-repeated="1000"/></table:table-row>'
    body = f"<table:table table:name='T'>{cells('city', 'fee')}{cells('Wuhan', '20 €')}{wide}</table:table>"
    merged = f"<table:table>{head}{cells('Wuhan', '5', '7')}</table:table>"
    assert load_bytes(odf_of("text", merged), "a.odt").text == "city: Wuhan; 2024: 5; 2024: 7"
    assert load_bytes(odf_of("spreadsheet", body), "a.ods").text == "city: Wuhan; fee: 20 €"


def test_a_locked_opendocument_file_is_told() -> None:
    data = odf_of("text", "", **{"META-INF/manifest.xml": "<manifest:encryption-data/>"})
    with pytest.raises(LoadError, match="is encrypted: remove its password"):
        load_bytes(data, "a.odt")


def test_rtf_is_read_with_its_notes_tables_and_letters() -> None:
    text = (
        r"{\rtf1\ansi\ansicpg1252 {\fonttbl{\f0 Arial;}}\pard It costs 40 \'80{\footnote {\b Since} May.}.\par"
        r"\trowd a\cell b\cell\row\pard \u20013?\u25991?\par}"
    )
    assert load_bytes(text.encode(), "a.rtf").text.split("\n\n") == ["It costs 40 € (Since May.).", "a | b", "中文"]
    table = r"{{\pard City\par}\cell}{{\pard Fee\par}\cell}\row {{\pard Wuhan\par}\cell}{{\pard 20\par}\cell}\row"
    assert load_bytes(f"{{{table}}}".encode(), "a.rtf").text == "City: Wuhan; Fee: 20"
    with pytest.raises(LoadError, match="is no RTF"):
        load_bytes(b"plain text", "a.rtf")
