"""Tables and records of every shape: each row can be understood alone, and its line is that of the file."""

from __future__ import annotations

import json

import pytest

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.loaders import load_bytes


def load(name: str, text: str) -> Document:
    return load_bytes(text.encode(), name)


def lines_of(document: Document) -> list[tuple[int, str]]:
    offsets = [0, *(i + 2 for i in range(len(document.text)) if document.text.startswith("\n\n", i))]
    texts = document.text.split("\n\n")
    return [(document.line_at(offset), text) for offset, text in zip(offsets, texts, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,price\nTea,3\n\nCoffee,5\n", [(2, "name: Tea; price: 3"), (4, "name: Coffee; price: 5")]),
        ("Prices 2024,\nname,price\nTea,3\n", [(1, "Prices 2024"), (3, "name: Tea; price: 3")]),
        ("Tea,3\nCoffee,5\n", [(1, "Tea | 3"), (2, "Coffee | 5")]),
        ("city,2023,2024\nWuhan,15,18\n", [(2, "city: Wuhan; 2023: 15; 2024: 18")]),
        ('name,note\nTea,"two\nlines"\nCoffee,x\n', [(2, "name: Tea; note: two lines"), (4, "name: Coffee; note: x")]),
        ("a,b\n1,2,3\n4\n", [(2, "a: 1; b: 2; column 3: 3"), (3, "a: 4")]),
    ],
)
def test_rows_of_every_shape_name_their_columns_and_their_lines(text: str, expected: list[tuple[int, str]]) -> None:
    assert lines_of(load("a.csv", text)) == expected


def test_a_cell_may_be_as_long_as_an_article() -> None:
    assert "x" * 200_000 in load("a.csv", "name,text\nTea," + "x" * 200_000).text


def test_a_row_that_no_chunk_holds_is_told_in_several_each_with_what_it_is_about() -> None:
    header = ",".join(f"field{i}" for i in range(30))
    row = ",".join(["Tea", *(f"some words of column {i}" for i in range(1, 30))])
    told = load("a.csv", f"{header}\n{row}\n").text.split("\n\n")
    assert len(told) > 1
    assert all(part.startswith("field0: Tea; ") and len(part) < 700 for part in told)


def test_a_table_of_markdown_keeps_its_lines_and_names_its_columns_in_each() -> None:
    text = "# Prices\n\n| name | price |\n|---|---|\n| Tea | 3 |\n| Coffee | |\n\n"
    text += "```\n| a | b |\n|---|---|\n| c | d |\n```\n"
    document = load("a.md", text)
    assert document.text.split("\n")[2:6] == ["| name | price |", "|---|---|", "name: Tea; price: 3", "name: Coffee"]
    assert "| c | d |" in document.text
    assert document.line_at(document.text.index("Coffee")) == 6


def test_comments_of_markdown_are_not_read_and_code_keeps_its_own() -> None:
    document = load("a.md", "Seen.\n<!-- secret\nmore -->\n```\n<!-- kept -->\n# no heading\n```\n## Yes\n")
    assert "secret" not in document.text
    assert "<!-- kept -->" in document.text
    assert [document.text[h.start : h.end] for h in document.headings or ()] == ["## Yes"]
    assert document.line_at(document.text.index("## Yes")) == 8


def test_records_are_found_however_deep_they_stand_with_what_they_belong_to() -> None:
    value = {
        "name": "Shop",
        "data": {"items": [{"name": "Tea", "sizes": [{"size": "L", "price": 3}]}, {"name": "Coffee", "price": 5}]},
    }
    document = load("a.json", json.dumps(value, indent=1))
    assert [text for _, text in lines_of(document)] == [
        "name: Shop",
        "name: Shop; items.name: Tea",
        "name: Shop; items.name: Tea; sizes.size: L; sizes.price: 3",
        "name: Shop; items.name: Coffee; items.price: 5",
    ]
    source = json.dumps(value, indent=1).split("\n")
    for line, text in lines_of(document)[1:]:
        assert "{" in source[line - 1], text


def test_a_line_of_json_lines_is_that_of_the_file() -> None:
    document = load("a.jsonl", '{"a": 1}\n\n{"b": [{"c": 2}]}\n')
    assert lines_of(document) == [(1, "a: 1"), (3, "b.c: 2")]
