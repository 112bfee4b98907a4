"""Rows of tables: one that says "no" is not what a question in its column's words asks for."""

from __future__ import annotations

import pytest

from pagoda.rag.extractive.showing.records import row_asked_for, rules_itself_out
from pagoda.rag.extractive.showing.station import Candidate, shown

ENGLISH = ["Name: Ann; On call: no", "Name: Bob; On call: yes; Phone: 7", "Name: Cy; On call: week 3", "Prose."]
CHINESE = ["姓名: 王五; 值班: 否", "姓名: 赵六; 值班: 是", "姓名: 孙七; 值班: 不值班"]


def table(rows: list[str]) -> tuple[str, list[tuple[int, int]]]:
    text = "\n".join(rows)
    starts = [sum(len(row) + 1 for row in rows[:i]) for i in range(len(rows))]
    return text, [(start, start + len(row)) for start, row in zip(starts, rows, strict=True)]


@pytest.mark.parametrize(
    ("question", "row", "expected"),
    [
        ("Who is on call?", "Name: Ann; On call: no", True),
        ("Who is on call?", "Name: Ann; On call: -", True),
        ("Who is on call?", "Name: Ann; On call: nobody knows yet", False),
        ("Who is not on call?", "Name: Ann; On call: no", False),
        ("What is Ann's phone?", "Name: Ann; On call: no", False),
        ("Who is on call?", "On call is no one: ask the desk.", False),
        ("谁值班？", "姓名: 王五; 值班: 否", True),
        ("谁值班？", "姓名: 王五; 值班: 不值班", True),
        ("谁不值班？", "姓名: 王五; 值班: 否", False),
    ],
)
def test_a_row_that_says_no_in_the_column_asked_about_is_not_meant(question: str, row: str, expected: bool) -> None:
    assert rules_itself_out(question, row) is expected


def test_the_nearest_row_of_the_same_columns_that_is_not_ruled_out_stands_in() -> None:
    text, rows = table(ENGLISH)
    assert row_asked_for("Who is on call?", text, rows, 0) == 2
    assert row_asked_for("Who is on call?", text, rows, 1) == 1
    assert row_asked_for("Who is on call?", text, rows, -1) == -1
    text, rows = table(CHINESE)
    assert [row_asked_for("谁值班？", text, rows, at) for at in (0, 1, 2)] == [1, 1, 1]


def test_where_all_rows_say_no_the_table_is_shown_and_no_row_alone() -> None:
    text, rows = table(["Name: Ann; On call: no", "Name: Cy; On call: no"])
    assert row_asked_for("Who is on call?", text, rows, 1) == 1
    found = Candidate(text, rows, rows[1], 1, is_ruled_out=True)
    assert shown("words", found, span_is_sure=True, sentence_is_sure=True).place == (0, len(text))
