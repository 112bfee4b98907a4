"""Asking: the corpus indexed by the public Python API, and every question and pair put to it once.

Around a question's path. The index is kept between runs, so that a second run embeds only what has changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from manuals.judging import Shown, Turn, Verdict, judged, turn, turn_of_text
from manuals.questions import Pair, Question
from pagoda.rag import RAG, Answer
from pagoda.rag.query import AnswererName


@dataclass(frozen=True)
class Asked:
    """One question with what was shown and the verdict."""

    question: Question
    shown: Shown
    verdict: Verdict
    seconds: float


@dataclass(frozen=True)
class Turned:
    """One pair with what was shown; text: the verdict on the text alone."""

    pair: Pair
    shown: Shown
    turn: Turn
    text: Turn


def shown_of(answer: Answer) -> Shown:
    """What a person sees of it."""
    return Shown(answer.text, answer.citations, answer.abstained)


class Asker:
    """The manuals of one language, and whoever answers from them. model: URL of a server, for other answerers."""

    def __init__(self, corpus: Path, index: Path, answerer: AnswererName, model: str | None = None) -> None:
        self._rag = RAG(index, model)
        self._answerer = answerer
        self._kept: dict[str, Shown] = {}
        began = time.perf_counter()
        self._rag.add([corpus], root=corpus)
        status, seconds = self._rag.status(), time.perf_counter() - began
        self.indexed = f"{status.num_documents} files, {status.num_chunks} chunks, indexed in {seconds:.0f} s"

    def questions(self, asked: Iterable[Question]) -> Iterator[Asked]:
        """Each with its verdict."""
        for each in asked:
            began = time.perf_counter()
            shown = self._shown(each.question)
            yield Asked(each, shown, judged(each, shown), time.perf_counter() - began)

    def pairs(self, paired: Iterable[Pair]) -> Iterator[Turned]:
        """Each with whether its meaning was kept."""
        for pair in paired:
            shown = self._shown(pair.question)
            yield Turned(pair, shown, turn(pair, shown), turn_of_text(pair, shown))

    def _shown(self, question: str) -> Shown:
        """Of a question that a pair shares with the set the one answer is kept: the same question gets the same."""
        if question not in self._kept:
            self._kept[question] = shown_of(self._rag.query(question, answerer=self._answerer))
        return self._kept[question]

    def close(self) -> None:
        """Give back the index."""
        self._rag.close()
