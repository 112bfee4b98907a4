"""Answers in the documents' own words, with no model to believe: the best span of the best passage, or nothing.

Last station of a question's path without a generating model: question -> Hits -> spans -> *extraction*. English is read
by the neural reader on the packaged MiniLM (`english/reader`), Chinese by trees (`chinese/tree_ranker`), for MiniLM has
no words for it: the question decides which, or the passage where it has hardly a word of the question's language.
Offline, deterministic, a question in a batch as alone. `confidence` is the probability, where half of the questions
have an answer, that the passage holds one at all, as SQuAD 2.0 asks (Rajpurkar et al. 2018, arXiv 1806.03822); not that
the span is its exact wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.language import Language, language_of, share_of
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.chinese.features import read_chinese
from pagoda.rag.extractive.english.reader import load_reader
from pagoda.rag.extractive.ranker import FOLDER, decision_features
from pagoda.rag.extractive.rankers import load_ranker
from pagoda.rag.extractive.spans import sentence_bounds

_LEAST = 1e-12
NAMES_SHARE = 0.2
"""A text with a smaller share of words of a language has its names in it, but nothing to cut an answer from."""
LEAST_COVERAGE = 0.25
"""Share of the question's weighted words that a passage must hold before its answer is believed in full."""


@dataclass(frozen=True)
class ExtractiveSettings:
    """min_confidence: below it the answerer abstains; .5 balances both mistakes on the development sets.

    max_hits: how many hits are read, best first
    rank_penalty: what each place further down the hits costs: log-odds of an answer; in Chinese, the ranker's score
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
class _Found:
    """The best span of one hit, in the chunk's characters. value: what hits of one language compete by."""

    hit_index: int
    chunk: Chunk
    language: Language
    start: int
    end: int
    sentence: tuple[int, int]
    value: float
    confidence: float


class ExtractiveAnswerer:
    """Finds the answer to a question in its hits. Weights are read with the first question of a language.

    rankers: folder of the Chinese ranker, for measuring one that has not seen the questions
    """

    def __init__(self, settings: ExtractiveSettings | None = None, rankers: Path = FOLDER) -> None:
        self.settings = settings or ExtractiveSettings()
        self._rankers = rankers

    def answer(self, question: str, hits: Sequence[Hit]) -> Extraction:
        """The best span of the hits (best first); abstained where the passage does not seem to hold an answer.

        Raises InvalidRequestError for a question without words, MissingExtraError for an English passage where the
        packaged MiniLM is not installed.
        """
        if not question.strip():
            raise InvalidRequestError("the question is empty: give one with words", param="question")
        read = enumerate(hits[: self.settings.max_hits])
        found = [span for index, hit in read if (span := self._read(question, index, hit))]
        return self._extraction(self._best(found)) if found else NOTHING

    def answer_batch(self, questions: Sequence[str], hits: Sequence[Sequence[Hit]]) -> list[Extraction]:
        """One extraction a question: the same as one by one."""
        return [self.answer(question, found) for question, found in zip(questions, hits, strict=True)]

    def _read(self, question: str, index: int, hit: Hit) -> _Found | None:
        is_chinese = _language(question, hit.chunk.text) == "zh"
        return (self._read_chinese if is_chinese else self._read_english)(question, index, hit)

    def _read_english(self, question: str, index: int, hit: Hit) -> _Found | None:
        reader, chunk = load_reader(), hit.chunk
        sentences = _sentences(chunk) or sentence_bounds(chunk.text)
        span = reader.read(question, chunk.text, sentences)
        if span is None:
            return None
        value = span.log_odds - self.settings.rank_penalty * index
        sentence = _around(sentences, span.start, span.end)
        return _Found(index, chunk, "en", span.start, span.end, sentence, value, span.probability)

    def _read_chinese(self, question: str, index: int, hit: Hit) -> _Found | None:
        ranker, chunk = load_ranker("zh", self._rankers), hit.chunk
        passage = read_chinese(question, chunk.text, _sentences(chunk) or None)
        if not len(passage.spans):
            return None
        scores = ranker.scores(passage)
        best = ranker.best(passage, scores)
        first, last = passage.spans[best]
        confidence = ranker.probability(decision_features(passage, scores, best))
        # The ranker was fitted on passages about the question's subject; of others it knows nothing.
        confidence *= min(1.0, float(passage.coverage[2]) / LEAST_COVERAGE)
        value = float(scores[best]) - self.settings.rank_penalty * index
        start, end = passage.tokens[first].start, passage.tokens[last].end
        sentence = passage.sentences[passage.sentence_of[best]]
        return _Found(index, chunk, "zh", start, end, sentence, value, confidence)

    def _best(self, found: Sequence[_Found]) -> _Found:
        """Of the highest value, the earlier hit of equals. Values of two readers are compared as log-odds of both."""
        if len({span.language for span in found}) > 1:
            penalty = self.settings.rank_penalty
            found = [replace(span, value=_log_odds(span.confidence) - penalty * span.hit_index) for span in found]
        return max(found, key=lambda span: (span.value, -span.hit_index))

    def _extraction(self, found: _Found) -> Extraction:
        offset, (left, right) = found.chunk.start, found.sentence
        return Extraction(
            text=found.chunk.text[found.start : found.end],
            start=offset + found.start,
            end=offset + found.end,
            hit_index=found.hit_index,
            sentence_start=offset + left,
            sentence_end=offset + right,
            confidence=found.confidence,
            abstained=found.confidence < self.settings.min_confidence,
        )


def _language(question: str, text: str) -> Language:
    """Whose reader takes the text: the question's, unless hardly more than names in the text are of its language."""
    asked = language_of(question)
    other: Language = "en" if asked == "zh" else "zh"
    return other if share_of(text, asked) < NAMES_SHARE and share_of(text, other) else asked


def _log_odds(probability: float) -> float:
    return float(np.log(max(probability, _LEAST) / max(1 - probability, _LEAST)))


def _sentences(chunk: Chunk) -> list[tuple[int, int]]:
    """The chunk's sentences in its own characters."""
    return [(start - chunk.start, end - chunk.start) for start, end in chunk.sentences]


def _around(sentences: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """The sentence that a span stands in, widened where the span reaches beyond it."""
    left, right = max((s for s in sentences if s[0] <= start), default=(start, end))
    return min(left, start), max(right, end)
