"""Lines that the page's width broke are joined, and nothing else is."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.pdf.lines import Line
from pagoda.rag.documents.pdf.paragraphs import joined

LEADING = 12.0
PROSE = "Some more words of a paragraph that fill the width of the page to its end, a"


def column(
    *texts: str, size: float = 10.0, left: float = 50.0, top: float = 700.0, is_code: bool = False
) -> list[Line]:
    """Lines below one another, each letter half as wide as it is high."""
    lines = []
    for row, text in enumerate(texts):
        bottom = top - LEADING * row
        width = sum(size if c >= "\u2e80" else size / 2 for c in text)
        lines.append(Line(text, left, left + width, bottom, bottom + size, size, is_code, text.endswith("\ufffe")))
    return lines


def text_of(*pages: list[Line]) -> str:
    return joined(pages).text


def test_a_full_line_goes_on_in_the_next_and_a_short_one_ends_its_paragraph() -> None:
    text = text_of(column(PROSE, "which ends here.", "Another paragraph."))
    assert text == f"{PROSE} which ends here.\n\nAnother paragraph."


def test_a_heading_is_fused_neither_with_the_line_before_nor_with_the_line_behind() -> None:
    lines = [
        *column(PROSE, top=700),
        *column("1.2 virtual consoles", size=13, top=688),
        *column(PROSE, top=676),
    ]
    assert text_of(lines).split("\n\n") == [PROSE, "1.2 virtual consoles", PROSE]


def test_chinese_lines_are_joined_without_a_blank_and_headings_stay() -> None:
    full = "员工每年享有十五天年假，须提前两周向部门主管申请，未休的年假可以顺延到下一年的三月底，逾期"
    lines = [*column("第二章 休假", size=12, top=720), *column(full, "作废。", "病假另算。")]
    assert text_of(lines) == f"第二章 休假\n\n{full}作废。\n\n病假另算。"


@pytest.mark.parametrize(
    ("first", "second", "elsewhere", "expected"),
    [
        ("can be started di-", "rectly", "", "started directly"),
        ("the option --no-", "site-file", "", "option --no-site-file"),
        ("it is a well-", "known one", "a well known thing is known", "a well-known one"),
        ("it is a co-", "operation", "the co-operation of all", "a co-operation"),
        ("it is in-", "formation", "in the formation information is", "is information"),
        ("the Sino-", "American talks", "", "the Sino-American talks"),
    ],
)
def test_a_hyphen_goes_where_the_line_made_it_and_stays_where_the_word_has_it(
    first: str, second: str, elsewhere: str, expected: str
) -> None:
    one, other = column(first, second)
    lines = [Line(one.text, one.left, 430, one.bottom, one.top, one.size, breaks_word=True), other]
    assert expected in text_of([*lines, *column(f"Words: {elsewhere} and more.", top=500)])


def test_lines_of_code_and_items_of_a_list_stay_by_themselves() -> None:
    code = column(f"for name in names: {'x' * 60}", "print(name)", is_code=True, top=500)
    items = column(f"• {PROSE}", "goes on.", "• Another item", top=700)
    assert text_of([*items, *code]).split("\n\n")[:2] == [f"• {PROSE} goes on.", "• Another item"]
    assert text_of(code) == "\n".join(line.text for line in code)


def test_columns_are_read_one_after_the_other_and_joined_by_their_own_width() -> None:
    words = "words that fill a narrow column of a page"
    left = column(*[words] * 11, "and run on into the next column, being", left=50, top=700)
    right = column("continued here.", *[words] * 11, left=320, top=700)
    text = text_of([*left, *right])
    assert "\n\n" not in text.partition("continued here.")[0]
    assert "the next column, being continued here." in text


def test_a_narrow_block_is_joined_by_its_own_width() -> None:
    cell = column("A cell of a table that", "holds a few words, and", "some more of them here", "in the end.", left=300)
    assert text_of([*column(PROSE, top=760), *cell]).split("\n\n")[1].endswith("of them here in the end.")


def test_a_sentence_goes_on_across_a_page_and_each_page_begins_where_it_does() -> None:
    read = joined(
        [column("Either side may cancel with a notice of"), [], column("ninety days.", "Next page.", top=720)]
    )
    assert read.text.startswith("Either side may cancel with a notice of ninety days.")
    assert read.page_starts == [0, read.text.index("ninety"), read.text.index("ninety")]


def test_pages_without_a_line_have_no_text() -> None:
    read = joined([[], []])
    assert (read.text, read.page_starts) == ("", [0, 0])


def test_larger_letters_are_headings_by_their_size_and_code_is_a_listing() -> None:
    lines = [
        *column("Manual", size=20, top=760),
        *column("1 Start", size=14, top=730),
        *column(PROSE, top=700),
        *column("make all", is_code=True, top=670),
    ]
    read = joined([lines])
    assert [(read.text[h.start : h.end], h.level) for h in read.headings or ()] == [("Manual", 1), ("1 Start", 2)]
    assert [read.text[start:end] for start, end in read.listings] == ["make all"]
    assert joined([column(PROSE)]).headings is None


NOTE = "1 A note at the foot of the page, in smaller letters,"


def test_a_sentence_that_crosses_a_page_has_no_note_in_its_middle_and_each_stays_on_its_page() -> None:
    first = [
        *column("A paragraph before.", top=724),
        *column(PROSE, PROSE, top=700),
        *column(NOTE, size=8, top=100),
    ]
    found = joined([first, column("word that ends here.", "Another.")])
    assert found.text.split("\n\n") == [
        "A paragraph before.",
        NOTE,
        f"{PROSE} {PROSE} word that ends here.",
        "Another.",
    ]
    assert found.page_starts == [0, found.text.index("word that")]


@pytest.mark.parametrize("note", ["No mark here", NOTE])
def test_small_letters_stay_where_they_are_if_nothing_is_cut(note: str) -> None:
    ended = "which ends here." if note == NOTE else PROSE
    pages = [[*column(PROSE, ended), *column(note, size=8, top=100)], column("Next page.")]
    assert text_of(*pages).split("\n\n")[1] == note
