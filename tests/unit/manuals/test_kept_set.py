"""Sets that were asked once: one half alone, manuals that no other has, enough of each sort, a place for each row."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from manuals.corpus import checksums
from manuals.questions import LANGUAGES, Question, questions
from manuals.sources import DATA, Source, places, sources
from question_rows import LACKS, check_row

SETS = (
    "manuals",
    "manuals_near",
    "manuals_kept",
    "manuals_fourth",
    "manuals_fifth",
    "manuals_sixth",
    "manuals_seventh",
)


@pytest.fixture(scope="module", params=SETS[2:])
def folder(request: pytest.FixtureRequest) -> Path:
    return DATA.parent / str(request.param)


@pytest.fixture(scope="module")
def asked(folder: Path) -> list[Question]:
    return [each for code in LANGUAGES for each in questions("report", code, folder)]


def test_every_question_has_one_id_and_every_manual_has_some(asked: list[Question], folder: Path) -> None:
    assert len({each.id for each in asked}) == len({each.question.casefold() for each in asked}) == len(asked)
    assert all(re.fullmatch(r"[a-z0-9-]+-(en|zh)-[0-9a-f]{6}", each.id) for each in asked)
    named = {(each.language, (each.file or each.nearest).split("/")[0]) for each in asked}
    assert named == {(source.language, source.name) for source in sources(folder)}


def test_no_file_is_in_another_set(folder: Path) -> None:
    def addresses(found: list[Source]) -> set[tuple[str, str]]:
        return {(each.repository, each.inside(file)) for each in found if each.repository for file in each.files}

    others = {one for name in SETS if name != folder.name for one in addresses(sources(DATA.parent / name))}
    assert not addresses(sources(folder)) & others


def test_there_are_enough_of_each_sort(asked: list[Question], folder: Path) -> None:
    count = Counter((each.language, bool(each.answers)) for each in asked)
    assert min(count["en", True], count["en", False]) >= 100
    assert count["zh", True] >= 60
    assert count["zh", False] >= 50
    lacking = {"presupposition"} if folder.name in ("manuals_sixth", "manuals_seventh") else set()
    assert {each.lacks for each in asked if not each.answers} == LACKS - lacking


def test_a_row_is_answerable_with_its_place_or_near_with_the_closest_one(asked: list[Question], folder: Path) -> None:
    corpus = {place for _, _, place in places(sources(folder))}
    for each in asked:
        check_row(each, corpus)


def test_every_manual_has_a_licence_the_one_half_and_checksums(folder: Path) -> None:
    found = sources(folder)
    assert all(source.licence and source.half == "report" for source in found)
    assert all(re.fullmatch(r"[0-9a-f]{40}", source.commit) for source in found)
    assert set(checksums(folder)) == {place for _, _, place in places(found)}
