"""Sentences and chunks: ends in both languages, sizes, places."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Document, Heading
from pagoda.rag.documents.places import Places
from pagoda.rag.splitting.sentences import sentence_spans
from pagoda.rag.splitting.splitter import Splitter


def count_words(texts: Sequence[str]) -> list[int]:
    """Latin words and Han characters of each, as a tokenizer would see them roughly."""
    return [len("".join(f" {c} " if c >= "\u2e80" else c for c in text).split()) for text in texts]


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def document(text: str) -> Document:
    return Document("a.txt", text, title="T", metadata={"team": "hr"})


def headings_of(text: str) -> tuple[Heading, ...]:
    """As a loader of Markdown marks them."""
    return tuple(Heading(m.start(), m.end(), len(m[1])) for m in re.finditer(r"^(#+) .*\n?", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好。再见！真的？走吧；好", ["你好。", "再见！", "真的？", "走吧；", "好"]),
        ("他说：“再见！”然后走了。", ["他说：“再见！”", "然后走了。"]),
        ("等等……他来了。", ["等等……", "他来了。"]),
        ("第一句。\n\n第二句", ["第一句。", "第二句"]),
        ("价格是3.5元。版本2.0发布", ["价格是3.5元。", "版本2.0发布"]),
        ("他来了.她走了.", ["他来了.", "她走了."]),
    ],
)
def test_chinese_sentences_end_without_a_blank_behind_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith met Mr. J. R. Jones at 3.5 p.m. today.", ["Dr. Smith met Mr. J. R. Jones at 3.5 p.m. today."]),
        ("Use tools, e.g. Git. It helps.", ["Use tools, e.g. Git.", "It helps."]),
        ("He joined Acme Inc. Later he left.", ["He joined Acme Inc.", "Later he left."]),
        ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
        ('"Go!" he said. "Now?" She went.', ['"Go!" he said.', '"Now?"', "She went."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("See pagoda.rag.documents.splitter for more. End.", ["See pagoda.rag.documents.splitter for more.", "End."]),
        ("It grew.[3] Then it fell.", ["It grew.[3]", "Then it fell."]),
    ],
)
def test_english_sentences_do_not_end_at_abbreviations_or_decimals(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_headings_and_items_of_a_list_are_sentences_of_their_own() -> None:
    text = "Ask your lead\n- two weeks before\n- in writing\n1. first\n第一章 总则\n本条适用。"
    expected = [
        "Ask your lead",
        "- two weeks before",
        "- in writing",
        "1. first",
        "第一章 总则",
        "本条适用。",
    ]
    assert sentences(text) == expected


def test_a_line_that_the_right_margin_broke_goes_on_in_the_next() -> None:
    text = "This sentence is so long that whoever wrote it broke it at\nthe right margin of the page. Short one."
    assert len(sentences(text)) == 2


def test_blank_text_has_no_sentences_and_no_chunks() -> None:
    assert sentences(" \n\u3000\t") == []
    assert Splitter(count_words).split(document(" \n ")) == []


def test_chunks_say_where_they_stand() -> None:
    text = "# One\n\nFirst here.\n\n# Two\n\nSecond here."
    places = Places.from_pages((0, text.index("# Two")))
    pages = Document("a.pdf", text, "T", places, metadata={"team": "hr"}, headings=headings_of(text))
    first, second = Splitter(count_words).split(pages)
    assert (first.line, first.page, second.line, second.page) == (1, 1, 5, 2)
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in (first, second))
    assert second.sentence_texts() == ["# Two", "Second here."]
    assert (second.title, second.source, second.metadata) == ("T", "a.pdf", {"team": "hr"})


def test_a_heading_stays_with_what_it_heads() -> None:
    text = "One two three four five six.\n\n# Title\n\nSeven eight."
    chunks = Splitter(count_words, 12).split(Document("a.md", text, headings=headings_of(text)))
    assert chunks[-1].text.startswith("# Title\n\nSeven")


def test_a_chunk_knows_the_headings_above_it() -> None:
    text = "Start.\n# Guide\nOne.\n## Install\nTwo.\n### Linux\nThree.\n## Use\nFour.\n"
    chunks = Splitter(count_words, 8).split(Document("a.md", text, "Guide", headings=headings_of(text)))
    assert [chunk.section for chunk in chunks] == [
        "",
        "Guide",
        "Guide > Install",
        "Guide > Install > Linux",
        "Guide > Use",
    ]
    assert [chunk.heading for chunk in chunks][1:3] == ["Guide: ", "Guide: Install: "]
    assert len({chunk.chunk_id for chunk in chunks}) == 5


def test_prompts_and_comments_are_no_headings() -> None:
    text = "How to stop:\n# shutdown now\n\nHow to wait:\n# sleep 5"
    assert len(Splitter(count_words).split(document(text))) == 1


def test_a_listing_keeps_its_lines_and_nothing_in_it_is_a_heading() -> None:
    text = "# Run\nSo:\n# first. Then\n  - x\nport = 1\nEnd here.\n"
    start, end = text.index("# first"), text.index("End")
    found = Document("a.md", text, headings=headings_of(text)[:1], listings=((start, end),))
    (chunk,) = Splitter(count_words).split(found)
    assert chunk.sentence_texts() == ["# Run", "So:", "# first.", "Then", "- x", "port = 1", "End here."]


def test_a_row_of_dots_ends_no_sentence_and_signs_alone_are_none() -> None:
    text = "Install . . . . . . . 7\n概述…………………………3\nUse ........ 9\n* * *\nHm... well."
    (chunk,) = Splitter(count_words).split(document(text))
    assert chunk.text == text
    assert chunk.sentence_texts() == ["Install . . . . . . . 7", "概述…………………………3", "Use ........ 9", "Hm... well."]


def test_time_grows_with_the_text_and_no_faster() -> None:
    """Counted in what is asked of the tokenizer: characters, for ten times the rows."""

    def asked(num_rows: int) -> int:
        total = 0

        def count(texts: Sequence[str]) -> list[int]:
            nonlocal total
            total += sum(map(len, texts))
            return count_words(texts)

        rows = "\n\n".join(f"name: item {i}; price: {i}; city: Wuhan" for i in range(num_rows))
        Splitter(count, 40).split(document(rows))
        return total

    assert asked(2000) < 12 * asked(200)


def test_neighbours_share_a_short_sentence_and_no_long_one() -> None:
    text = "A b c d e. F g. H i j k l m."
    assert [chunk.text for chunk in Splitter(count_words, 8).split(document(text))] == [
        "A b c d e. F g.",
        "F g. H i j k l m.",
    ]
    long = "A b. C d e f g. H i."
    assert [chunk.text for chunk in Splitter(count_words, 8).split(document(long))][1] == "H i."
    alone = Splitter(count_words, 8, overlap_sentences=0).split(document(text))
    assert alone[1].text == "H i j k l m."


def test_a_sentence_beyond_the_limit_is_cut_at_a_clause() -> None:
    chunks = Splitter(count_words, 8).split(document("甲乙丙丁，戊己庚辛壬癸子丑寅卯。"))
    assert chunks[0].text == "甲乙丙丁，"
    assert max(count_words([chunk.text for chunk in chunks])) <= 8


def test_a_blob_of_one_token_is_cut_by_its_characters() -> None:
    chunks = Splitter(count_words, 8).split(document("x" * 1000))
    assert "".join(chunk.text for chunk in chunks) == "x" * 1000
    assert max(len(chunk.text) for chunk in chunks) <= 16 * 8


def test_the_name_of_a_chunk_depends_on_source_place_and_text() -> None:
    split = Splitter(count_words).split
    names = {split(one)[0].chunk_id for one in (document("One."), document(" One."), Document("b.txt", "One."))}
    assert len(names) == 3
    assert split(document("One."))[0].chunk_id == split(document("One."))[0].chunk_id
    assert {len(name) for name in names} == {32}


@pytest.mark.parametrize("options", [{"max_tokens": 7}, {"overlap_sentences": -1}])
def test_sizes_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Splitter(count_words, **options)


def test_a_chunk_knows_the_page_and_the_line_of_each_of_its_sentences() -> None:
    text = "Alpha signs. Beta pays. Gamma waits."
    places = Places(pages=((0, 1), (text.index("Beta"), 2)), lines=((0, 3), (text.index("Gamma"), 8)))
    (chunk,) = Splitter(count_words).split(Document("a.pdf", text, places=places))
    found = [(chunk.page_at(start), chunk.line_at(start)) for start, _ in chunk.sentences]
    assert found == [(1, 3), (2, 3), (2, 8)]
    assert (chunk.page, chunk.line) == (1, 3)
