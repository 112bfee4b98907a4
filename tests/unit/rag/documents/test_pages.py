"""Pages of the web: nothing that a reader sees is lost, nothing that he does not see is kept, each in its line."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.loaders import load_bytes


def page(body: str, head: str = "") -> Document:
    return load_bytes(f"<html><head>{head}</head><body>{body}</body></html>".encode(), "a.html")


def paragraphs(body: str, head: str = "") -> list[str]:
    return page(body, head).text.split("\n\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "<article><header><h1>A</h1><p>B.</p></header><p>C.</p><footer>D.</footer></article>",
            ["A", "B.", "C.", "D."],
        ),
        ("<form><div><h1>Hours</h1><p>Open at 8.</p></div></form>", ["Hours", "Open at 8."]),
        ("<details><summary>How?</summary><p>So.</p></details>", ["How?", "So."]),
        ("<p>one<p>two<div>three</div>four", ["one", "two", "three", "four"]),
        ("<p>x<b>y</b>z <i>w</i></p>", ["xyz w"]),
        ("<ol start=3><li>Open</li><li>Close</li></ol><ul><li>Also</li></ul>", ["3. Open", "4. Close", "Also"]),
        ("<aside>Note: <a href='/x'>the key</a> is red, and it hangs behind the door.</aside>", None),
    ],
)
def test_what_is_seen_is_kept_block_by_block(body: str, expected: list[str] | None) -> None:
    assert paragraphs(body) == (expected or ["Note: the key is red, and it hangs behind the door."])


@pytest.mark.parametrize(
    "body",
    [
        "<p hidden>secret</p>",
        "<div style='display: none'>secret</div>",
        "<span style='font-size:0'>secret</span>",
        "<p class='off big'>secret</p>",
        "<p id=gone>secret</p>",
        "<template>secret</template><noscript>secret</noscript><script>secret</script>",
        "<dialog>secret</dialog>",
        "<nav>secret</nav><div role=navigation>secret</div>",
        "<footer><a href=/a>secret</a> | <a href=/b>secret too</a></footer>",
        "<!-- secret --><select><option>secret</option></select>",
    ],
)
def test_what_is_not_seen_or_only_leads_elsewhere_is_left_out(body: str) -> None:
    style = "<style>.off, .other {display:none} #gone{visibility:hidden} @media print {p {display:none}}</style>"
    assert paragraphs(f"<p>before</p>{body}<p>after</p>", style) == ["before", "after"]


def test_listings_keep_their_lines_and_are_no_headings() -> None:
    document = page("<h1>Stop</h1><pre># shutdown\n  now\n\nport = 1</pre><p># this is a sharp.</p>")
    assert document.text == "Stop\n\n# shutdown\n  now\n\nport = 1\n\n# this is a sharp."
    assert [document.text[h.start : h.end] for h in document.headings or ()] == ["Stop"]
    assert [document.text[start:end] for start, end in document.listings] == ["# shutdown\n  now\n\nport = 1"]


def test_headings_have_their_depth_and_no_anchors() -> None:
    document = page("<h1>Guide</h1><h3>Use<a href='#use'>¶</a></h3>")
    assert [(document.text[h.start : h.end], h.level) for h in document.headings or ()] == [("Guide", 1), ("Use", 3)]
    assert document.title == "Guide"


def test_a_term_stands_before_what_defines_it() -> None:
    body = "<dl><dt>port</dt><dd>3306</dd><dt>host</dt><dt>name</dt><dd><p>local</p><p>More.</p></dd></dl>"
    assert paragraphs(body) == ["port: 3306", "host, name: local", "More."]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            "<tr><th>Region<th>City<th>Fee<tr><td rowspan=2>North<td>Harbin<td>10<tr><td>Dalian<td>20",
            ["Region: North; City: Harbin; Fee: 10", "Region: North; City: Dalian; Fee: 20"],
        ),
        (
            "<thead><tr><th rowspan=2>City<th colspan=2>2023<tr><th>Rooms<th>Guests</thead><tr><td>Wuhan<td>3<td>5",
            ["City: Wuhan; 2023 Rooms: 3; 2023 Guests: 5"],
        ),
        ("<tr><th>Port<td>3306<tr><th>Host<td>local", ["Port: 3306", "Host: local"]),
        ("<tr><td>a<td>b<td>c<tr><td>d<td>e<td>f", ["a | b | c", "d | e | f"]),
        ("<tr><td>0.4<td>max 0.025<td>max 0.025<td>1.2", ["0.4 | max 0.025 | max 0.025 | 1.2"]),
        ("<tr><td>0<td><td>5<td>0<tr><td>1<td>2<td>3", ["0 | | 5 | 0", "1 | 2 | 3"]),
        ("<tr><td><td>spacer<td><td>x", ["spacer | x"]),
        ("<tr><td colspan=2>sum<td>7<tr><td>a<td>b<td>7", ["sum | | 7", "a | b | 7"]),
        ("<tr><td colspan=2>Opening hours<tr><td>Mon<td>9-17", ["Opening hours", "Mon: 9-17"]),
        (
            "<tr><td><td colspan=2>2023<tr><td><td>Rooms<td>Guests<tr><td>Wuhan<td>3<td>3",
            ["column 1: Wuhan; 2023 Rooms: 3; 2023 Guests: 3"],
        ),
        ("<caption>Fees</caption><tr><th>Item<th>Price<tr><td>Tea<td>3", ["Fees", "Item: Tea; Price: 3"]),
        ("<tr><td><h2>Left</h2><p>Menu.</p><td><p>Right.</p>", ["Left", "Menu.", "Right."]),
    ],
)
def test_a_cell_is_read_with_the_names_of_its_row_and_column(rows: str, expected: list[str]) -> None:
    assert paragraphs(f"<table>{rows}</table>") == expected


def test_each_line_is_that_of_the_file() -> None:
    body = "\n<script>\nx\n</script>\n<p\nclass=a>one\ntwo</p>\n<pre>a\nb</pre>\n"
    body += "<table><tr><td>k</td>\n<td>v</td></tr></table>"
    document = page(body)
    source = f"<html><head></head><body>{body}".split("\n")
    for words in ("one", "two", "b", "k: v"):
        line = document.line_at(document.text.index(words))
        assert words.split(":")[0] in source[line - 1]


def test_a_page_that_nests_deeper_than_pythons_stack_is_read() -> None:
    assert paragraphs("<div>" * 1500 + "deep" + "</div>" * 1500) == ["deep"]


def line_of(page: str, words: str) -> int:
    """The line that a citation of these words names."""
    document = load_bytes(page.encode(), "a.html")
    return document.line_at(document.text.index(words))


def test_a_cell_stands_in_its_row_of_the_file_and_not_where_the_table_begins() -> None:
    page = "<p>x</p>\n<table>\n<tr><th>Port\n</th><th>Use</th></tr>\n<tr>\n<td>80</td>\n<td>web</td>\n</tr>\n<tr>"
    page += "<td>22</td><td>shell</td></tr>\n</table><p>after</p>"
    assert [line_of(page, words) for words in ("Port: 80", "Port: 22", "after")] == [6, 9, 10]


def test_a_row_that_a_cell_spans_from_above_stands_where_its_own_cells_do() -> None:
    page = "<table>\n<tr><td rowspan=2>Notes</td><td>a</td><td>b</td></tr>\n<tr>\n<td>c</td><td>d</td></tr>\n</table>"
    assert line_of(page, "c | d") == 4


@pytest.mark.parametrize(
    "page",
    [
        "<html><head><style>\np {\n}\n</style></head><body><p>here",
        "<body><script>\n//\n\n</script><p>here",
        "<body><nav>\n<a href=x>a</a>\n\n</nav><p>here",
        "<body><pre>\na\n\n</pre><h2>here</h2>",
        "<body><ol><li><p>\n\na</ol>\n<p>here",
    ],
)
def test_what_follows_a_part_that_is_left_out_keeps_its_line(page: str) -> None:
    assert line_of(page, "here") == page[: page.index("here")].count("\n") + 1


def test_the_number_of_an_item_stands_before_its_first_words() -> None:
    page = "<ol>\n<li><p>\nOpen it.</p><p>Wait.</p></li>\n<li>Close it.</li></ol>"
    document = load_bytes(page.encode(), "a.html")
    assert document.text == "1. Open it.\n\nWait.\n\n2. Close it."
    assert line_of(page, "1. Open") == 3
