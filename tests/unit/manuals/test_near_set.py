"""The near-topic set: split by manual, enough of each sort, and who has no answer says which passage comes closest."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from manuals.corpus import checksums
from manuals.questions import LANGUAGES, Question, questions
from manuals.sources import DATA, places, sources
from question_rows import LACKS, check_row

NEAR = DATA.parent / "manuals_near"
HALVES = ("develop", "report")


@pytest.fixture(scope="module")
def asked() -> dict[str, list[Question]]:
    return {half: [each for code in LANGUAGES for each in questions(half, code, NEAR)] for half in HALVES}


def _manual(question: Question) -> tuple[str, str]:
    return question.language, (question.file or question.nearest).split("/")[0]


def test_every_question_has_one_id_and_stands_in_one_half(asked: dict[str, list[Question]]) -> None:
    every = [each for rows in asked.values() for each in rows]
    assert len({each.id for each in every}) == len({each.question.casefold() for each in every}) == len(every)
    assert all(re.fullmatch(r"[a-z0-9-]+-(en|zh)-[0-9a-f]{6}", each.id) for each in every)


def test_no_manual_is_in_both_halves_and_none_is_in_the_other_set(asked: dict[str, list[Question]]) -> None:
    assert not {_manual(each) for each in asked["develop"]} & {_manual(each) for each in asked["report"]}
    for half in HALVES:
        named = {(source.language, source.name) for source in sources(NEAR, half)}
        assert {_manual(each) for each in asked[half]} == named
    repositories = {source.repository for source in sources(NEAR)}
    assert len(repositories) == len(sources(NEAR))
    assert not repositories & {source.repository for source in sources()}


def test_there_are_enough_of_each_sort(asked: dict[str, list[Question]]) -> None:
    count = Counter((each.language, bool(each.answers)) for rows in asked.values() for each in rows)
    assert min(count["en", True], count["en", False]) >= 160
    assert min(count["zh", True], count["zh", False]) >= 60
    assert {each.lacks for rows in asked.values() for each in rows if not each.answers} == LACKS


def test_a_row_is_answerable_with_its_place_or_near_with_the_closest_one(asked: dict[str, list[Question]]) -> None:
    corpus = {place for _, _, place in places(sources(NEAR))}
    for each in (each for rows in asked.values() for each in rows):
        check_row(each, corpus)


def test_every_manual_has_a_licence_a_half_and_checksums() -> None:
    found = sources(NEAR)
    assert all(source.licence and source.repository and source.half in HALVES for source in found)
    assert all(re.fullmatch(r"[0-9a-f]{40}", source.commit) for source in found)
    assert set(checksums(NEAR)) == {place for _, _, place in places(found)}
    assert {source.name for source in sources(NEAR, "develop")} < {source.name for source in found}
