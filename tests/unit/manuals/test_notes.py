"""A few notes out of a manual: with what answers or surely without, a handful at most, the same each time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from manuals.notes import MOST, Collection, collection
from manuals.questions import Question

from pagoda.rag.documents.document import Chunk

LINES = ["The lease lasts 14 days.", "It can be renewed.", "Ask at the desk.", "Bring a card.", "Dogs may stay."]


def chunk(source: str, told: list[str]) -> Chunk:
    text, spans, at = " ".join(told), [], 0
    for line in told:
        spans.append((at, at + len(line)))
        at += len(line) + 1
    return Chunk(source, source, text, 0, len(text), 1, title="Guide", section="Guide > Lease", sentences=tuple(spans))


CHUNKS = [chunk("guide/lease.md", LINES), chunk("guide/hours.md", ["We open at nine.", "We close at five."])]


def shows(answer: str, text: str) -> bool:
    return bool(answer) and answer in text


def drawn(number: int, answer: str) -> Collection | None:
    asked = Question(f"guide-en-{number}", "en", "default or limit", "How long?")
    if answer:
        asked = Question(asked.id, "en", asked.kind, asked.question, "guide/lease.md", ((answer,),))
    else:
        asked = Question(asked.id, "en", "no answer, near", asked.question, nearest="guide/lease.md:1")
    return collection(asked, CHUNKS, CHUNKS[:1], partial(shows, answer))


@pytest.fixture(scope="module")
def many() -> list[Collection]:
    return [each for number in range(200) if (each := drawn(number, "14 days"))]


def test_the_file_that_answers_has_the_answer_and_without_one_nothing_has_it(many: list[Collection]) -> None:
    having = [each for each in many if each.holds]
    assert 0.7 < len(having) / len(many) < 0.9
    assert all("14 days" in each.files[each.holds] for each in having)
    assert not any("14 days" in text for each in many if not each.holds for text in each.files.values())


def test_they_are_few_of_every_layout_and_the_same_each_time(many: list[Collection]) -> None:
    assert all(1 <= len(each.files) <= MOST for each in many)
    assert {"notes.txt", "guide.md", "lease.md"} <= {name for each in many for name in each.files}
    assert max(len(each.files) for each in many) > 2
    assert drawn(3, "14 days") == drawn(3, "14 days")


def test_a_question_without_an_answer_gets_notes_that_hold_none() -> None:
    notes = [each for number in range(50) if (each := drawn(number, ""))]
    assert len(notes) > 40
    assert not any(each.holds for each in notes)
    assert any("The lease" in text for each in notes for text in each.files.values())


def test_an_answer_that_no_chunk_has_makes_no_notes(tmp_path: Path) -> None:
    assert drawn(1, "never") is None
    (made := drawn(2, "14 days") or Collection({}, "")).write(tmp_path / "notes")
    assert sorted(path.name for path in (tmp_path / "notes").iterdir()) == sorted(made.files)
