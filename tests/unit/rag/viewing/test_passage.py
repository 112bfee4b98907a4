"""A passage is found in a text that says the same in another form, and only there."""

from __future__ import annotations

import pytest

from pagoda.rag.viewing.passage import find_passage

PAGE = "Opening hours Day Time Monday 9 to 17 Tuesday 9 to 19 . The shop is closed on Sundays. Bring a lamp."


@pytest.mark.parametrize(
    ("text", "passage", "said"),
    [
        ("First.\n\nThe  shop **opens**\nat nine. Last.", "The shop opens at nine.", "The  shop **opens**\nat nine."),
        ("会员年费为 120 元，学生减半。退款须在七日内申请。", "退款须在\n七日内申请。", "退款须在七日内申请。"),
        (PAGE, "Day: Tuesday; Time: 9 to 19", "Tuesday 9 to 19"),
        (
            "Region Home delivery Days Ulm no 9 Islands no 9",
            "Region: Islands; Home delivery: no; Days: 9",
            "Islands no 9",
        ),
        ("地区 送货上门 天数 华北 是 2 西藏 否 9", "地区: 西藏; 送货上门: 否; 天数: 9", "西藏 否 9"),
        ("An eﬃcient way.", "efficient way", "eﬃcient way"),
        (PAGE, "Bring a lamp", "Bring a lamp"),
    ],
)
def test_it_is_found_by_its_words_whatever_stands_between_them(text: str, passage: str, said: str) -> None:
    found = find_passage(text, passage)
    assert found is not None
    assert said in text[slice(*found)]
    # A row begins with its own words, and not with the names above it.
    assert len(text[slice(*found)]) <= len(said) + (0 if said.startswith(("Islands", "西藏")) else 12)


def test_of_equal_places_the_one_is_taken_that_is_nearest_to_where_it_is_expected() -> None:
    text = "Press the red button now. " * 3
    starts = [find_passage(text, "Press the red button now.", expected) for expected in (0.0, 0.4, 0.9)]
    assert [found and found[0] for found in starts] == [0, 26, 52]


@pytest.mark.parametrize("passage", ["", " \n", "```", "Entirely different words stand here", "谁也没有说过"])
def test_what_is_not_there_is_not_found(passage: str) -> None:
    assert find_passage(PAGE, passage) is None
