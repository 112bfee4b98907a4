"""Answers in the documents' own words, with no model to believe: what is shown of the best passage, or nothing.

Last station of a question's path without a generating model: question -> Hits -> spans -> *extraction*. English is read
by the neural reader on the packaged MiniLM (`english/reader`), Chinese by trees (`chinese/tree_ranker`), for MiniLM has
no words for it: the question decides which, or the passage where it has hardly a word of the question's language. The
readers find words in each passage; `showing` decides whether to answer and how much of the passage must be shown.
Offline, deterministic, a question in a batch as alone. `confidence` is the probability that what is shown answers, as
`showing/decision` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.language import Language, language_of, share_of
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.chinese.features import read_chinese
from pagoda.rag.extractive.english.reader import load_reader
from pagoda.rag.extractive.ranker import FOLDER, decision_features
from pagoda.rag.extractive.rankers import load_ranker
from pagoda.rag.extractive.showing.coverage import Coverage
from pagoda.rag.extractive.showing.decision import Signs, group_of, load_decision, signs_of
from pagoda.rag.extractive.showing.question_form import Form, form_of
from pagoda.rag.extractive.showing.station import Candidate, Kind, Showing, Span, passage, sentence_of, shown
from pagoda.rag.extractive.spans import sentence_bounds

NAMES_SHARE = 0.2
"""A text with a smaller share of words of a language has its names in it, but nothing to cut an answer from."""
ENOUGH = 0.9
"""No more passages are shown once one of them answers with this probability, by what is known of each."""


@dataclass(frozen=True)
class ExtractiveSettings:
    """min_confidence: below it the answerer abstains; None is what the calibration asks for.

    max_hits: how many hits are read, best first
    max_passages: how many may be shown where none of them surely answers
    """

    min_confidence: float | None = None
    max_hits: int = 3
    max_passages: int = 3

    def __post_init__(self) -> None:
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence is {self.min_confidence}, but a probability is expected: give 0 to 1")
        for name in ("max_hits", "max_passages"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but at least one hit must be read: give 1 or more")


@dataclass(frozen=True)
class Place:
    """What is shown of one hit. quote, marked: characters of the document, what is shown and what in it answers."""

    hit_index: int
    quote: Span
    marked: Span


@dataclass(frozen=True)
class Extraction:
    """What answers, or would answer if it were sure enough.

    text: the words that the reader found, characters start to end of the document
    hit_index: the hit they stand in; -1 where nothing could be read, and then `text` is empty
    kind: how much is shown of it; places: what is shown, the likeliest first; more than one only of passages
    An abstained extraction still has its best words.
    """

    text: str
    start: int
    end: int
    hit_index: int
    kind: Kind
    places: tuple[Place, ...]
    confidence: float
    abstained: bool


NOTHING = Extraction("", 0, 0, -1, "passage", (), 0.0, True)


@dataclass(frozen=True)
class Reading:
    """What a reader found in one hit: characters of the chunk, and log-odds that the hit holds an answer."""

    hit_index: int
    language: Language
    start: int
    end: int
    log_odds: float


@dataclass(frozen=True)
class Weighed:
    """A reading with what may be shown of it, and how likely it answers."""

    reading: Reading
    candidate: Candidate
    probability: float


class ExtractiveAnswerer:
    """Finds the answer to a question in its hits. Weights are read with the first question of a language.

    rankers: folder of the Chinese ranker, for measuring one that has not seen the questions
    """

    def __init__(self, settings: ExtractiveSettings | None = None, rankers: Path = FOLDER) -> None:
        self.settings = settings or ExtractiveSettings()
        self._rankers = rankers

    def answer(self, question: str, hits: Sequence[Hit]) -> Extraction:
        """What answers best in the hits (best first); abstained where none seems to hold an answer.

        Raises InvalidRequestError for a question without words, MissingExtraError for an English passage where the
        packaged MiniLM is not installed.
        """
        return self.extraction(question, hits, self.readings(question, hits))

    def answer_batch(self, questions: Sequence[str], hits: Sequence[Sequence[Hit]]) -> list[Extraction]:
        """One extraction a question: the same as one by one."""
        return [self.answer(question, found) for question, found in zip(questions, hits, strict=True)]

    def readings(self, question: str, hits: Sequence[Hit]) -> list[Reading]:
        """What the readers find in the first hits: the dear half of an answer. Raises as `answer` does."""
        if not question.strip():
            raise InvalidRequestError("the question is empty: give one with words", param="question")
        read = enumerate(hits[: self.settings.max_hits])
        return [found for index, hit in read if (found := self._read(question, index, hit.chunk))]

    def extraction(self, question: str, hits: Sequence[Hit], readings: Sequence[Reading]) -> Extraction:
        """What is shown of what was read: the cheap half."""
        if not readings:
            return NOTHING
        form = form_of(question)
        found = weighed(question, hits[: self.settings.max_hits], readings, form)
        best, probability = found[0].reading, found[0].probability
        thresholds = load_decision().thresholds[group_of(best.language, form)]
        least = thresholds.answer if self.settings.min_confidence is None else self.settings.min_confidence
        showing = shown(
            form,
            found[0].candidate,
            span_is_sure=probability >= thresholds.span,
            sentence_is_sure=probability >= thresholds.sentence,
        )
        chunk = hits[best.hit_index].chunk
        places = [_place(hits, best.hit_index, showing)]
        if showing.kind == "passage":
            places += [
                _place(hits, other.reading.hit_index, passage(form, other.candidate)) for other in self._also(found)
            ]
        return Extraction(
            text=chunk.text[best.start : best.end],
            start=chunk.start + best.start,
            end=chunk.start + best.end,
            hit_index=best.hit_index,
            kind=showing.kind,
            places=tuple(places),
            confidence=probability,
            abstained=probability < least,
        )

    def _also(self, found: Sequence[Weighed]) -> list[Weighed]:
        """The passages to show beside the best: as many as it takes until one of them likely answers."""
        missed, also = 1 - found[0].probability, []
        for other in found[1 : self.settings.max_passages]:
            if 1 - missed >= ENOUGH:
                break
            missed *= 1 - other.probability
            also.append(other)
        return also

    def _read(self, question: str, index: int, chunk: Chunk) -> Reading | None:
        is_chinese = _language(question, chunk.text) == "zh"
        return (self._read_chinese if is_chinese else self._read_english)(question, index, chunk)

    def _read_english(self, question: str, index: int, chunk: Chunk) -> Reading | None:
        span = load_reader().read(question, chunk.text, sentences_of(chunk))
        if span is None:
            return None
        return Reading(index, "en", span.start, span.end, span.log_odds)

    def _read_chinese(self, question: str, index: int, chunk: Chunk) -> Reading | None:
        ranker = load_ranker("zh", self._rankers)
        passage = read_chinese(question, chunk.text, sentences_of(chunk) or None)
        if not len(passage.spans):
            return None
        scores = ranker.scores(passage)
        best = ranker.best(passage, scores)
        first, last = passage.spans[best]
        log_odds = _log_odds(ranker.probability(decision_features(passage, scores, best)))
        return Reading(index, "zh", passage.tokens[first].start, passage.tokens[last].end, log_odds)


def weighed(question: str, hits: Sequence[Hit], readings: Sequence[Reading], form: Form) -> list[Weighed]:
    """Each reading with how likely it answers, the likeliest first; of equals the earlier hit."""
    decision = load_decision()
    found = [
        Weighed(reading, candidate, decision.probability(group_of(reading.language, form), signs))
        for reading, (candidate, signs) in zip(readings, told(question, hits, readings), strict=True)
    ]
    return sorted(found, key=lambda each: (-each.probability, each.reading.hit_index))


def told(question: str, hits: Sequence[Hit], readings: Sequence[Reading]) -> list[tuple[Candidate, Signs]]:
    """Each reading as what may be shown, and what is known of it."""
    coverage = Coverage(question, hits, [sentences_of(hit.chunk) for hit in hits])
    found = []
    for read in readings:
        at, span = read.hit_index, (read.start, read.end)
        candidate = Candidate(hits[at].text, coverage.sentences[at], span, coverage.key_sentence(at))
        found.append((candidate, signs_of(coverage, at, sentence_of(coverage.sentences[at], span), read.log_odds)))
    return found


def sentences_of(chunk: Chunk) -> list[Span]:
    """The chunk's sentences in its own characters."""
    known = [(start - chunk.start, end - chunk.start) for start, end in chunk.sentences]
    return known or sentence_bounds(chunk.text)


def _place(hits: Sequence[Hit], index: int, showing: Showing) -> Place:
    """In the document's characters."""
    start = hits[index].chunk.start
    quote, marked = ((start + left, start + right) for left, right in (showing.place, showing.marked))
    return Place(index, quote, marked)


def _language(question: str, text: str) -> Language:
    """Whose reader takes the text: the question's, unless hardly more than names in the text are of its language."""
    asked = language_of(question)
    other: Language = "en" if asked == "zh" else "zh"
    return other if share_of(text, asked) < NAMES_SHARE and share_of(text, other) else asked


def _log_odds(probability: float) -> float:
    least = 1e-12
    return float(np.log(max(probability, least) / max(1 - probability, least)))
