"""Asking: the corpus indexed by the public Python API, and every question and pair put to it once.

Around a question's path. The index is kept between runs, so that a second run embeds only what has changed; so may be
what was shown, where a model takes half a minute for each answer and a run may be broken off.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from manuals.judging import Shown, Turn, Verdict, judged, turn, turn_of_text
from manuals.questions import Pair, Question
from pagoda.chat.openai_client import OpenAIChatModel
from pagoda.rag import RAG, Answer
from pagoda.rag.generative.answerer import GenerativeSettings
from pagoda.rag.pipeline import RagSettings
from pagoda.rag.query import AnswererName

T = TypeVar("T")
DEADLINE_S = 3600.0
"""Of an answer: a busy machine is no reason to end."""


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


@dataclass(frozen=True)
class _Quote:
    """A citation as it is kept."""

    source: str
    quote: str
    line: int
    page: int | None
    last_page: int | None


def drawn(some: Sequence[T], count: int | None, seed: int) -> list[T]:
    """So many of them, the same for the same seed; all where no number is told."""
    return list(some) if count is None else random.Random(seed).sample(list(some), min(count, len(some)))


def shown_of(answer: Answer) -> Shown:
    """What a person sees of it."""
    return Shown(answer.text, answer.citations, answer.abstained)


class Asker:
    """The manuals of one language, and whoever answers from them.

    model: URL of a server, for other answerers
    embedder: by name; None is that of the index, at first the packaged one
    kept: file with a line for each answer, which is not asked for again; it is of one corpus and one answerer
    """

    def __init__(
        self,
        corpus: Path,
        index: Path,
        answerer: AnswererName,
        model: str | None = None,
        kept: Path | None = None,
        embedder: str | None = None,
    ) -> None:
        settings = RagSettings(generative=GenerativeSettings(deadline_s=DEADLINE_S))
        asked = OpenAIChatModel(model, timeout_s=DEADLINE_S) if model else None
        self._rag = RAG(index, asked, embedder=embedder, settings=settings, owns_model=True)
        self._answerer, self._file = answerer, kept
        self._kept: dict[str, tuple[Shown, float]] = dict(_read(kept)) if kept and kept.exists() else {}
        began = time.perf_counter()
        self._rag.add([corpus], root=corpus)
        status, seconds = self._rag.status(), time.perf_counter() - began
        self.indexed = f"{status.num_documents} files, {status.num_chunks} chunks, indexed in {seconds:.0f} s"

    def questions(self, asked: Iterable[Question]) -> Iterator[Asked]:
        """Each with its verdict."""
        for each in asked:
            shown, seconds = self._shown(each.question)
            yield Asked(each, shown, judged(each, shown), seconds)

    def pairs(self, paired: Iterable[Pair]) -> Iterator[Turned]:
        """Each with whether its meaning was kept."""
        for pair in paired:
            shown, _ = self._shown(pair.question)
            yield Turned(pair, shown, turn(pair, shown), turn_of_text(pair, shown))

    def _shown(self, question: str) -> tuple[Shown, float]:
        """And the seconds that it took. Of a question that a pair shares with the set the one answer is kept."""
        if question not in self._kept:
            began = time.perf_counter()
            shown = shown_of(self._rag.query(question, answerer=self._answerer))
            self._kept[question] = shown, time.perf_counter() - began
            if self._file is not None:
                with self._file.open("a", encoding="utf-8") as lines:
                    lines.write(_line(question, *self._kept[question]))
        return self._kept[question]

    def close(self) -> None:
        """Give back the index."""
        self._rag.close()


def _line(question: str, shown: Shown, seconds: float) -> str:
    quotes = [
        asdict(_Quote(each.source, each.quote, each.line, each.page, getattr(each, "last_page", None)))
        for each in shown.citations
    ]
    row = {"question": question, "seconds": seconds, "text": shown.text, "declined": shown.declined, "quotes": quotes}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _read(kept: Path) -> Iterator[tuple[str, tuple[Shown, float]]]:
    for line in kept.read_text("utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        quotes = tuple(_Quote(**each) for each in row["quotes"])
        yield row["question"], (Shown(row["text"], quotes, row["declined"]), row["seconds"])
