"""Files of every kind become documents, and whatever is wrong with one is said in one sentence."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import zipfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.decoding import LoaderSettings, decode, detect
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.formats.light_markup import is_rst
from pagoda.rag.documents.loaders import SUFFIXES, load_bytes, read_file
from pagoda.rag.documents.pdf import recognition
from pagoda.rag.documents.pdf.lines import Line
from pagoda.rag.errors import EmptyFileError, LoadError

CHINESE = "员工每年享有十五天年假。年假须提前两周申请，由部门主管批准。未休的年假可以顺延到下一年三月底。"


def pdf_of(pages: list[list[str]], *, font: str = "Helvetica", password: str | None = None, title: str = "") -> bytes:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    if font.startswith("STSong"):
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    file = io.BytesIO()
    encryption = StandardEncryption(password, ownerPassword="owner", strength=128) if password else None
    canvas = Canvas(file, encrypt=encryption)
    canvas.setTitle(title)
    for lines in pages:
        canvas.setFont(font, 12)
        for row, line in enumerate(lines):
            canvas.drawString(72, 720 - 16 * row, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def docx_of(*blocks: str | list[list[str]]) -> bytes:
    import docx

    document = docx.Document()
    for block in blocks:
        if isinstance(block, str):
            document.add_paragraph(block)
        else:
            table = document.add_table(len(block), len(block[0]))
            for i, row in enumerate(block):
                for j, cell in enumerate(row):
                    table.cell(i, j).text = cell
    document.core_properties.title = "Handbook"
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def load(name: str, data: bytes | str, settings: LoaderSettings | None = None) -> Document:
    return load_bytes(data.encode() if isinstance(data, str) else data, name, settings)


# Text and its encodings


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk"]
)
def test_chinese_text_is_read_in_every_usual_encoding(encoding: str) -> None:
    text = f"# 年假 leave\n\n{CHINESE}\n"
    assert load("a.txt", text.encode(encoding)).text == text


@pytest.mark.parametrize("text", ["年假制度", "hello", "a", "第1条 请假。"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_short_texts_are_enough_to_tell_the_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Le café est fermé en été. Où êtes-vous, mon frère ?", "latin-1"),
        ("Größe und Maß der Türen, geöffnet für übermütige Gäste", "cp1252"),
        ("Каждый охотник желает знать, где сидит фазан", "cp1251"),
        ("這是一份關於臺灣旅遊資訊與請假規定的說明文件，請各位同仁詳細閱讀。", "big5"),
        ("これは日本語のテキストです。カタカナもあります。", "shift_jis"),
        (
            "이 문서는 휴가 규정에 대한 설명입니다. 모든 직원은 매년 십오 일의 휴가를 사용할 수 있습니다. "
            "휴가는 이 주 전에 신청해야 하며 부서장의 승인을 받아야 합니다. 사용하지 않은 휴가는 다음 해로 넘어갑니다.",
            "euc-kr",
        ),
    ],
)
def test_older_encodings_are_told_by_what_is_frequent_in_their_languages(text: str, encoding: str) -> None:
    assert load("a.txt", text.encode(encoding)).text == text


@pytest.mark.parametrize("text", ["도서관", "圖書館開門", "年费120元", "図書館です。", "Schlüssel für die Tür"])
def test_a_few_characters_are_read_rightly_or_refused(text: str) -> None:
    for encoding in ("gbk", "big5", "shift_jis", "euc-kr", "cp1252"):
        try:
            data = text.encode(encoding)
            assert decode(data) == text
        except (UnicodeEncodeError, LoadError):
            continue


def test_an_encoding_that_is_not_certain_is_refused_instead_of_guessed() -> None:
    with pytest.raises(LoadError, match=r"no other encoding is certain: save it as UTF-8, or name its encoding with"):
        detect("Zażółć gęślą jaźń, proszę państwa".encode("cp1250"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (CHINESE.encode()[:-1], CHINESE[:-1] + "\ufffd"),
        (CHINESE.encode().replace("年".encode(), b"\xe5\xff", 1), None),
        (CHINESE.encode("utf-16")[:-1], CHINESE[:-1] + "\ufffd"),
    ],
)
def test_a_broken_byte_loses_its_character_alone_and_is_told(data: bytes, text: str | None) -> None:
    document = load("a.txt", data)
    assert text in (document.text, None)
    assert "申请，由部门主管批准" in document.text
    assert "could not be read" in document.warnings[0]


def test_a_named_encoding_is_used() -> None:
    assert load("a.txt", "café".encode("cp1252"), LoaderSettings(encoding="cp1252")).text == "café"
    with pytest.raises(LoadError, match="is not ascii: byte 3 cannot be read"):
        load("a.txt", "café".encode(), LoaderSettings(encoding="ascii"))
    with pytest.raises(LoadError, match="encoding 'klingon' is unknown"):
        load("a.txt", "café", LoaderSettings(encoding="klingon"))


def test_lines_end_alike_and_what_no_database_stores_is_replaced_in_place() -> None:
    assert load("a.txt", "a\r\nb\rc\n").text == "a\nb\nc\n"
    assert load("a.json", '["x\\ud800y", "z"]').text == "x\ufffdy\n\nz"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", bytes(range(256)) * 20),
        ("a.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200)),
        ("a.csv", b"\x7fELF\x02\x01\x01" + bytes(64)),
        ("a.json", b"PK\x03\x04\x14" + bytes(100)),
    ],
)
def test_a_binary_file_that_is_named_as_text_is_told(name: str, data: bytes) -> None:
    with pytest.raises(LoadError, match=r"is binary, not text|is neither UTF-8"):
        load(name, data)


# Markdown


def test_front_matter_becomes_metadata_and_lines_keep_their_numbers() -> None:
    document = load(
        "a.md", '---\ntitle: "Leave"\ntags: [hr, 人事]\nyear: 2026\ndraft: false\n---\n# Heading\n\nText.\n'
    )
    assert document.title == "Leave"
    assert document.metadata == {"title": "Leave", "tags": ("hr", "人事"), "year": 2026, "draft": False, "format": "md"}
    assert document.line_at(document.text.index("Text.")) == 9
    assert "tags" not in document.text


def test_toml_front_matter_is_read() -> None:
    document = load("a.md", '+++\ntitle = "旅行"\ndate = 2026-01-02\n+++\nText')
    assert (document.title, document.metadata["date"]) == ("旅行", "2026-01-02")


def test_a_rule_that_only_looks_like_front_matter_stays() -> None:
    text = "---\nNot a field, a sentence.\n---\nText"
    assert load("a.md", text).text == text


def test_the_title_is_the_first_heading_outside_code() -> None:
    assert load("a.md", "```\n# comment\n```\n\n## 第一章 `x`\n\ntext").title == "第一章 `x`"
    assert load("a.md", "Underlined\n==========\n").title == "Underlined"
    assert load("a.md", "no heading").title == ""


# HTML


PAGE = """<!DOCTYPE html><html lang="en"><head><title>Travel  policy</title><meta name="author" content="Li Lei">
<style>p {color: red}</style><script>var hidden = 1;</script></head><body>
<nav><a href="/">Home</a> <a href="/b">Blog</a></nav>
<main><h1>Travel</h1><p>The <b>best</b> hotels cost <i>500</i> a night.</p>
<ul><li>Trains first</li><li>机票其次</li></ul>
<table><tr><th>City</th><th>Limit</th></tr><tr><td>Wuhan</td><td>400</td></tr></table></main>
<footer><a href="/i">Imprint</a> <a href="/c">Contact</a></footer></body></html>"""


def test_a_page_gives_its_text_without_markup_and_furniture() -> None:
    document = load("a.html", PAGE)
    assert document.title == "Travel policy"
    assert document.metadata == {"author": "Li Lei", "language": "en", "format": "html"}
    for words in ("The best hotels cost 500 a night.", "Trains first", "机票其次", "Wuhan"):
        assert words in document.text
    for words in ("hidden", "color", "<", "Imprint"):
        assert words not in document.text


def test_a_long_article_is_told_from_the_menu_around_it() -> None:
    menu = "".join(f"<div role='navigation'><a href='/{i}'>Menu entry {i}</a></div>" for i in range(40))
    article = "".join(
        f"<p>Paragraph {i} tells, in a sentence of some length, what happened on day {i}.</p>" for i in range(60)
    )
    text = load("a.html", f"<html><body>{menu}<article><h1>News</h1>{article}</article>{menu}</body></html>").text
    assert "Paragraph 59 tells" in text
    assert "Menu entry" not in text


def test_a_page_in_pieces_is_read_by_what_can_be_seen() -> None:
    text = load("a.htm", "<p>Opening hours<br>9 to 5<p>Closed on <b>Sunday</b><!-- secret -->").text
    assert text.split("\n") == ["Opening hours", "9 to 5", "", "Closed on Sunday"]


def test_a_page_may_declare_its_encoding() -> None:
    page = f"<html><head><meta charset='gb2312'></head><body><p>{CHINESE}</p></body></html>"
    assert CHINESE in load("a.html", page.encode("gb18030")).text
    page = "<html><head><meta charset=iso-8859-1></head><body><p>Un café fermé</p></body></html>"
    assert "café fermé" in load("a.html", page.encode("latin-1")).text
    # What it declares is wrong: it is UTF-8 after all.
    page = f"<html><head><meta charset='ascii'></head><body><p>{CHINESE}</p></body></html>"
    assert CHINESE in load("a.html", page.encode()).text


# PDF


def test_a_pdf_knows_its_pages_and_its_title() -> None:
    data = pdf_of([["First page."], ["Second page: the safe is", "behind the picture."]], title="Secrets")
    document = load("a.pdf", data)
    assert document.title == "Secrets"
    offset = document.text.index("the safe is behind the picture.")
    assert (document.page_at(0), document.page_at(offset)) == (1, 2)


def test_a_chinese_pdf_is_read_and_its_broken_lines_are_joined() -> None:
    document = load("a.pdf", pdf_of([["员工每年享有十五天年", "假。年假须提前申请。"]], font="STSong-Light"))
    assert "员工每年享有十五天年假。年假须提前申请。" in document.text


def test_an_empty_page_counts() -> None:
    document = load("a.pdf", pdf_of([["one"], [], ["three"]]))
    assert document.page_at(document.text.index("three")) == 3


def aes_locked(data: bytes) -> bytes:
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt("", owner_password="owner", algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def scan_of(*, text_first: bool) -> bytes:
    """A page that is a picture, behind one of text where `text_first`."""
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file)
    if text_first:
        canvas.drawString(72, 720, "The first page can be read.")
        canvas.showPage()
    canvas.drawImage(ImageReader(Image.new("L", (60, 80), 200)), 0, 0, 595, 842)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def test_scanned_pages_are_told_and_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "recognised", lambda page: ())
    document = load("a.pdf", scan_of(text_first=True))
    assert "can be read" in document.text
    (warning,) = document.warnings
    assert "pages without text, which seem to be scanned (2)" in warning
    with pytest.raises(EmptyFileError, match=r"only pictures of it: install pagoda-llm\[ocr\]"):
        load("a.pdf", scan_of(text_first=False))


def test_a_scanned_page_is_read_where_recognition_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "recognised", lambda page: (Line("From a picture", 50, 200, 700, 710, 10),))
    document = load("a.pdf", scan_of(text_first=True))
    assert document.text.endswith("From a picture")
    assert document.page_at(len(document.text) - 1) == 2
    assert not document.warnings


def test_a_pdf_that_is_locked_for_changes_only_is_read() -> None:
    """Its user's password is empty; AES of 256 bits, as writers make it today."""
    data = pdf_of([["Everybody may read this."]])
    assert load("a.pdf", aes_locked(data)).text == "Everybody may read this."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"not a pdf at all", "is broken"),
        (pdf_of([["x"]])[:300], "is broken"),
        (pdf_of([["x"]], password="secret"), "is encrypted: remove its password"),
        (pdf_of([[]]), "holds no text"),
    ],
)
def test_a_pdf_that_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        load("a.pdf", data)


