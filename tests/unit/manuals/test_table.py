"""The tables count what was asked, and failures tell what was wanted and what was shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from manuals import asking
from manuals.asking import Asked, Asker, Turned, drawn
from manuals.judging import Shown, Turn, Verdict
from manuals.questions import Pair, Question
from manuals.table import as_json, failing, tables


def _asked(grade: Any, kind: str = "unit", answers: tuple[tuple[str, ...], ...] = (("50",),)) -> Asked:
    shown = Shown(
        "fifty [1]", [SimpleNamespace(source="b.md", quote="it is 60", line=3, page=None)], grade == "declined"
    )
    question = Question(f"id-{grade}", "en", kind, "how many?", "a.md" if answers else "", answers)
    return Asked(question, shown, Verdict(grade, grade == "right", True if grade == "right" else None), 2.0)


def _turned(turn: Turn) -> Turned:
    pair = Pair(f"pair-{turn}", "en", "does it?", "a.md", "work", "not", "It does not work.")
    return Turned(pair, Shown("work", [], False), turn, "turned")


ASKED = [_asked("right"), _asked("wrong"), _asked("declined", "list"), _asked("right", "list")]
WITHOUT = [_asked("wrong", "no answer, near", ()), _asked("declined", "no answer, near", ())]


def test_shares_are_of_what_was_asked_and_files_of_what_was_answered() -> None:
    table = tables(ASKED + WITHOUT, [_turned("turned"), _turned("whole")])
    # right | wrong | declined, of four | right file, of three answers | right place, of two | characters | seconds
    assert "| English | 4 | 0.500 | 0.250 | 0.250 | 0.667 | 1.000 | 18 | 2.00 |" in table
    assert "| - list | 2 | 0.500 | 0.000 | 0.500 |" in table
    assert "| English, near | 2 | 0.500 | 0.500 |" in table
    assert "| English | 2 | 0.500 | 0.500 | 0.000 | 0.000 | 1.000 |" in table
    assert "Chinese" not in table


def test_failures_tell_what_was_wanted_and_what_was_shown() -> None:
    told = list(failing(ASKED + WITHOUT, [_turned("turned"), _turned("whole")]))
    assert [each.split(":")[0] for each in told] == ["id-wrong", "id-declined", "id-wrong", "pair-turned"]
    assert "wanted > 50 (a.md)" in told[0]
    assert "b.md, line 3: it is 60" in told[0]
    assert "wanted > no answer" in told[2]


def test_verdicts_go_into_json_without_words() -> None:
    plain = as_json(ASKED, [_turned("whole")])
    assert plain["questions"][0] == {
        "id": "id-right",
        "kind": "unit",
        "seconds": 2.0,
        "grade": "right",
        "is_file": True,
        "is_place": True,
    }
    assert plain["pairs"] == [{"id": "pair-whole", "turn": "whole", "text": "turned"}]


class _Rag:
    """Answers every question alike, and counts."""

    def __init__(self, path: Path, model: str | None, **options: Any) -> None:
        self.asked: list[str] = []

    def add(self, paths: list[Path], root: Path) -> None:
        self.added = paths, root

    def status(self) -> Any:
        return SimpleNamespace(num_documents=1, num_chunks=2)

    def query(self, question: str, answerer: str) -> Any:
        self.asked.append(question)
        return SimpleNamespace(text="It does not work.", citations=(), abstained=False)

    def close(self) -> None:
        pass


def test_a_question_that_a_pair_shares_is_put_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asking, "RAG", _Rag)
    asker = Asker(tmp_path, tmp_path / "index", "extractive")
    question = Question("q", "en", "yes or no", "does it?", "a.md", (("not work",),))
    pair = Pair("p", "en", "does it?", "a.md", "work", "not", "It does not work.")
    assert [each.verdict.grade for each in asker.questions([question])] == ["right"]
    assert [each.turn for each in asker.pairs([pair])] == ["whole"]
    assert asker._rag.asked == ["does it?"]
    assert asker.indexed.startswith("1 files, 2 chunks")


def test_what_was_shown_is_kept_and_not_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asking, "RAG", _Rag)
    question = Question("q", "en", "yes or no", "does it?", "a.md", (("not work",),))
    first = Asker(tmp_path, tmp_path / "index", "extractive", kept=tmp_path / "shown.jsonl")
    (told,) = first.questions([question])
    again = Asker(tmp_path, tmp_path / "index", "extractive", kept=tmp_path / "shown.jsonl")
    assert list(again.questions([question])) == [told]
    assert (first._rag.asked, again._rag.asked) == (["does it?"], [])


def test_a_draw_is_the_same_for_the_same_seed() -> None:
    assert drawn(range(100), 5, 3) == drawn(range(100), 5, 3) != drawn(range(100), 5, 4)
    assert sorted(drawn(range(3), 5, 0)) == drawn(range(3), None, 0) == [0, 1, 2]
