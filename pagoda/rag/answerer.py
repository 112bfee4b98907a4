"""Who makes answers of what was found: the seam between retrieval and the two ways of answering.

On a question's path: question -> Hits -> *answerer* -> Answer. `extractive/answerer` quotes the documents,
`generative/answerer` asks a model; the pipeline knows neither from the other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pagoda.chat.model import Message
from pagoda.rag.answer import Answer, Citation
from pagoda.rag.documents.document import Chunk, Hit

LOOKED_THROUGH = 8
"""Hits that are found for a question that is to be answered, also where fewer are to be read by a model; and that
whoever quotes looks through (`extractive/extractor`).
"""


def _nothing(_: Chunk) -> tuple[None, None]:
    return None, None


def _no_words(_: str) -> tuple[()]:
    return ()


def _no_note(_: Sequence[Citation]) -> str:
    return ""


@dataclass(frozen=True)
class GroundedQuestion:
    """A question with the hits that its answer must rest on.

    history: earlier turns, for a model to understand it by; alone: the question as it can be understood without them
    left_out: what of the hits nobody may read, in words
    beside: the chunks before and after a hit's in its document, as far as anybody may read them
    nowhere: tells names and words of a question that no document has
    further: hits behind these, the best first, for whoever looks through more than it reads; see `LOOKED_THROUGH`
    other_version: tells in words that what is cited is of another version than the one asked about; else empty
    """

    text: str
    hits: Sequence[Hit]
    history: tuple[Message, ...] = ()
    alone: str = ""
    left_out: tuple[str, ...] = ()
    beside: Callable[[Chunk], tuple[Chunk | None, Chunk | None]] = _nothing
    nowhere: Callable[[str], tuple[str, ...]] = _no_words
    other_version: Callable[[Sequence[Citation]], str] = _no_note
    further: Sequence[Hit] = ()


class Answerer(Protocol):
    """Answers questions from their hits. All of it runs in one event loop, which no call may hold up."""

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        """The question as it can be understood without what was said before: what is looked for."""
        ...

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        """An answer for each, in order. Raises ChatModelError, PromptTooLongError."""
        ...

    def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        """Pieces of text as they come, at last the Answer, whose text counts."""
        ...
