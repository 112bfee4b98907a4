"""Answers in the documents' own words, for whoever has no model to believe: the extractive answer as an `Answer`.

On a question's path: question -> Hits -> *quoted sentence* -> Answer. What the answer is and how sure is
`extractive`'s business; here it gets its citation, or becomes the statement that the documents hold none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pagoda.rag.answer import Answer, Citation
from pagoda.rag.words import language_of, words_in

if TYPE_CHECKING:
    from pagoda.rag.documents.document import Hit
    from pagoda.rag.extractive.extractor import Extraction, ExtractiveAnswerer
    from pagoda.rag.generative.answerer import Question

NAME = "extractive"


class QuotingAnswerer:
    """Quotes the sentence that answers. The work is done by `answerer`, loaded with the first question."""

    def __init__(self, answerer: ExtractiveAnswerer | None = None) -> None:
        self._answerer = answerer

    def answer(self, question: Question) -> Answer:
        """One answer."""
        return self.answer_batch([question])[0]

    def answer_batch(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer for each, in order."""
        began = time.perf_counter()
        answers = [self._one(question) for question in questions]
        times = {"answer": time.perf_counter() - began}
        return [replace(answer, timings=times) for answer in answers]

    def _one(self, question: Question) -> Answer:
        found = self._loaded().answer(question.alone or question.text, question.hits) if question.hits else None
        if found is None or found.abstained or not found.text:
            confidence = found.confidence if found else 0.0
            text = words_in(language_of(question.text)).abstention
            return Answer(question=question.text, text=text, abstained=True, confidence=confidence, answerer=NAME)
        return Answer(
            question=question.text,
            text=f"{found.text} [1]",
            citations=(_citation(found, question.hits[found.hit_index]),),
            confidence=found.confidence,
            answerer=NAME,
        )

    def _loaded(self) -> ExtractiveAnswerer:
        if self._answerer is None:
            from pagoda.rag.extractive.extractor import ExtractiveAnswerer

            self._answerer = ExtractiveAnswerer()
        return self._answerer


def _citation(found: Extraction, hit: Hit) -> Citation:
    """The sentence around the answer."""
    chunk, start, end = hit.chunk, found.sentence_start, found.sentence_end
    quote = chunk.text[start - chunk.start : end - chunk.start]
    line = chunk.line + chunk.text.count("\n", 0, start - chunk.start)
    return Citation(1, chunk.source, quote, start, end, line, chunk.page, hit.score)
