"""Copies and versions of one page: one hit, the version that is asked for or the newest, and the others named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pagoda.language import Language
from pagoda.rag.answer import Citation
from pagoda.rag.asked_version import told_version
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.retrieval.versions import told_copies, without_copies

PAGE = "The maximum upload size of the service is {} MB for free accounts, and each user has one."


def hit(source: str, text: str, score: float = 1.0, **metadata: Any) -> Hit:
    return Hit(Chunk(source, source, text, 0, len(text), 1, metadata=metadata), score)


VERSIONS = [hit(f"v{i}/limits.md", PAGE.format(10 + i), 9.0 - i) for i in (3, 11, 2)]
OTHER = hit("paid.md", "Paid accounts may upload files of up to 500 MB to the service.", 1.0)


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("How large may an upload be?", "v11/limits.md"),
        ("How large may an upload be in v2?", "v2/limits.md"),
        ("How large may an upload be in version 3?", "v3/limits.md"),
    ],
)
def test_of_versions_the_one_that_is_asked_for_counts_else_the_newest(question: str, source: str) -> None:
    first, second = without_copies(question, [*VERSIONS, OTHER], 5)
    assert (first.source, first.score) == (source, 6.0)
    assert sorted([source, *first.copies]) == ["v11/limits.md", "v2/limits.md", "v3/limits.md"]
    assert (second.source, second.copies) == ("paid.md", ())


def test_what_a_file_says_of_its_version_counts_more_than_its_name() -> None:
    pages = [hit("a1.md", PAGE.format(1), version="1.10"), hit("a2.md", PAGE.format(2), version="1.9")]
    assert without_copies("How large?", pages, 5)[0].source == "a1.md"
    dated = [hit("old/a.md", PAGE.format(1), date="2023-01-02"), hit("new/a.md", PAGE.format(1), date="2024-05-01")]
    assert without_copies("How large?", dated, 5)[0].source == "new/a.md"


def test_the_best_of_plain_copies_stays_and_makes_room() -> None:
    copies = [hit(f"{name}/a.md", PAGE.format(1)) for name in "abc"]
    assert [found.source for found in without_copies("How large?", [*copies, OTHER], 2)] == ["a/a.md", "paid.md"]


def test_parts_of_one_document_and_pages_that_differ_in_more_are_no_copies() -> None:
    parts = [hit("a.csv", "name: tea; price: 3"), hit("a.csv", "name: tea; price: 4")]
    assert len(without_copies("tea?", parts, 5)) == 2
    pages = [hit("v1/a.md", "The port is 80."), hit("v2/a.md", "Backups run at night and are kept for a week.")]
    assert len(without_copies("port?", pages, 5)) == 2


def test_of_a_page_in_folders_of_versions_one_is_taken_though_much_of_it_was_rewritten() -> None:
    old = hit("v1.4/quota.md", "The quota of a project is 50 GB. It is raised by the support on request.", 3.0)
    new = hit("v2.0/quota.md", "The quota of a project is 80 GB. It is raised in the console by its owner.", 2.0)
    (found,) = without_copies("How large is the quota of a project?", [old, new], 5)
    assert (found.source, found.copies) == ("v2.0/quota.md", ("v1.4/quota.md",))
    assert without_copies("How large is the quota in v1.4?", [old, new], 5)[0].source == "v1.4/quota.md"
    chapters = [hit(f"ch0{i}.md", found.text) for i, found in enumerate((old, new))]
    assert len(without_copies("How large is the quota?", chapters, 5)) == 2


def test_the_version_of_a_path_is_that_of_its_folder_and_no_number_of_a_page() -> None:
    pages = [hit(f"{version}/page{i}.md", PAGE.format(i)) for i, version in ((9, "v1"), (2, "v2"))]
    assert without_copies("How large?", pages, 5)[0].source == "v2/page2.md"


def test_what_was_left_out_is_told_for_what_is_cited() -> None:
    hits = without_copies("How large may an upload be?", [*VERSIONS, OTHER], 5)
    assert told_copies(["paid.md"], hits, "en") == ()
    (told,) = told_copies(["v11/limits.md"], hits, "en")
    assert told == "2 other versions or copies of v11/limits.md: v3/limits.md, v2/limits.md"
    assert "另外 2 个版本" in told_copies(["v11/limits.md"], hits, "zh")[0]


@pytest.mark.parametrize(
    ("question", "version", "asked"),
    [
        ("How many workers run in Orbit 3.0?", "1.1", "3.0"),
        ("How many workers run in version 3?", "1.1", "3"),
        ("How many workers run in v2.5?", "1.1", "2.5"),
        ("星图 9.0 最多运行多少个任务？", "7.5", "9.0"),
        ("9.0 版最多运行多少个任务？", "7.5", "9.0"),
        # The same, as far as both are told; or of something else; or nothing has a version.
        ("How many workers run in Orbit 1?", "1.1", ""),
        ("How many workers run in Orbit 1.1.2?", "1.1", ""),
        ("Do 3.5 workers run?", "1.1", ""),
        ("Do 16 workers run in Orbit?", "1.1", ""),
        ("星图 7 最多运行多少个任务？", "7.5", ""),
        ("能否运行 3.5 个任务？", "7.5", ""),
        ("How many workers run in Orbit 3.0?", "", ""),
    ],
)
def test_an_answer_of_another_version_says_so(question: str, version: str, asked: str) -> None:
    language: Language = "zh" if re.search("[\u4e00-\u9fff]", question) else "en"
    title, quote = ("星图限制", "最多运行 16 个任务。") if language == "zh" else ("Limits of Orbit", "16 workers run.")
    citation = Citation(1, f"v{version}/a.md", quote, 0, len(quote), 1, title=title, metadata={"version": version})
    told = told_version(question, [citation], language)
    assert (asked in told and version in told) if asked else not told


@pytest.mark.parametrize(
    ("older", "newer"), [("v1.4", "2.0"), ("1.4", "v2"), ("release-3", "4.0"), ("docs/v1.9", "docs/1.10")]
)
@pytest.mark.parametrize("best", [0, 1])
def test_folders_are_versions_of_one_another_however_each_is_written(older: str, newer: str, best: int) -> None:
    pages = [hit(f"{older}/install.md", PAGE.format(10)), hit(f"{newer}/install.md", PAGE.format(20))]
    (found,) = without_copies("How large may an upload be?", pages[:: (1, -1)[best]], 5)
    assert (found.source, found.copies) == (f"{newer}/install.md", (f"{older}/install.md",))


def test_folders_of_other_names_are_no_versions_of_one_another() -> None:
    pages = [hit("v1.4/install.md", PAGE.format(10)), hit("paid/install.md", PAGE.format(20))]
    assert len(without_copies("How large may an upload be?", pages, 5)) == 2


def test_minutes_of_two_months_are_no_versions() -> None:
    told = "The board met in the upper hall; {} took the chair and the {} was discussed, then voted on and {}."
    texts = told.format("Ann Roth", "new roof", "approved"), told.format("Bo Lind", "yearly rent", "refused")
    for folders, count in ((("2024.05", "2024.06"), 2), (("2024.5", "2024.6"), 1)):
        pages = [hit(f"{folder}/minutes.md", text) for folder, text in zip(folders, texts, strict=True)]
        assert len(without_copies("Who took the chair?", pages, 5)) == count
