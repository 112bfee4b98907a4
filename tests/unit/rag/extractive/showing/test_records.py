"""Rows of tables: one that says "no" is not what a question in its column's words asks for."""

from __future__ import annotations

import pytest

from pagoda.rag.extractive.showing.records import (
    is_asked_by_label,
    is_looked_up,
    is_one_of_several,
    looked_up,
    row_asked_for,
    rules_itself_out,
)
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
        # Whoever asks for what denies, is not answered by what affirms.
        ("Who is not on call?", "Name: Bob; On call: yes", True),
        ("Which edition has no phone support?", "Edition: Plus; Phone support: yes", True),
        ("Which edition has no phone support?", "Edition: Plus; Phone support: by appointment", False),
        ("Which stop lacks toilets?", "Stop: Elm; Toilets: yes; Lift: yes", True),
        ("Which stop without a lift has toilets?", "Stop: Elm; Toilets: yes; Lift: no", False),
        ("Which stop without a lift has toilets?", "Stop: Elm; Toilets: yes; Lift: yes", True),
        ("Which stop without a lift has toilets?", "Stop: Elm; Toilets: no; Lift: no", True),
        ("Does Elm have no lift?", "Stop: Elm; Toilets: no; Lift: yes", False),
        ("谁不值班？", "姓名: 赵六; 值班: 是", True),
        ("哪个地区不送货上门？", "地区: 华北; 送货上门: 是", True),
        ("哪个版本没有电话支持？", "版本: 高级版; 电话支持: 有", True),
        # That it says "no" is the answer: the row is named, its value is wanted, or the question says it as well.
        ("Is Ann on call?", "Name: Ann; On call: no", False),
        ("Is anybody on call?", "Name: Ann; On call: no", True),
        ("What is the default of autocommit?", "Variable: autocommit; Default: off", False),
        ("Which default does autocommit have?", "Variable: autocommit; Default: off", False),
        ("Which default does a1 have?", "Variable: a1; Default: 0", False),
        ("Which default does a1 have?", "Variable: a12; Default: 0", True),
        ("How many seats has the blue room?", "Room: blue; Seats: 0", False),
        ("Which variables are disabled by default?", "Variable: cache; Default: disabled", False),
        ("Who of May is on call?", "Month: May; Name: Ann; On call: no", True),
        ("王五值班吗？", "姓名: 王五; 值班: 否", False),
        ("autocommit 的默认值是什么？", "变量: autocommit; 默认值: 关闭", False),
        ("哪些变量默认关闭？", "变量: cache; 默认: 关闭", False),
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


EDITIONS = ["Edition: Basic; Price: 0; Phone support: no", "Edition: Plus; Price: 10; Phone support: yes"]
EDITIONS += ["Edition: Pro; Price: 30; Phone support: yes", "Edition: Pro Max; Price: 90; Phone support: yes"]
SHOPS = ["门店: 南门店; 停车位: 有", "门店: 北苑店; 停车位: 无", "门店: 西岭店; 停车位: 有"]


@pytest.mark.parametrize(
    ("rows", "question", "read", "meant"),
    [
        (EDITIONS, "Which edition has no phone support?", 1, 0),
        (EDITIONS, "Does the Basic edition have phone support?", 1, 0),
        (EDITIONS, "What does Plus cost?", 3, 1),
        # A name within a longer one is not meant.
        (EDITIONS, "Is there phone support in Pro Max?", 2, 3),
        (EDITIONS, "Does Pro have phone support?", 0, 2),
        # All rows, or none: nothing is told apart.
        (EDITIONS, "Which edition has phone support?", 2, 2),
        (["No: 3; Seats: 8", "No: 8; Seats: 3"], "Which room has 3 seats?", 1, 1),
        (["Line: 3; Seats: 8", "Line: 8; Seats: 3"], "How many seats has line 3?", 1, 0),
        (["Line: R1; Fee: 8", "Line: R2; Fee: 3"], "What does line R2 cost?", 0, 1),
        (SHOPS, "哪个门店没有停车位？", 0, 1),
        (SHOPS, "北苑店有停车位吗？", 0, 1),
        (SHOPS, "西岭店有停车位吗？", 1, 2),
    ],
)
def test_a_row_that_the_question_names_or_selects_stands_in_for_another(
    rows: list[str], question: str, read: int, meant: int
) -> None:
    text, places = table(rows)
    assert row_asked_for(question, text, places, read) == meant


def test_a_row_that_is_one_of_several_is_not_shown_alone() -> None:
    text, places = table(EDITIONS)
    assert is_one_of_several("Which edition has phone support?", text, places, 1)
    assert not is_one_of_several("Which edition has no phone support?", text, places, 0)
    assert not is_one_of_several("What does Plus cost?", text, places, 1)
    text, places = table(SHOPS)
    assert is_one_of_several("哪家门店有停车位？", text, places, 2)
    assert not is_one_of_several("哪家门店没有停车位？", text, places, 1)


