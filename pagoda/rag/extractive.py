"""Answers in the documents' own words, with no model to believe: the best span of the best passage, or nothing.

Last station of a question's path without a reader model: question -> Hits -> candidate spans -> features -> ranker ->
*extraction*. Offline, in English and Chinese, deterministic. `confidence` is the probability, where half of the
questions have an answer, that the passage holds one at all, as SQuAD 2.0 asks (Rajpurkar et al. 2018, arXiv
1806.03822); not that the span is its exact wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.rag.document import Chunk, Hit
from pagoda.rag.span_features import Passage, read_passage
from pagoda.rag.span_ranker import SpanRanker, decision_features, load_ranker
from pagoda.rag.spans import language_of

LEAST_COVERAGE = 0.25
"""Share of the question's weighted words that a passage must hold before its answer is believed in full."""


@dataclass(frozen=True)
class ExtractiveSettings:
    """min_confidence: below it the answerer abstains; .5 balances both mistakes on the development sets.

    max_hits: how many hits are read, best first
    rank_penalty: what each place further down the hits costs, in units of the ranker's score
    """

    min_confidence: float = 0.5
    max_hits: int = 3
    rank_penalty: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence is {self.min_confidence}, but a probability is expected: give 0 to 1")
        if self.max_hits < 1:
            raise ConfigError(f"max_hits is {self.max_hits}, but at least one hit must be read: give 1 or more")


@dataclass(frozen=True)
class Extraction:
    """A span that answers, or would answer if it were sure enough.

    start, end, sentence_start, sentence_end: characters of the document. hit_index: the hit it stands in; -1 where
    nothing could be read, and then `text` is empty. An abstained extraction still shows its best span.
    """

    text: str
    start: int
    end: int
    hit_index: int
    sentence_start: int
    sentence_end: int
    confidence: float
    abstained: bool


NOTHING = Extraction("", 0, 0, -1, 0, 0, 0.0, True)


@dataclass(frozen=True)
class _Reading:
    hit_index: int
    chunk: Chunk
    passage: Passage
    scores: np.ndarray
    best: int
    value: float


class ExtractiveAnswerer:
    """Finds the answer to a question in its hits. Weights are read with the first question of a language."""

    def __init__(self, settings: ExtractiveSettings | None = None) -> None:
        self.settings = settings or ExtractiveSettings()

    def answer(self, question: str, hits: Sequence[Hit]) -> Extraction:
        """The best span of the hits (best first); abstained where the passage does not seem to hold an answer.

        Raises InvalidRequestError for a question without words.
        """
        if not question.strip():
            raise InvalidRequestError("the question is empty: give one with words", param="question")
        ranker = load_ranker(language_of(question))
        readings = [
            self._read(ranker, question, index, hit) for index, hit in enumerate(hits[: self.settings.max_hits])
        ]
        found = [reading for reading in readings if reading is not None]
        if not found:
            return NOTHING
        return self._extraction(ranker, max(found, key=lambda reading: (reading.value, -reading.hit_index)))

    def answer_batch(self, questions: Sequence[str], hits: Sequence[Sequence[Hit]]) -> list[Extraction]:
        """One extraction a question: the same as one by one."""
        return [self.answer(question, found) for question, found in zip(questions, hits, strict=True)]

    def _read(self, ranker: SpanRanker, question: str, index: int, hit: Hit) -> _Reading | None:
        chunk = hit.chunk
        sentences = [(start - chunk.start, end - chunk.start) for start, end in chunk.sentences]
        passage = read_passage(question, chunk.text, sentences or None)
        if not len(passage.spans):
            return None
        scores = ranker.scores(passage)
        best = ranker.best(passage, scores)
        value = float(scores[best]) - self.settings.rank_penalty * index
        return _Reading(index, chunk, passage, scores, best, value)

    def _extraction(self, ranker: SpanRanker, reading: _Reading) -> Extraction:
        passage, chunk = reading.passage, reading.chunk
        first, last = passage.spans[reading.best]
        start, end = passage.tokens[first].start, passage.tokens[last].end
        left, right = passage.sentences[passage.sentence_of[reading.best]]
        confidence = ranker.probability(decision_features(passage, reading.scores, reading.best))
        # The ranker was fitted on passages about the question's subject; of others it knows nothing.
        confidence *= min(1.0, float(passage.coverage[2]) / LEAST_COVERAGE)
        return Extraction(
            text=chunk.text[start:end],
            start=chunk.start + start,
            end=chunk.start + end,
            hit_index=reading.hit_index,
            sentence_start=chunk.start + left,
            sentence_end=chunk.start + right,
            confidence=confidence,
            abstained=confidence < self.settings.min_confidence,
        )
