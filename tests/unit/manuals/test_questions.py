"""The labels say what they should: enough of each sort, halves that share nothing, faults found and told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from manuals.corpus import checksums
from manuals.questions import LANGUAGES, Pair, Question, faults, pairs, questions
from manuals.sources import DATA, places, sources
from manuals.turning import turned

HALVES = ("develop", "report")


@pytest.fixture(scope="module")
def asked() -> dict[str, list[Question]]:
    return {half: [each for code in LANGUAGES for each in questions(half, code)] for half in HALVES}


@pytest.fixture(scope="module")
def paired() -> dict[str, list[Pair]]:
    return {half: [each for code in LANGUAGES for each in pairs(half, code)] for half in HALVES}


def test_there_are_enough_of_each_sort(asked: dict[str, list[Question]], paired: dict[str, list[Pair]]) -> None:
    every = [each for rows in asked.values() for each in rows]
    languages = Counter(each.language for each in every if each.answers)
    assert min(languages.values()) >= 200
    without = Counter(each.kind for each in every if not each.answers)
    assert sum(without.values()) >= 100
    assert without["no answer, near"] >= sum(without.values()) / 2
    assert sum(len(rows) for rows in paired.values()) >= 200
    assert {each.polarity for each in every} == {"", "yes", "no"}


def test_halves_share_no_question_and_some_manuals_are_in_one_alone(asked: dict[str, list[Question]]) -> None:
    develop, report = ({each.question.casefold() for each in asked[half]} for half in HALVES)
    assert not develop & report
    manuals = {half: {(each.language, each.file.split("/")[0]) for each in rows} for half, rows in asked.items()}
    for code in LANGUAGES:
        assert any(manual[0] == code for manual in manuals["report"] - manuals["develop"])


def test_files_of_labels_are_in_the_corpus_and_every_manual_has_a_licence(
    asked: dict[str, list[Question]], paired: dict[str, list[Pair]]
) -> None:
    found = sources()
    corpus = {place for _, _, place in places(found)}
    labels = [each for rows in (*asked.values(), *paired.values()) for each in rows if each.file]
    assert {f"{each.language}/{each.file}" for each in labels} <= corpus
    assert all(source.licence and bool(source.url) != bool(source.repository) for source in found)
    assert min(Counter(source.language for source in found).values()) >= 4


def test_files_of_repositories_have_checksums_and_packages_their_own() -> None:
    expected = {place for source, _, place in places(sources()) if source.repository}
    assert set(checksums(DATA)) == expected
    assert all(len(source.sha256) == 64 for source in sources() if source.url)


def test_an_answer_a_line_and_a_core_that_are_not_in_the_manual_are_told(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.md").write_text("The limit is 50.\nIt is not safe.\n", "utf-8")
    right = Question("r", "en", "limit", "?", "a.md", (("limit is 50",),), (1,))
    wrong = Question("w", "en", "limit", "?", "a.md", (("limit is 60",),), (2,))
    kept = Pair("k", "en", "?", "a.md", "safe", "not", "")
    lost = Pair("l", "en", "?", "a.md", "safe", "never", "")
    assert list(faults([right], [kept], tmp_path)) == []
    told = "\n".join(faults([wrong], [lost], tmp_path))
    assert "w: 'limit is 60' is not in a.md" in told
    assert "w: no answer begins on line 2" in told
    assert "l: 'never' is not in a.md" in told


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    (tmp_path / "develop.en.jsonl").write_text('{"id": "a", "kind": "b", "question": "c"}\n{"id": 1}\n', "utf-8")
    with pytest.raises(ValueError, match=r"develop\.en\.jsonl, line 2"):
        questions("develop", "en", tmp_path)


@pytest.mark.parametrize(
    ("sentence", "language", "question", "must"),
    [
        ("The ROLLBACK command cannot be used there.", "en", "Can the ROLLBACK command be used there?", "cannot"),
        ("VACUUM will not run in a transaction.", "en", "Will VACUUM run in a transaction?", "not"),
        (
            "The speed is measured in bytes, unless a suffix is given.",
            "en",
            "Is the speed measured in bytes?",
            "unless",
        ),
        ("视图不支持写入操作。", "zh", "视图支持写入操作吗？", "不支持"),
        ("echo 插件只能用作示例。", "zh", "echo 插件能用作示例吗？", "只能"),
    ],
)
def test_a_sentence_that_denies_becomes_a_question(sentence: str, language: str, question: str, must: str) -> None:
    (found,) = turned(sentence, language)
    assert (found.question, found.must) == (question, must)


@pytest.mark.parametrize(
    "sentence", ["It is not safe.", "Print what is not known.", "The speed is 50.", "该功能不支持写入。"]
)
def test_a_sentence_without_its_subject_or_a_denial_is_left(sentence: str) -> None:
    assert list(turned(sentence, "zh" if sentence[0] > "z" else "en")) == []
