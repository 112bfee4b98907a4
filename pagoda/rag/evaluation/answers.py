"""How often an index gives the right source, the right answer, and rightly none, over a person's own questions.

Beside a question's path: question -> Hits -> Answer -> *counted*. Retrieval is counted as in `retrieval`, answers as in
`metrics`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.language import language_of
from pagoda.rag.answer import Answer
from pagoda.rag.documents.document import Hit
from pagoda.rag.evaluation.metrics import scores
from pagoda.rag.evaluation.retrieval import numbered_lines, rank_of, recall_at

_CITATION_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True)
class AskedQuestion:
    """A question and what is right. Neither source nor answers: the documents do not hold it."""

    question: str
    source: str = ""
    answers: tuple[str, ...] = ()

    @property
    def is_answerable(self) -> bool:
        """Whether the documents hold an answer."""
        return bool(self.source or self.answers)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Shares from 0 to 1; None where no question asks for it. seconds: of all answers together."""

    num_questions: int
    seconds: float
    k: int
    num_with_source: int
    recall_at_1: float | None
    recall_at_k: float | None
    num_with_answers: int
    exact_match: float | None
    f1: float | None
    num_unanswerable: int
    rightly_abstained: float | None
    num_answerable: int
    wrongly_abstained: float | None


class Documents(Protocol):
    """What is asked: a `pipeline.RAG`, or whatever finds and answers as it does."""

    def retrieve_batch(self, questions: Sequence[str], k: int) -> list[list[Hit]]:
        """The k best chunks for each question, best first."""
        ...

    def query_batch(self, questions: Sequence[str], k: int) -> list[Answer]:
        """An answer for each question, in order, from its k best chunks."""
        ...


def read_questions(path: Path) -> list[AskedQuestion]:
    """Questions from JSON lines. Raises ConfigError, which names the line."""
    asked = [_question(line, f"{path}, line {number}") for number, line in numbered_lines(path)]
    if not asked:
        raise ConfigError(f'{path} holds no question: write one a line, as {{"question": "...", "answers": ["..."]}}')
    return asked


def evaluate_questions(documents: Documents, asked: Sequence[AskedQuestion], k: int) -> Evaluation:
    """Ask all of them at once and compare."""
    questions = [entry.question for entry in asked]
    hits = documents.retrieve_batch(questions, k)
    began = time.perf_counter()
    answers = documents.query_batch(questions, k)
    seconds = time.perf_counter() - began
    ranks = [rank_of(entry.source, found) for entry, found in zip(asked, hits, strict=True) if entry.source]
    scored = [scores_of(answer, entry.answers) for answer, entry in zip(answers, asked, strict=True) if entry.answers]
    held = [answer.abstained for answer, entry in zip(answers, asked, strict=True) if entry.is_answerable]
    missing = [answer.abstained for answer, entry in zip(answers, asked, strict=True) if not entry.is_answerable]
    return Evaluation(
        num_questions=len(asked),
        seconds=round(seconds, 3),
        k=k,
        num_with_source=len(ranks),
        recall_at_1=round(recall_at(1, ranks), 4) if ranks else None,
        recall_at_k=round(recall_at(k, ranks), 4) if ranks else None,
        num_with_answers=len(scored),
        exact_match=_mean([exact for exact, _ in scored]),
        f1=_mean([f1 for _, f1 in scored]),
        num_unanswerable=len(missing),
        rightly_abstained=_mean(missing),
        num_answerable=len(held),
        wrongly_abstained=_mean(held),
    )


def scores_of(answer: Answer, right: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of an answer's words; an abstention is the empty answer, as in SQuAD 2.0.

    Where a sentence or a passage is shown with the words that answer marked in it, those words count.
    """
    given = "" if answer.abstained else answer.span or _CITATION_MARK.sub("", answer.text)
    return scores(given, right, chinese=language_of(answer.question) == "zh")


def _question(line: str, where: str) -> AskedQuestion:
    try:
        fields: Any = json.loads(line)
        question, source, answers = fields["question"], fields.get("source") or "", fields.get("answers") or []
        if not (isinstance(question, str) and isinstance(source, str) and all(isinstance(a, str) for a in answers)):
            raise InvalidRequestError("question and source are strings, answers is a list of strings")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigError(f'{where} is no {{"question", "source", "answers"}}: {error}') from error
    return AskedQuestion(question, source, tuple(answers))


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
