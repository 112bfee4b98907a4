"""Follow-up questions without a model: a piece of a question takes the place of the piece it is parallel to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.chat.model import Message
from pagoda.rag.followup import joined
from pagoda.rag.pipeline import RAG


def after(*asked: str) -> list[Message]:
    return [turn for text in asked for turn in (Message("user", text), Message("assistant", "So it is [1]."))]


@pytest.mark.parametrize(
    ("before", "question", "alone"),
    [
        ("How do I install it on Linux?", "and on Windows?", "How do I install it on Windows?"),
        ("How do I install it on Linux?", "What about Windows?", "How do I install it on Windows?"),
        ("When is the shop open in April?", "And in December?", "When is the shop open in December?"),
        ("When does the shop open?", "And on Sundays?", "When does the shop open on Sundays?"),
        ("What does git fetch do?", "And git pull?", "What does git pull do?"),
        ("Does -f fail on a 404?", "And on a 500?", "Does -f fail on a 500?"),
        ("In which year was the tower built?", "And the bridge?", "In which year was the bridge built?"),
        ("How much is it for adults on Sundays?", "And children?", "How much is it for adults on Sundays, children?"),
        ("成人票多少钱？", "那儿童票呢？", "儿童票多少钱？"),
        ("在 Linux 上如何安装？", "Windows 上呢？", "在 Windows 上如何安装？"),
        ("MySQL 的默认端口是多少？", "PostgreSQL 呢？", "PostgreSQL 的默认端口是多少？"),
        ("周末几点开门？", "那周日呢？", "周日几点开门？"),
        ("江浙沪的首重是多少？", "那西藏呢？", "西藏的首重是多少？"),
        ("苏州和无锡的门票多少钱？", "成都呢？", "成都，苏州和无锡的门票多少钱？"),
        ("客房有窗户吗？", "浴缸呢？", "浴缸，客房有窗户吗？"),
        ("How long may books be borrowed?", "and journals?", "How long may journals be borrowed?"),
        ("How many books do members get?", "and journals?", "How many books do members get, journals?"),
        ("如何在 Linux 上安装？", "那 Windows 呢？", "如何在 Windows 上安装？"),
        # What ends alike is a word, and not a letter or a character within one.
        ("如何在 Debian 上安装 nginx server？", "那 Windows 呢？", "Windows，如何在 Debian 上安装 nginx server？"),
        ("日本的店几点开门？", "那周日呢？", "周日，日本的店几点开门？"),
        ("How many were sold in 2024 in Germany?", "And in 2025?", "How many were sold in 2025 in Germany?"),
        ("How many were sold in Germany in 2024?", "And in Spain?", "How many were sold in Spain in 2024?"),
        # Which of two it takes the place of nobody knows.
        ("What is the port of the server?", "And the timeout?", "What is the port of the server, the timeout?"),
    ],
)
def test_a_piece_of_a_question_is_put_into_the_one_before(before: str, question: str, alone: str) -> None:
    assert joined(question, after(before)) == alone


def test_pieces_are_put_into_the_last_whole_question() -> None:
    asked = after("When is the shop open in April?", "And in June?")
    assert joined("And in December?", asked) == "When is the shop open in December?"


@pytest.mark.parametrize(
    ("before", "question"),
    [
        ("How long is it?", "And how wide?"),
        ("How much is the deposit?", "Is it refunded?"),
        ("押金多少？", "可以退吗？"),
        ("押金多少？", "那它呢？"),
        ("How much is the deposit?", "Which floor?"),
        ("How much is the deposit?", "Who pays?"),
        ("How much is the deposit?", "Can I pay there?"),
    ],
)
def test_a_question_of_its_own_that_leans_keeps_the_one_before(before: str, question: str) -> None:
    assert joined(question, after(before)) == f"{before} {question}"


@pytest.mark.parametrize(
    "question",
    [
        "How much is a child seat?",
        "Which manuals does the shop lend?",
        # Two words that carry meaning, and one, with a verb and a subject.
        "Who owns borea?",
        "Does breakfast cost extra?",
        "What is borea?",
        "What does borea do?",
        "Is there a lift?",
        "谁负责球场？",
    ],
)
def test_a_question_that_stands_alone_stays_as_it_is(question: str) -> None:
    assert joined(question, after("When does the shop open?")) == question
    assert joined("And on Sundays?", []) == "And on Sundays?"
    assert joined("And on Sundays?", after(" ")) == "And on Sundays?"


def test_without_a_model_the_second_question_gets_its_own_answer(tmp_path: Path) -> None:
    folder = tmp_path / "guide"
    folder.mkdir()
    (folder / "linux.md").write_text("# Linux\n\nOn Linux the cache is kept in /var/cache/willow.", "utf-8")
    (folder / "windows.md").write_text("# Windows\n\nOn Windows the cache is kept in AppData.", "utf-8")
    with RAG(tmp_path / "index") as rag:
        rag.add([folder])
        first = rag.query("Where is the cache kept on Linux?")
        second = rag.query("And on Windows?", history=after("Where is the cache kept on Linux?"))
    assert [answer.citations[0].source for answer in (first, second)] == ["linux.md", "windows.md"]
    assert second.question == "And on Windows?"


RIGHTS = (
    "# Rights\n\nAdministrators can delete projects. Visitors cannot delete anything, they only look.\n\n"
    "The backup of aurora runs at 02:00. The backup of borea runs at 03:30.",
    "# 权限\n\n管理员能删除项目。访客不能删除任何内容，只能查看。\n\n曙光的备份在两点开始。北风的备份在四点开始。",
)


@pytest.mark.parametrize(
    ("text", "before", "question", "marked"),
    [
        (RIGHTS[0], "Can administrators delete projects?", "And visitors?", "Visitors cannot"),
        (RIGHTS[0], "When does the backup of aurora run?", "What about borea?", "03:30"),
        (RIGHTS[1], "管理员能删除项目吗？", "访客呢？", "访客不能"),
        (RIGHTS[1], "曙光的备份几点开始？", "北风呢？", "四点"),
    ],
)
def test_what_is_newly_asked_about_is_what_the_answer_speaks_of(
    tmp_path: Path, text: str, before: str, question: str, marked: str
) -> None:
    (tmp_path / "a.md").write_text(text, "utf-8")
    with RAG(tmp_path / "index") as rag:
        rag.add([tmp_path / "a.md"])
        assert marked in rag.query(question, history=after(before)).citations[0].marked_text