# Word


def test_a_word_file_gives_paragraphs_and_tables_in_their_order() -> None:
    document = load("a.docx", docx_of("Before", [["City", "Limit"], ["Wuhan", "400"], ["北京", "500"]], "之后"))
    assert document.text == "Before\n\nCity: Wuhan; Limit: 400\n\nCity: 北京; Limit: 500\n\n之后"
    assert document.title == "Handbook"


def test_merged_cells_are_read_once() -> None:
    import docx

    document = docx.Document()
    table = document.add_table(1, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(0, 2).text = "narrow"
    file = io.BytesIO()
    document.save(file)
    assert load("a.docx", file.getvalue()).text == "wide | narrow"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 broken", "is broken"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "is encrypted, or a .doc of an old office"),
        (docx_of(), "holds no text"),
    ],
)
def test_a_word_file_that_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        load("a.docx", data)


def test_a_word_file_that_would_fill_the_memory_is_refused_unopened() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 10_000_000)
    with pytest.raises(LoadError, match=r"unpacks to 10,000,000 bytes, at most 1,000,000"):
        load("a.docx", file.getvalue(), LoaderSettings(max_bytes=1_000_000))


# Tables and records


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_row_becomes_a_paragraph_that_names_its_columns(delimiter: str) -> None:
    rows = [["城市", "limit"], ["Wuhan", "1"], ["北京", "2"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert load("a.csv", text).text == "城市: Wuhan; limit: 1\n\n城市: 北京; limit: 2"


def test_quoted_cells_may_hold_delimiters_and_lines() -> None:
    assert load("a.csv", 'a,b\n"x, y","two\nlines"\n,\n').text == "a: x, y; b: two lines"


def test_a_tsv_is_split_at_tabs_only() -> None:
    assert load("a.tsv", "a,1\tb\nx\ty, z\n").text == "a,1: x; b: y, z"


def test_columns_without_a_name_are_numbered() -> None:
    assert load("a.csv", ",b\n1,2,3\n").text == "column 1: 1; b: 2; column 3: 3"


def test_json_records_become_paragraphs() -> None:
    records = [
        {"name": "茶", "price": {"cny": 3, "tags": ["hot", "绿"]}},
        {"name": "coffee", "sold": True, "note": None},
    ]
    expected = "name: 茶; price.cny: 3; price.tags: hot, 绿\n\nname: coffee; sold: true"
    assert load("a.json", json.dumps(records)).text == expected
    assert load("a.jsonl", "\n".join(map(json.dumps, records)) + "\n\n").text == expected
    assert load("a.json", '{"a": 1, "b": {"c": "x"}}').text == "a: 1\n\nb.c: x"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.json", '{"a": 1,\n oops}', r"is no JSON \(.* in line 2\)"),
        ("a.jsonl", '{"a": 1}\n{"b"\n', "is no JSON in line 2"),
        ("a.json", "[" * 100_000, "is broken: RecursionError"),
        ("a.json", "[]", "holds no text"),
    ],
)
def test_records_that_cannot_be_read_say_where(name: str, data: str, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        load(name, data)


# Files


def load_file(path: Path) -> Document:
    return load_bytes(read_file(path, LoaderSettings()), path.name)


def test_a_file_without_a_byte_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "空.txt"
    path.write_bytes(b"")
    with pytest.raises(EmptyFileError, match=r"^is empty"):
        load_file(path)


def test_a_file_that_is_only_blank_holds_no_text() -> None:
    with pytest.raises(EmptyFileError, match="holds no text"):
        load("a.txt", " \n\t\n")


@pytest.mark.parametrize("name", ["a.exe", "Makefile", "a.mp4"])
def test_an_unknown_kind_is_told_before_it_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"is of a kind that cannot be read .*: convert it to one of"):
        load_file(tmp_path / name)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    for name in ("none.txt", "folder.txt"):
        with pytest.raises(LoadError, match="is no regular file"):
            load_file(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(LoadError, match="is no regular file"):
        load_file(tmp_path / "pipe.txt")


def test_a_file_of_fifty_megabytes_is_read_and_one_beyond_the_limit_is_not(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_bytes(b"All work and no play makes Jack a dull boy.\n" * (50_000_000 // 44))
    assert len(load_file(path).text) == path.stat().st_size
    with path.open("ab") as file:
        file.truncate(65 << 20)
    with pytest.raises(LoadError, match=r"has 68,157,440 bytes, at most 67,108,864 are read: split it, or raise"):
        load_file(path)


def test_a_limit_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="max_bytes is 0"):
        LoaderSettings(max_bytes=0)


@pytest.mark.parametrize(
    ("name", "data", "library"),
    [
        ("a.pdf", pdf_of([["x"]]), "pypdfium2"),
        ("a.docx", docx_of("x"), "lxml"),
        ("a.rtf", b"{\\rtf1 x}", "striprtf.striprtf"),
    ],
)
def test_a_file_whose_library_is_missing_is_left_out_with_the_name_of_the_extra(
    name: str, data: bytes, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(LoadError, match=r"needs an optional dependency: .*\[rag\]"):
        load(name, data)


def test_loading_opens_no_connection(no_sockets: None) -> None:
    page = PAGE.replace("<p>", "<p><img src='http://example.com/x.png'>")
    assert load("a.html", page).text
    assert load("a.pdf", pdf_of([["x"]])).text
    assert load("a.docx", docx_of("x")).text


def test_people_are_told_of_the_kinds_that_can_be_read() -> None:
    """The page's file dialogue hides what it does not name, and the READMEs and help promise what they do."""
    page = (files("pagoda.server") / "page" / "index.html").read_text(encoding="utf-8")
    (accepted,) = re.findall(r'id="documents-files".*?accept="([^"]+)"', page)
    assert set(accepted.split(",")) == SUFFIXES
    promised = re.search(
        r"a folder of ([\w, ]+) answers questions",
        (Path(__file__).parents[4] / "README.md").read_text(encoding="utf-8"),
    )
    assert promised is not None
    for kind in (*re.split(r", | and ", promised[1]), "tsv", "jsonl"):
        assert f".{kind}" in SUFFIXES


def damaged(data: bytes, part: str) -> bytes:
    """An archive of which one part cannot be unpacked any more."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(part)
    at = info.header_offset + 30 + len(part.encode()) + 8
    return data[:at] + bytes(255 - byte for byte in data[at : at + 40]) + data[at + 40 :]


def test_a_word_file_whose_text_is_damaged_is_broken_and_not_empty() -> None:
    """An empty file leaves the index; of a broken one what was indexed before stays."""
    with pytest.raises(LoadError, match="is broken: its main part cannot be read") as caught:
        load("a.docx", damaged(docx_of("words"), "word/document.xml"))
    assert not isinstance(caught.value, EmptyFileError)


def test_a_part_that_is_damaged_takes_nothing_else_along() -> None:
    assert load("a.docx", damaged(docx_of("words"), "word/styles.xml")).text == "words"


def test_what_no_database_keeps_stands_nowhere_in_a_document() -> None:
    page = '---\ntitle: "\\ud800x"\nauthor: "\\ud800y"\ntags: ["\\ud800z", 1]\n---\nwords'
    document = load("a.md", page)
    told = json.dumps([document.title, document.text, dict(document.metadata)], ensure_ascii=False)
    assert "\ufffdy" in told
    told.encode("utf-8")


RST_CALLED_MARKDOWN = """Backups
=======

.. note:: Read :ref:`limits` first.

Keeping them
------------

Backups are kept for ``30`` days::

    keep --days 30
"""


@pytest.mark.parametrize("text", [RST_CALLED_MARKDOWN, RST_CALLED_MARKDOWN.replace("Backups", "备份说明")])
def test_restructuredtext_in_a_file_called_md_is_read_as_what_it_is(text: str) -> None:
    document = load_bytes(text.encode(), "a.md")
    assert document == replace(load_bytes(text.encode(), "a.rst"), source="a.md", metadata=document.metadata)
    assert ".. note::" not in document.text
    assert "::" not in document.text
    assert document.metadata["format"] == "md"


@pytest.mark.parametrize(
    "text",
    [
        "# 端口\n\n见 [说明](a.md)。\n\n```\nls::\n\n    a\n```\n",
        "Ports\n=====\n\nThe port is `80`.\n\n* a\n* b\n",
        "---\ntitle: Ports\n---\n\nSee [here](a.md), std::\n\n    x\n",
    ],
)
def test_markdown_stays_markdown(text: str) -> None:
    assert not is_rst(text)
    assert load_bytes(text.encode(), "a.md").text.split("\n")[-3:] == text.split("\n")[-3:]


@pytest.mark.parametrize(
    ("text", "written", "named"),
    [
        ("The shop opens at nine.\n", "utf-8", "utf-16"),
        ("商店九点开门，周日休息。\n", "utf-8", "utf-16-le"),
        ("商店九点开门，周日休息。\n", "gb18030", "utf-16-le"),
        ("商店九点开门，周日休息。\n", "utf-8", "gb18030"),
    ],
)
def test_a_named_encoding_that_makes_nonsense_is_refused(text: str, written: str, named: str) -> None:
    data = text.encode(written)
    with pytest.raises(LoadError, match="is not "):
        load("a.txt", data + b" " * (len(data) % 2), LoaderSettings(encoding=named))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "gb18030", "utf-8"])
@pytest.mark.parametrize("text", ["The shop opens at nine.", "商店九点开门，周日休息。", "é"])
def test_a_named_encoding_that_is_right_is_used(text: str, encoding: str) -> None:
    assert load("a.txt", text.encode(encoding), LoaderSettings(encoding=encoding)).text == text
