"""Feedback on answers: kept line by line whatever happens to whoever writes it, and told as questions."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pagoda.rag.errors import RagError
from pagoda.rag.evaluation import feedback as module
from pagoda.rag.evaluation.answers import AskedQuestion, read_questions
from pagoda.rag.evaluation.feedback import Feedback, FeedbackLog, feedback_file, question_lines, question_set
from patience import HANG_S


@pytest.fixture
def log(tmp_path: Path) -> FeedbackLog:
    """A log that nobody wrote to yet, in a folder that is not there yet."""
    return FeedbackLog(feedback_file(tmp_path / "indexes" / "handbook"))


def test_what_is_kept_is_read_again_in_order_and_to_the_letter(log: FeedbackLog) -> None:
    assert log.entries() == []
    said = [Feedback(question=f"问题 {number}?\n\u2028", rating="down", comment="💡") for number in range(3)]
    for entry in said:
        log.add(entry)
    assert log.entries() == said
    assert log.file.name == "handbook-feedback.jsonl"


def test_half_a_line_that_a_kill_left_spoils_neither_what_was_before_nor_what_comes(log: FeedbackLog) -> None:
    first, second = Feedback(question="one", rating="up"), Feedback(question="two", rating="up")
    log.add(first)
    with log.file.open("ab") as file:
        file.write(b'{"question": "half", "rating": "u')
    assert log.entries() == [first]
    log.add(second)
    assert log.entries() == [first, second]


def test_a_line_that_somebody_wrote_otherwise_is_passed_over_and_more_fields_than_are_known_do_no_harm(
    log: FeedbackLog,
) -> None:
    first = Feedback(question="one", rating="up", answer="at nine")
    log.add(first)
    told = '{"question": "two", "rating": "up", "answer": "at ten", "id": "2", "time": "", "stars": 5}'
    wrong = ['{"question": "x", "rating": "up", "answer": null}', '{"question": 1, "rating": "up"}', "[" * 100_000, "7"]
    wrong += ['{"question": "x", "rating": ["up"]}', '{"question": "x", "rating": "down", "not_in_documents": "no"}']
    with log.file.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in [*wrong, told]))
    assert log.entries() == [first, Feedback(question="two", rating="up", answer="at ten", id="2", time="")]
    assert [asked.answers for asked in question_set(log.entries())] == [("at nine",), ("at ten",)]


def test_what_was_kept_outlives_a_process_that_is_killed_right_after(log: FeedbackLog) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from pagoda.rag.evaluation.feedback import Feedback, FeedbackLog\n"
        "log = FeedbackLog(Path(sys.argv[1]))\n"
        "log.add(Feedback(question='one', rating='up'))\n"
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(log.file)], timeout=HANG_S, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [entry.question for entry in log.entries()] == ["one"]


def test_several_write_at_once_and_no_line_is_lost_or_mixed(log: FeedbackLog) -> None:
    names = [f"question {number} {'x' * 3000}" for number in range(40)]
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda name: log.add(Feedback(question=name, rating="up")), names))
    assert sorted(entry.question for entry in log.entries()) == sorted(names)


def test_a_file_that_is_full_or_cannot_be_written_is_told(log: FeedbackLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.add(Feedback(question="one", rating="up"))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 300)
    with pytest.raises(RagError, match="not kept"):
        log.add(Feedback(question="two" * 100, rating="up"))
    assert [entry.question for entry in log.entries()] == ["one"]
    with pytest.raises(RagError, match="not kept"):
        FeedbackLog(log.file / "below-a-file.jsonl").add(Feedback(question="one", rating="up"))


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"rating": "up", "answer": "At nine. [1]", "source": "a.md"}, AskedQuestion("When?", "a.md", ("At nine.",))),
        ({"rating": "up", "answer": "The shop opens at nine. [1]", "span": "nine", "source": "a.md"},
         AskedQuestion("When?", "a.md", ("nine",))),
        ({"rating": "up", "answer": "They do not say.", "abstained": True}, AskedQuestion("When?")),
        ({"rating": "down", "answer": "At ten."}, None),
        ({"rating": "down", "right_answer": " at nine "}, AskedQuestion("When?", "", ("at nine",))),
        ({"rating": "down", "not_in_documents": True}, AskedQuestion("When?")),
    ],
)  # fmt: skip
def test_a_rating_becomes_a_question_where_it_says_what_is_right(said: dict[str, object], asked: object) -> None:
    assert Feedback(question="When?", **said).asked() == asked  # type: ignore[arg-type]


def test_of_several_that_tell_it_the_newest_counts_and_eval_reads_the_set(tmp_path: Path) -> None:
    entries = [
        Feedback(question="When?", rating="up", answer="at ten"),
        Feedback(question="Where?", rating="up", answer="here"),
        Feedback(question=" when?", rating="down", right_answer="at nine"),
        Feedback(question="When?", rating="down"),
    ]
    asked = question_set(entries)
    assert [(entry.question, entry.answers) for entry in asked] == [("Where?", ("here",)), (" when?", ("at nine",))]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(f"{line}\n" for line in question_lines(asked)), "utf-8")
    assert read_questions(file) == asked
