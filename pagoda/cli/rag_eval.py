"""`pagoda rag eval`: how often an index gives the right source, the right answer, and rightly none.

Beside a question's path, over a person's own questions. Exact match and F1 are those of SQuAD (Rajpurkar et al. 2016,
arXiv 1606.05250), by characters for Chinese as in CMRC 2018 (Cui et al. 2019, arXiv 1810.07366).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.cli.rag_words import RagWords
from pagoda.errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from pagoda.rag.answer import Answer
    from pagoda.rag.pipeline import RAG

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

    def lines(self, words: RagWords) -> list[str]:
        """For a person, without what was not measured."""
        lines = [words.evaluated.format(count=self.num_questions, seconds=self.seconds)]
        if self.recall_at_1 is not None:
            fields = {"first": self.recall_at_1, "among": self.recall_at_k, "k": self.k}
            lines.append(words.evaluated_recall.format(**fields, count=self.num_with_source))
        if self.f1 is not None:
            fields = {"exact": self.exact_match, "f1": self.f1}
            lines.append(words.evaluated_answers.format(**fields, count=self.num_with_answers))
        if self.rightly_abstained is not None:
            lines.append(
                words.evaluated_abstention.format(
                    rejected=self.rightly_abstained,
                    num_unanswerable=self.num_unanswerable,
                    wrongly=self.wrongly_abstained or 0.0,
                    num_answerable=self.num_answerable,
                )
            )
        return lines


def read_questions(path: Path) -> list[AskedQuestion]:
    """Questions from JSON lines. Raises ConfigError, which names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read questions from {path}: {error}") from error
    asked = [_question(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not asked:
        raise ConfigError(f'{path} holds no question: write one a line, as {{"question": "...", "answers": ["..."]}}')
    return asked


def evaluate_questions(documents: RAG, asked: Sequence[AskedQuestion], k: int) -> Evaluation:
    """Ask all of them at once and compare."""
    questions = [entry.question for entry in asked]
    sources = [[hit.source for hit in hits] for hits in documents.retrieve_batch(questions, k)]
    began = time.perf_counter()
    answers = documents.query_batch(questions, k)
    seconds = time.perf_counter() - began
    located = [(entry.source, found) for entry, found in zip(asked, sources, strict=True) if entry.source]
    scores = [_scores(answer, entry.answers) for answer, entry in zip(answers, asked, strict=True) if entry.answers]
    held = [answer.abstained for answer, entry in zip(answers, asked, strict=True) if entry.is_answerable]
    missing = [answer.abstained for answer, entry in zip(answers, asked, strict=True) if not entry.is_answerable]
    return Evaluation(
        num_questions=len(asked),
        seconds=round(seconds, 3),
        k=k,
        num_with_source=len(located),
        recall_at_1=_mean([source == found[0] for source, found in located if found]),
        recall_at_k=_mean([source in found for source, found in located]),
        num_with_answers=len(scores),
        exact_match=_mean([exact for exact, _ in scores]),
        f1=_mean([f1 for _, f1 in scores]),
        num_unanswerable=len(missing),
        rightly_abstained=_mean(missing),
        num_answerable=len(held),
        wrongly_abstained=_mean(held),
    )


def _question(line: str, where: str) -> AskedQuestion:
    try:
        fields: Any = json.loads(line)
        question, source, answers = fields["question"], fields.get("source") or "", fields.get("answers") or []
        if not (isinstance(question, str) and isinstance(source, str) and all(isinstance(a, str) for a in answers)):
            raise InvalidRequestError("question and source are strings, answers is a list of strings")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ConfigError(f'{where} is no {{"question", "source", "answers"}}: {error}') from error
    return AskedQuestion(question, source, tuple(answers))


def _scores(answer: Answer, right: Sequence[str]) -> tuple[float, float]:
    from pagoda.rag import qa_metrics
    from pagoda.rag.words import language_of

    given = "" if answer.abstained else _CITATION_MARK.sub("", answer.text)
    if language_of(answer.question) == "zh":
        return qa_metrics.chinese_exact_match(given, right), qa_metrics.chinese_f1(given, right)
    return qa_metrics.exact_match(given, right), qa_metrics.f1(given, right)


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
