"""Tables whose columns are set by blanks name their columns in each row, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from pagoda.rag.documents.columns import text_tables
from pagoda.rag.documents.loaders import load_bytes

TRAINS = """Timetable

Line     From       To         Price
R1       Ulm        Augsburg   18.40
R2       Ulm        Aalen       4.20
R3       Aalen      Crailsheim  9.80

Dogs need a ticket."""
BUSES = """班车时刻

线路     起点       终点       票价
一号线   东门       车站       2元
二号线   东门       国际机场   8元

宠物不得上车。"""
RULED = """ name  | role
-------+---------
 ada   | admin
 bea   | guest
(2 rows)"""


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            TRAINS,
            [
                "Line: R1; From: Ulm; To: Augsburg; Price: 18.40",
                "Line: R2; From: Ulm; To: Aalen; Price: 4.20",
                # Set beside its column, as by hand.
                "Line: R3; From: Aalen; To: Crailsheim; Price: 9.80",
            ],
        ),
        (
            BUSES,
            ["线路: 一号线; 起点: 东门; 终点: 车站; 票价: 2元", "线路: 二号线; 起点: 东门; 终点: 国际机场; 票价: 8元"],
        ),
        (RULED, ["name: ada; role: admin", "name: bea; role: guest"]),
        ("Room   Seats   Desks\nA1         8\nB2                 3", ["Room: A1; Seats: 8", "Room: B2; Desks: 3"]),
    ],
)
def test_rows_name_their_columns_and_lines_stay_where_they_are(text: str, rows: list[str]) -> None:
    document = load_bytes(text.encode(), "a.txt")
    assert [line for line in document.text.split("\n") if line in rows] == rows
    assert document.text.count("\n") == text.count("\n")
    assert document.text.split("\n")[0] == text.split("\n")[0]
    assert [document.text[start:end].count("\n") >= 2 for start, end in document.listings] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "-a      all files\n-b      brief\n-c      a count of 3",
        "alpha   beta   gamma\ndelta   epsilon   zeta\neta   theta   iota",
        "A line of prose.  It has two blanks.  They are wide.\nAnother line of it, with a 7 in it.\nAnd a third, 8.",
        "第一条  会员须知\n第二条  会员义务\n第三条  会员权利",
        "Name   Age   City",
        "",
    ],
)
def test_what_is_no_table_stays_as_it_is(text: str) -> None:
    assert list(text_tables(text.split("\n"))) == []
