"""Answers in the documents' own words, for whoever has no model to believe: the extractive answer as an `Answer`.

On a question's path: question -> Hits -> *quotation* -> Answer. What is quoted and how sure it is, is `extractor`'s
business; here it gets its citation, or becomes the statement that no passage surely answers, with the nearest ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pagoda.chat.model import Message
from pagoda.language import language_of
from pagoda.rag.answer import Answer, Citation
from pagoda.rag.answerer import GroundedQuestion
from pagoda.rag.documents.document import SECTION_SEPARATOR
from pagoda.rag.extractive.showing.governors import governs
from pagoda.rag.extractive.showing.readable import readable
from pagoda.rag.followup import joined, piece_of
from pagoda.rag.words import words_in

if TYPE_CHECKING:
    from pagoda.rag.documents.document import Hit
    from pagoda.rag.extractive.extraction import Extraction, Place
    from pagoda.rag.extractive.extractor import ExtractiveAnswerer

NAME = "extractive"
NUM_NEAREST = 3
"""Places that are named where nothing is shown."""


class QuotingAnswerer:
    """Quotes the words, sentence or passage that answers: an `Answerer`.

    answerer: does the work; None is the packaged one, loaded with the first question
    min_confidence: for that one, to be less sure than usual; see ExtractiveSettings
    """

    def __init__(self, answerer: ExtractiveAnswerer | None = None, *, min_confidence: float | None = None) -> None:
        self._answerer, self._min_confidence = answerer, min_confidence

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        """A follow-up question with the one before, where it leans on it."""
        return joined(question, history)

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        """An answer for each, in order, read in another thread: the reader's network would hold up the loop."""
        return await asyncio.to_thread(self._quoted, questions)

    async def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        """The quotation in one piece, then the Answer."""
        (answer,) = await self.answer_batch([question])
        yield answer.text
        yield answer

    def _quoted(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        began = time.perf_counter()
        answers = [self._one(question) for question in questions]
        times = {"answer": time.perf_counter() - began}
        return [replace(answer, timings=times) for answer in answers]

    def _one(self, question: GroundedQuestion) -> Answer:
        asked = question.alone or question.text
        focus = piece_of(question.text) if question.history else ""
        hits = [*question.hits, *question.further]
        found = self._loaded().answer(asked, hits, question.beside, focus) if hits else None
        if found is None or found.abstained or not found.text:
            return _declined(question, hits, found.confidence if found else 0.0)
        citations = [_citation(n, place, hits) for n, place in enumerate(found.places, 1)]
        note = question.other_version(citations)
        texts = [_text(found, *shown) for shown in zip(found.places, citations, strict=True)]
        return Answer(
            question=question.text,
            text="\n\n".join([note, *texts] if note else texts),
            shown=found.kind,
            span=citations[0].marked_text,
            citations=tuple(citations),
            confidence=found.confidence,
            answerer=NAME,
        )

    def _loaded(self) -> ExtractiveAnswerer:
        if self._answerer is None:
            from pagoda.rag.extractive.extractor import ExtractiveAnswerer, ExtractiveSettings

            self._answerer = ExtractiveAnswerer(ExtractiveSettings(min_confidence=self._min_confidence))
        return self._answerer


def _declined(question: GroundedQuestion, hits: Sequence[Hit], confidence: float) -> Answer:
    """Nothing is shown. That the documents hold no answer is said where nothing of them was found alone: many an answer
    in other words than the question's is not known as one, so whoever asks is told where to look.
    """
    words = words_in(language_of(question.text))
    places = [(hit.chunk.source, hit.chunk.line_at(hit.chunk.start)) for hit in hits]
    nearest = [words.place.format(source=source, line=line) for source, line in dict.fromkeys(places)]
    told = words.nearest.format(places=words.between_places.join(nearest[:NUM_NEAREST]))
    return Answer(
        question=question.text,
        text=words.unsure if places else words.abstention,
        shown="nothing",
        abstained=True,
        confidence=confidence,
        notes=(told,) if places else (),
        answerer=NAME,
    )


def _text(found: Extraction, place: Place, citation: Citation) -> str:
    """What is shown, as a person reads it, with its citation: in a line of its own behind several lines.

    A heading that denies or limits what stands under it comes along, for the passage itself need not say so.
    """
    in_code = place.chunk.places.in_code(place.quote[0])
    told = readable(citation.marked_text) if found.kind == "span" else readable(citation.quote, in_code)
    heading = place.chunk.section.rpartition(SECTION_SEPARATOR)[2] or place.chunk.title
    if governs(heading) and heading not in told:
        told = f"{readable(heading)}\n\n{told}"
    return f"{told}\n[{citation.number}]" if "\n" in told else f"{told} [{citation.number}]"


def _citation(number: int, place: Place, hits: Sequence[Hit]) -> Citation:
    """The place that is shown, with what in it answers."""
    return Citation.of_span(number, place.chunk, *place.quote, hits[place.hit_index].score, place.marked)
