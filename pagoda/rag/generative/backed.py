"""A small model's sentence above the passages that a reader shows: its words where they hold, the document in any case.

On a question's path: question -> Hits -> reader's passages -> *prompt -> model -> checked sentence* -> Answer. A model
of less than two billion parameters loses its way among five sources, says something whether they answer or not, and
takes half a minute of a busy core to read them. So the reader, which is the extractive answerer, decides whether there
is an answer and which passages are shown; where one sentence of them is surely it, that is the answer, and no model is
asked. Else the model reads those passages and answers in a sentence, which stands above them with its citation if
they bear it, and is dropped if not. So what is shown is never less than the reader shows by itself. A larger model
reads all hits and is believed as far as the check goes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from pagoda.chat.model import Message
from pagoda.language import language_of
from pagoda.rag.answer import Answer, Citation
from pagoda.rag.answerer import Answerer, GroundedQuestion
from pagoda.rag.content_words import content
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.generative.answerer import GenerativeAnswerer
from pagoda.rag.splitting.sentences import sentence_spans
from pagoda.rag.words import words_in

_MARK = re.compile(r"\[(\d+)\]")
_BORNE = re.compile(r"\s?[^\s](?:(?! \[\d).)*(?: \[\d+\])+", re.DOTALL)
"""A sentence with what stands behind it."""
NEAR = 2 / 3
"""A passage that holds less of the question's words than so much of what another holds is shown, but not read: a small
model takes from it what is true of something else."""


class BackedAnswerer:
    """A model that is asked as its size allows: an `Answerer`.

    writer: asks the model; a large one gets all hits, and so does a small one that is to read them in parts
    reader: answers without a model; its answer is what a small model's is put upon
    """

    def __init__(self, writer: GenerativeAnswerer, reader: Answerer) -> None:
        self._writer, self._reader = writer, reader

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        """A follow-up question as a large model rewrites it, or by rule: a small one's rewriting loses more."""
        chosen = self._reader if await self._writer.is_small() else self._writer
        return await chosen.standalone(question, history)

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        """An answer for each, in order; one call of the model. Raises ChatModelError, PromptTooLongError."""
        if not await self._needs_backing():
            return await self._writer.answer_batch(questions)
        quoted = await self._reader.answer_batch(questions)
        asked = [_narrowed(*pair) for pair in zip(questions, quoted, strict=True) if pair[1].shown == "passage"]
        written = iter(await self._writer.answer_batch(asked))
        return [with_sentence(answer, next(written)) if answer.shown == "passage" else answer for answer in quoted]

    async def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        """A large model's words as they come; a small one's in one piece, for they are not believed before."""
        if await self._needs_backing():
            (answer,) = await self.answer_batch([question])
            yield answer.text
            yield answer
            return
        async with aclosing(self._writer.stream(question)) as items:
            async for item in items:
                yield item

    async def _needs_backing(self) -> bool:
        return not self._writer.settings.map_reduce and await self._writer.is_small()


def with_sentence(quoted: Answer, written: Answer) -> Answer:
    """The reader's passages with the model's sentences above them; as they were where nothing bears any.

    The passage that bears a sentence is marked where it does. timings: of both.
    """
    times = {**quoted.timings, **written.timings}
    if written.abstained:
        return replace(quoted, timings=times)
    numbers = {each.number: _holder(each, quoted.citations) for each in written.citations}
    places = {numbers[each.number]: each for each in reversed(written.citations)}
    citations = tuple(_marked(each, places.get(each.number)) for each in quoted.citations)
    told = _borne_part(written)
    told = _MARK.sub(lambda mark: f"[{numbers.get(int(mark[1]), mark[1])}]", told)
    return replace(
        quoted,
        text=f"{told}\n\n{quoted.text}",
        span=citations[0].marked_text,
        citations=citations,
        dropped=quoted.dropped + written.dropped,
        answerer=written.answerer,
        timings=times,
    )


def _borne_part(written: Answer) -> str:
    """What a model wrote, without the sentences that nothing bears, and none twice: small models go in circles."""
    text, mark = written.text, words_in(language_of(written.question)).unsupported_mark
    for sentence in written.unsupported:
        text = text.replace(sentence + mark, "")
    return "".join({piece.strip(): piece for piece in _BORNE.findall(text.strip())}.values()).strip()


def _narrowed(question: GroundedQuestion, quoted: Answer) -> GroundedQuestion:
    """The question with the passages that are shown in the place of its hits, the likeliest first."""
    alone = question.alone or question.text
    hits = [Hit(_chunk(each), float(-place)) for place, each in enumerate(quoted.citations)]
    shares = [_share(alone, hit.chunk) for hit in hits]
    near = [hit for hit, share in zip(hits, shares, strict=True) if share >= NEAR * max(shares)]
    return replace(question, text=alone, hits=near, further=(), history=())


def _share(question: str, chunk: Chunk) -> float:
    """Share of the question's words that a passage and what it stands under hold."""
    asked = content(question)
    return len(asked & content(f"{chunk.heading}{chunk.text}")) / max(1, len(asked))


def _chunk(citation: Citation) -> Chunk:
    start = citation.start
    sentences = tuple((start + left, start + right) for left, right in sentence_spans(citation.quote))
    name = f"{citation.source}:{start}"
    return Chunk(
        name,
        citation.source,
        citation.quote,
        start,
        citation.end,
        citation.line,
        citation.page,
        citation.title,
        sentences,
        section=citation.section,
    )


def _holder(place: Citation, passages: Sequence[Citation]) -> int:
    """The number of the passage that a place stands in."""
    return next(
        each.number
        for each in passages
        if each.source == place.source and each.start <= place.start and place.end <= each.end
    )


def _marked(passage: Citation, place: Citation | None) -> Citation:
    if place is None:
        return passage
    return replace(passage, marked=(place.start - passage.start, place.end - passage.start))
