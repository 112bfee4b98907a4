"""Strangers' files as HTML: what a browser would obey is gone, what a reader looks at is there and marked."""

from __future__ import annotations

import lxml.html
import pytest

from pagoda.rag.documents.document import Heading
from pagoda.rag.viewing.marking import mark, plain_text
from pagoda.rag.viewing.pages import html_tree, markdown_tree, safe_html, text_tree

# After OWASP's list of filter evasions and DOMPurify's collection of mutations.
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<a href='javascript:alert(1)'>x</a><a href=' jAvAsCrIpT:alert(1)'>y</a><a href='java\nscript:alert(1)'>z</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a><a href='/v1/rag/documents'>y</a><a href='//evil'>z</a>",
    "<iframe src='https://evil.example'></iframe><object data=x></object><embed src=x><base href='//evil.example'>",
    "<form action='https://evil.example'><input name=key><button formaction=x>go</button></form>",
    "<style>*{background:url(https://evil.example)}</style>",
    "<p style='position:fixed' onclick=alert(1) class=c id=i>p</p>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<details open ontoggle=alert(1)><summary>s</summary>d</details><mark onmouseover=alert(1)>m</mark>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'><link rel=stylesheet href=//evil.example>",
    "<template><script>alert(1)</script></template><textarea></textarea><script>alert(1)</script>",
]
ACTIVE = {"script", "style", "img", "svg", "math", "iframe", "form", "input", "object", "embed", "link", "meta", "base"}
ALLOWED = {"href", "rel", "colspan", "rowspan", "start", "value", "open"}


def faults(page: str) -> list[str]:
    """Elements and attributes that may do anything."""
    found = []
    for element in lxml.html.fragment_fromstring(page, create_parent="div").iter():
        if element.tag in (
            "script",
            "style",
            "img",
            "svg",
            "math",
            "iframe",
            "form",
            "input",
            "object",
            "link",
            "meta",
        ):
            found.append(str(element.tag))
        found += [name for name in element.attrib if name not in ALLOWED]
        href = element.get("href")
        if href is not None and not href.startswith(("http://", "https://", "mailto:")):
            found.append(href)
    return found


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_of_a_strangers_page_does_anything(hostile: str) -> None:
    page = f"<html><body><p>Before.</p>{hostile}<p>After.</p></body></html>"
    trees = [
        html_tree(page),
        markdown_tree(f"Before.\n\n{hostile}\n\nAfter."),
        text_tree(page, (0, len(page)), (0, 20)),
    ]
    for tree in trees:
        mark(tree, 0, 400)
        shown = safe_html(tree)
        assert faults(shown) == []
        assert "Before." in plain_text(lxml.html.fragment_fromstring(shown, create_parent="div"))


def test_a_link_to_elsewhere_stays_and_tells_nobody_where_it_was_clicked() -> None:
    shown = safe_html(markdown_tree("[guide](https://example.org/a) and [mail](mailto:a@example.org)"))
    assert 'href="https://example.org/a" rel="noopener noreferrer nofollow"' in shown
    assert 'href="mailto:a@example.org"' in shown


def test_markdown_and_pages_keep_their_form_and_a_picture_becomes_its_words() -> None:
    shown = safe_html(markdown_tree("# Title\n\n- one\n- **two**\n\n|a|b|\n|-|-|\n|1|2|\n\n![a lamp](x.png)"))
    for part in ("<h1>Title</h1>", "<strong>two</strong>", "<td>1</td>", "[a lamp]"):
        assert part in shown
    page = safe_html(
        html_tree("<body><nav>menu</nav>\n<table><tr><td colspan=2>\nx</table><ol start=3><li>y</ol></body>")
    )
    assert 'colspan="2"' in page
    assert 'start="3"' in page
    assert "menu" not in page
    assert "\ue000" not in page


def test_a_passage_over_several_elements_is_marked_in_each_and_nothing_else_is() -> None:
    tree = markdown_tree("One *two* three.\n\nFour **five** six.")
    text = plain_text(tree)
    num_marks = mark(tree, text.index("two"), text.index("five") + 4)
    assert num_marks == 4
    assert [found.text for found in tree.iter("mark")] == ["two", " three.", "Four ", "five"]
    assert plain_text(tree) == text


def test_blanks_within_a_line_are_marked_and_those_between_cells_are_not() -> None:
    tree = html_tree("<body><pre><i>a</i> <i>b</i>\n<i>c</i></pre><table><tr><td>d</td> <td>e</td></tr></table>")
    mark(tree, 0, len(plain_text(tree)))
    shown = safe_html(tree)
    assert "<i><mark>a</mark></i><mark> </mark><i><mark>b</mark></i>\n<i>" in shown
    assert "<td><mark>d</mark></td> <td><mark>e</mark></td>" in shown


def test_a_text_is_shown_by_its_structure_and_marked_to_the_letter() -> None:
    text = "Title\n\nFirst <b>line</b>\nsecond\n\n$ run\n\nEnd"
    listing = (text.index("$ run"), text.index("$ run") + 6)
    span = (text.index("line"), text.index("second") + 3)
    shown = safe_html(text_tree(text, (0, len(text)), span, [Heading(0, 5, 2)], [listing]))
    assert "<h2>Title</h2>" in shown
    assert "<p>First &lt;b&gt;<mark>line&lt;/b&gt;\nsec</mark>ond</p>" in shown
    assert "<pre>$ run\n</pre>" in shown


@pytest.mark.parametrize(
    "unseen", ["<!-- hidden -->", "<?php hidden ?>", "<![CDATA[ hidden ]]>", "\x01\x0b", "\x0c", "\ufffe", "&#1;"]
)
def test_what_no_tree_of_elements_holds_is_passed_over_within_a_passage(unseen: str) -> None:
    page = f"Tea costs {unseen} three euros."
    for tree in (markdown_tree(page), html_tree(f"<p>{page}</p>"), text_tree(page, (0, len(page)), (0, 0))):
        assert mark(tree, 0, len(plain_text(tree))) > 0
        shown = safe_html(tree)
        assert faults(shown) == []
        assert "Tea costs" in shown
        assert "three euros" in shown


def test_a_whole_page_within_markdown_is_shown_as_far_as_it_says_something() -> None:
    for page in ("<!doctype html><!-- a --><html><body>Tea</body></html>", "<html><frameset></frameset></html>\n\nTea"):
        assert "Tea" in safe_html(markdown_tree(page))


def test_a_mark_in_a_long_page_is_not_looked_for_among_all_its_siblings() -> None:
    tree = html_tree("<p>" + "tea<br>" * 10_000)
    assert mark(tree, 0, 10**6) == 10_000
