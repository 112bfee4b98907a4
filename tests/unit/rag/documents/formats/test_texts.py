"""Books, mails, notebooks, light markup and source code become documents."""

from __future__ import annotations

import io
import json
import zipfile
from email.message import EmailMessage

import pytest

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.loaders import load_bytes
from pagoda.rag.errors import LoadError


def headings(document: Document) -> list[str]:
    return [document.text[heading.start : heading.end] for heading in document.headings or ()]


def epub_of(chapters: dict[str, str], order: list[str]) -> bytes:
    items = "".join(f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in order)
    title = "<dc:title>The Book</dc:title><dc:creator>Li Lei</dc:creator>"
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata>{title}</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("META-INF/container.xml", '<container><rootfile full-path="OPS/book.opf"/></container>')
        archive.writestr("OPS/book.opf", package)
        for name, body in chapters.items():
            archive.writestr(f"OPS/{name}.xhtml", f"<html><body>{body}</body></html>")
    return file.getvalue()


def test_a_book_is_read_chapter_by_chapter_in_the_order_of_reading() -> None:
    chapters = {"b": "<h1>Two</h1><p>End.</p>", "a": "<h1>One</h1><p>Begin.</p>"}
    document = load_bytes(epub_of(chapters, ["a", "b"]), "a.epub")
    assert document.text.split("\n\n") == ["One", "Begin.", "Two", "End."]
    assert (document.title, document.metadata["author"]) == ("The Book", "Li Lei")
    assert headings(document) == ["One", "Two"]


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in headers.items():
        message[name] = value
    return message


def test_a_mail_says_who_wrote_what_and_names_what_is_attached() -> None:
    message = mail(
        From="Ann <ann@example.com>", To="Bob", Subject="Réunion 会议", Date="Mon, 6 May 2024 10:00:00 +0000"
    )
    message.set_content("We meet at 9.\n")
    message.add_alternative("<p>We meet at <b>9</b>.</p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="plan.pdf")
    document = load_bytes(bytes(message), "a.eml")
    head, body, attached = document.text.split("\n\n")
    assert head.split("\n")[-1] == "Subject: Réunion 会议"
    assert (body, attached) == ("We meet at 9.", "Attachments: plan.pdf (application/pdf)")
    assert document.title == "Réunion 会议"


def test_a_mail_that_is_a_page_and_one_that_is_forwarded_are_read() -> None:
    inner = mail(Subject="Old")
    inner.set_content("The old news.\n")
    message = mail(Subject="New")
    message.set_content("<h1>News</h1><p>Read this.</p>", subtype="html")
    message.add_attachment(inner)
    text = load_bytes(bytes(message), "a.eml").text
    assert [part for part in text.split("\n\n") if not part.startswith("Attach")] == [
        "Subject: New",
        "News",
        "Read this.",
        "Subject: Old",
        "The old news.",
    ]


def test_a_notebook_has_its_text_its_code_and_what_that_printed() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Fees\n", "They rose."]},
        {
            "cell_type": "code",
            "source": "# no heading\nprint(40)",
            "outputs": [
                {"output_type": "stream", "text": ["40\n"]},
                {"output_type": "display_data", "data": {"image/png": "iVBOR", "text/plain": "a figure"}},
                {"output_type": "error", "ename": "ValueError", "evalue": "\x1b[31mtoo much"},
            ],
        },
    ]
    document = load_bytes(json.dumps({"nbformat": 4, "cells": cells}).encode(), "a.ipynb")
    assert document.text.startswith("# Fees\nThey rose.\n\n# no heading\nprint(40)\n\n40\n\na figure\n\nValueError:")
    assert document.title == "Fees"
    assert [document.text[start:end] for start, end in document.listings] == ["# no heading\nprint(40)"]
    with pytest.raises(LoadError, match="is no notebook"):
        load_bytes(b"[]", "a.ipynb")


RST = """.. _start:

=====
Start
=====

See :ref:`the guide <guide>` and ``make all``, *really*.

.. note:: Mind the `docs <https://x.org/d>`_.

Next
----
.. code-block:: sh

   make all
"""
ADOC = """= Start
:toc:

See xref:guide.adoc[the guide] and `make all`, *really*.

== Next
[source,sh]
----
make all
----
"""
ORG = """#+TITLE: Start
* Next
:PROPERTIES:
:ID: 7
:END:
See [[https://x.org][the guide]] and =make all=, *really*.
"""