DEPOT = "Depot: Elm; Cold storage: no; Seats: 9"
STORE = "仓库: 黄山仓; 冷藏: 无; 容量: 57吨"


@pytest.mark.parametrize(
    ("question", "row", "expected"),
    [
        ("How many seats has Elm?", DEPOT, True),
        ("Does the Elm depot have cold storage?", DEPOT, True),
        ("Which depot has no cold storage?", DEPOT, True),
        # Another row, another column, a word more, a row that says the contrary, or no row.
        ("How many seats has Oak?", DEPOT, False),
        ("What is the rent of Elm?", DEPOT, False),
        ("How many seats has Elm on Sundays?", DEPOT, False),
        ("Which depot has cold storage?", DEPOT, False),
        ("Which depot has cold storage?", "The depot has cold storage.", False),
        ("黄山仓的容量是多少？", STORE, True),
        ("黄山仓有没有冷藏？", STORE, True),
        ("哪个仓库没有冷藏？", STORE, True),
        ("泉州仓的容量是多少？", STORE, False),
        ("黄山仓的租金是多少？", STORE, False),
        ("黄山仓周日的容量是多少？", STORE, False),
        ("哪个仓库有冷藏？", STORE, False),
    ],
)
def test_a_question_is_a_look_up_where_all_of_its_words_are_the_tables(question: str, row: str, expected: bool) -> None:
    assert is_looked_up(question, row) is expected


@pytest.mark.parametrize(
    ("question", "line", "heading", "expected"),
    [
        ("Who is the treasurer?", "* Treasurer: Danny O'Brien", "", True),
        ("Who's the fire warden?", "**Fire warden:** Mia Roth", "", True),
        ("Who is the warden of the east wing?", "- Warden: Mia Roth", "East wing", True),
        ("What is the wifi password?", "wifi password: tulip-77", "", True),
        ("When was it founded?", "- Founded: 2007", "", True),
        ("财务是谁？", "- 财务：李丽", "", True),
        ("门禁密码是多少", "门禁密码：2580", "", True),
        ("社团的社长是谁", "社长：王小明", "社团", True),
        # Of somebody or something else, of another kind, or no short value.
        ("Who is the librarian?", "* Treasurer: Danny O'Brien", "", False),
        ("Who is the treasurer of the choir?", "* Treasurer: Danny O'Brien", "Chess club", False),
        ("Who is the treasurer?", "* Treasurer: every second Friday", "", False),
        ("When is the treasurer elected?", "* Treasurer: Danny O'Brien", "", False),
        ("Is Danny the treasurer?", "* Treasurer: Danny O'Brien", "", False),
        ("Who was the treasurer in 1999?", "* Treasurer: Danny O'Brien", "", False),
        ("Who was the treasurer in 1999?", "* Treasurer: Danny O'Brien", "Board of 1999", True),
        ("Who is the treasurer in 2024?", "* Treasurer: Ann 5", "2024", True),
        ("Who is not the treasurer?", "* Treasurer: Danny O'Brien", "", False),
        ("谁不是财务？", "- 财务：李丽", "", False),
        ("When is lunch?", "- Lunch: 12:30", "", True),
        ("When is the meeting?", "Meeting at 12:30 was cancelled", "", False),
        ("What is http?", "http://example.org", "", False),
        ("Who is the secretary?", "Secretary: the secretary keeps the minutes of all meetings of the board", "", False),
        ("What is the default?", "- default: 50", "", False),
        ("合唱团的社长是谁", "社长：王小明", "棋社", False),
    ],
)
def test_a_labelled_line_is_asked_for_by_all_words_of_a_question(question, line, heading, expected):
    assert is_asked_by_label(question, line, heading) is expected


def test_of_several_lines_with_a_label_none_is_looked_up():
    text = "Pool\nOpens: 8:00\nSauna\nOpens: 10:00"
    lines = [(0, 4), (5, 16), (17, 22), (23, 35)]
    assert looked_up("What are the opens?", text[:16], lines[:2], lines[1]) == lines[1]
    assert looked_up("What are the opens?", text, lines, lines[1]) is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many cups have the Maple Leafs won?", True),
        ("How many cups have the Maple Leafs won in 2019?", False),
        ("How many cups do the Maple Leafs own?", True),
        ("How many cups have the Maple Leafs lost?", False),
        ("How many cups have the Blues won?", False),
    ],
)
def test_what_only_says_have_counts_not_as_a_word_of_a_look_up(question, expected):
    assert is_looked_up(question, "Team: Maple Leafs; Location: TOR; Cups: 13") is expected
