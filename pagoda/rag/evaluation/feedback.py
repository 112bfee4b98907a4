"""What people say of answers: kept beside the index, line by line, and made into questions for `pagoda rag eval`.

Behind a question's path: Answer -> *feedback* -> question set. Lines are only ever added, each is on the disk before
whoever sent it is told so, and one that a kill left half-written is passed over. A rating alone says whether an answer
was right; with the right answer, or with the word that there is none, a bad one becomes a question of the set, too.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import filelock

from pagoda.rag.errors import RagError
from pagoda.rag.evaluation.answers import AskedQuestion
from pagoda.rag.index.catalog import now

Rating = Literal["up", "down"]
MAX_FILE_BYTES = 256 << 20
_LOCK_TIMEOUT_S = 10.0
_CITATION_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What one person said of one answer.

    answer, abstained: what was answered; span: the words of it that answer, if it quoted; source: of its first citation
    right_answer: what would have been right; not_in_documents: that declining would have been
    time: ISO 8601, UTC
    """

    question: str
    rating: Rating
    answer: str = ""
    span: str = ""
    source: str = ""
    abstained: bool = False
    right_answer: str = ""
    not_in_documents: bool = False
    comment: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: str = field(default_factory=now)

    def asked(self) -> AskedQuestion | None:
        """The question with what is right; None where this does not say it."""
        if self.rating == "down":
            answers = (self.right_answer.strip(),) if self.right_answer.strip() else ()
            return AskedQuestion(self.question, answers=answers) if answers or self.not_in_documents else None
        if self.abstained:
            return AskedQuestion(self.question)
        said = self.span.strip() or _CITATION_MARK.sub("", self.answer).strip()
        return AskedQuestion(self.question, self.source, (said,) if said else ())


_KINDS = {entry.name: bool if entry.type == "bool" else str for entry in fields(Feedback)}


def feedback_file(index: Path) -> Path:
    """Where the feedback on answers from an index is: beside its folder, so that a new index keeps it.

    >>> feedback_file(Path("indexes/handbook")).name
    'handbook-feedback.jsonl'
    """
    return index.with_name(f"{index.name}-feedback.jsonl")


class FeedbackLog:
    """Feedback in one file, which several threads and processes may write. Raises RagError where it cannot be kept."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, feedback: Feedback) -> None:
        """Keep it; it is on the disk when this returns."""
        line = json.dumps(asdict(feedback), ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(f"{self.file}.lock", timeout=_LOCK_TIMEOUT_S):
                self._append(line)
        except (OSError, filelock.Timeout) as error:
            raise RagError(f"the feedback was not kept: {self.file.name} cannot be written ({error})") from error

    def entries(self) -> list[Feedback]:
        """All of it, oldest first."""
        return list(self._entries())

    def _append(self, line: bytes) -> None:
        is_new = not self.file.exists()
        with self.file.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size + len(line) > MAX_FILE_BYTES:
                raise RagError(
                    f"the feedback was not kept: {self.file.name} has {size:,} bytes, which is the most; move it away"
                )
            if size:
                file.seek(-1, os.SEEK_END)
                # Half a line, which a kill left, ends here.
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self.file.parent)

    def _entries(self) -> Iterator[Feedback]:
        try:
            with self.file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if (known := _fields(line)) is not None:
                        yield Feedback(**known)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RagError(f"the feedback in {self.file.name} cannot be read ({error.strerror})") from error


def question_set(entries: Iterable[Feedback]) -> list[AskedQuestion]:
    """Each question once, with what the newest entry that tells it says is right."""
    told: dict[str, AskedQuestion] = {}
    for entry in entries:
        asked = entry.asked()
        if asked is not None:
            name = " ".join(entry.question.split()).casefold()
            told.pop(name, None)
            told[name] = asked
    return list(told.values())


def question_lines(questions: Iterable[AskedQuestion]) -> Iterator[str]:
    """As `read_questions` takes them: JSON, one a line."""
    return (json.dumps(asdict(question), ensure_ascii=False) for question in questions)


def _fields(line: str) -> dict[str, Any] | None:
    """What a line holds of `Feedback`; None for one that is not whole, or that somebody wrote otherwise."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "question" not in found or found.get("rating") not in ("up", "down"):
        return None
    known = {entry.name: found[entry.name] for entry in fields(Feedback) if entry.name in found}
    return known if all(type(value) is _KINDS[name] for name, value in known.items()) else None


def _sync_folder(folder: Path) -> None:
    """So that a new file's name outlives a loss of power, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
