"""Verdicts: right is what shows a labelled answer, declined is neither, and a denial that was cut off is found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from manuals.judging import Shown, judged, turn, turn_of_text
from manuals.questions import Pair, Question

FILE = "curl/max-redirs.md"


def _cited(quote: str, source: str = FILE, line: int = 4, page: int | None = None) -> Any:
    return SimpleNamespace(source=source, quote=quote, line=line, page=page)


def _asked(*answers: tuple[str, ...], polarity: str = "", file: str = FILE) -> Question:
    return Question("q", "en", "limit", "how many?", file, answers, lines=(5,), polarity=polarity)


def test_an_answer_in_the_quote_is_right_and_so_is_one_of_several() -> None:
    shown = Shown("fifty [1]", [_cited("the limit is set to 50 redirects")], False)
    assert judged(_asked(("none",), ("50 redirects",)), shown).grade == "right"
    assert judged(_asked(("51 redirects",)), shown).grade == "wrong"


def test_all_parts_of_an_answer_must_be_shown() -> None:
    shown = Shown("no (the default)", [_cited("yes or no (the default)")], False)
    assert judged(_asked(("no (the default)", "compression")), shown).grade == "wrong"


def test_a_short_answer_counts_in_a_quote_of_its_own_manual_alone() -> None:
    assert judged(_asked(("50",)), Shown("50 [1]", [_cited("it takes 50 steps", "git/a.txt")], False)).grade == "wrong"
    assert judged(_asked(("50",)), Shown("50 [1]", [_cited("The limit is 50.")], False)).grade == "right"


def test_declined_is_no_answer_and_right_where_there_is_none() -> None:
    assert judged(_asked(("50",)), Shown("50", [], True)).grade == "declined"
    assert judged(_asked(), Shown("something", [], False)).grade == "wrong"


@pytest.mark.parametrize(
    ("polarity", "text", "grade"),
    [
        ("no", "Yes, it is not safe", "wrong"),
        ("no", "No, it is not safe", "right"),
        ("yes", "No, it is not safe", "wrong"),
        ("no", "it is not safe", "right"),
        ("no", "是的，it is not safe", "wrong"),
    ],
)
def test_a_yes_that_should_be_a_no_is_wrong_whatever_is_quoted(polarity: str, text: str, grade: str) -> None:
    shown = Shown(text, [_cited("it is not safe")], False)
    assert judged(_asked(("not safe",), polarity=polarity), shown).grade == grade


def test_a_quote_stands_in_its_place_where_it_covers_a_line_or_page_of_the_label() -> None:
    answer = ("50 redirects",)
    assert judged(_asked(answer), Shown("", [_cited("a\n50 redirects", line=4)], False)).is_place is True
    assert judged(_asked(answer), Shown("", [_cited("50 redirects", line=9)], False)).is_place is False
    paged = _asked(answer, file="a.pdf")
    assert judged(paged, Shown("", [_cited("50 redirects", "a.pdf", 80, page=5)], False)).is_place is True
    web = _asked(answer, file="a.html")
    assert judged(web, Shown("", [_cited("50 redirects", "a.html")], False)).is_place is None
    elsewhere = judged(_asked(answer), Shown("", [_cited("50 redirects", "b.md")], False))
    assert (elsewhere.is_file, elsewhere.is_place) == (False, None)


def test_a_meaning_is_turned_round_where_the_sentence_is_shown_without_its_denial() -> None:
    pair = Pair("p", "en", "Does WAL work over a network?", FILE, "work over a network", "not", "")
    cut = Shown("work over a network", [_cited("All processes work over a network filesystem.")], False)
    whole = Shown("work over a network", [_cited("WAL does not work over a network filesystem.")], False)
    assert turn(pair, cut) == "turned"
    assert turn(pair, whole) == "whole"
    assert turn_of_text(pair, whole) == "turned"
    assert turn(pair, Shown("nothing of it", [], False)) == "elsewhere"
    assert turn(pair, Shown("", [], True)) == turn_of_text(pair, Shown("", [], True)) == "declined"