@pytest.mark.parametrize(("name", "text"), [("a.rst", RST), ("a.adoc", ADOC), ("a.org", ORG)])
def test_light_marks_are_taken_off_and_lines_stay(name: str, text: str) -> None:
    document = load_bytes(text.encode(), name)
    assert document.title == "Start"
    assert document.text.count("\n") == text.count("\n")
    plain = document.text
    assert "See the guide and make all, really." in plain
    for mark in ("::", "----", "====", "source,sh", "PROPERTIES", "toc", "xref", "[["):
        assert mark not in plain
    listed = [plain[start:end].strip() for start, end in document.listings]
    assert listed == ([] if name == "a.org" else ["make all"])
    assert document.line_at(plain.index("See")) == text[: text.index("See")].count("\n") + 1
    assert [heading.strip("=* ") for heading in headings(document)] == (
        ["Next"] if name == "a.org" else ["Start", "Next"]
    )


@pytest.mark.parametrize(
    ("directive", "told"),
    [
        (".. deprecated:: 3.2", "deprecated: 3.2"),
        (".. deprecated:: 3.2 Use ``get``.", "deprecated: 3.2 Use get."),
        (".. deprecated-removed:: 3.2 4.0", "deprecated-removed: 3.2 4.0"),
        (".. versionadded:: 2.0", "versionadded: 2.0"),
        ("   .. versionchanged:: 2.1", "   versionchanged: 2.1"),
        (".. versionremoved:: 5", "versionremoved: 5"),
        (".. deprecated:: 3.2 请改用 ``get``。", "deprecated: 3.2 请改用 get。"),
    ],
)
def test_what_a_version_ended_or_began_is_said_and_not_only_its_number(directive: str, told: str) -> None:
    text = f"Start\n=====\n\nOpens a page.\n\n{directive}\n\nNext.\n"
    assert told in load_bytes(text.encode(), "a.rst").text.split("\n")


@pytest.mark.parametrize(
    ("name", "marked"),
    [
        ("a.rst", "See :ref:`the long guide <the\n  guide>` first."),
        ("a.rst", "See `the long guide <https://example.org/\n  guide>`_ first."),
        ("a.rst", "请看 :ref:`很长的指南 <the\n  guide>`。"),
        ("a.adoc", "See <<guide,\nthe long guide>> first."),
        ("a.org", "See [[https://example.org][the long\nguide]] first."),
    ],
)
def test_a_mark_over_two_lines_moves_no_line_behind_it(name: str, marked: str) -> None:
    text = f"Start here.\n\n{marked}\n\nThe last line.\n"
    document = load_bytes(text.encode(), name)
    assert document.line_at(document.text.index("The last line.")) == text.split("\n").index("The last line.") + 1


def test_code_is_found_by_its_symbols_and_stays_as_it_is() -> None:
    text = '"""Plays games."""\n\n\nclass Game(Base):\n    def play(self) -> None:\n        def inner(): ...\n\n# end\n'
    document = load_bytes(text.encode(), "src/game.py")
    assert document.text == text
    assert headings(document) == ["class Game(Base)", "def play(self) -> None"]
    assert [heading.level for heading in document.headings or ()] == [1, 2]
    assert document.title == "game.py: Plays games."


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.go", "package a\n\nfunc (s *S) Add(a int) int {\n\treturn a\n}\n", ["func (s *S) Add(a int) int"]),
        (
            "a.ts",
            "export class A {\n  size = 1;\n}\nasync function go(a) {\n}\n",
            ["export class A", "async function go(a)"],
        ),
        (
            "a.rs",
            "pub struct A;\nimpl A {\n    pub fn go(&self) {}\n}\n",
            ["pub struct A;", "impl A", "pub fn go(&self) {}"],
        ),
        ("a.c", "int x = 3;\nstatic void go(int a)\n{\n  if (a) stop(a);\n}\n", ["static void go(int a)"]),
        ("a.sh", "go() {\n  stop\n}\n", ["go()"]),
        ("broken.py", "def go(:\n    x\nclass A:\n", ["def go(", "class A"]),
    ],
)
def test_definitions_of_other_languages_are_told_by_how_they_begin(name: str, text: str, expected: list[str]) -> None:
    assert headings(load_bytes(text.encode(), name)) == expected


def test_a_long_line_without_a_definition_costs_little() -> None:
    assert headings(load_bytes(b"var a = " + b"x * y, " * 20_000, "a.js")) == []
