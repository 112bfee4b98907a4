"""Answers that a reader finds and a model confirms: what a model of a billion parameters or less can do.

On a question's path: question -> Hits -> reader's quotation -> *model* -> Answer. A small model loses its way among
five sources and cites at random, but from one sentence it picks words that answer. So the reader, which is the
extractive answerer, chooses the passage and its sentence, and the model is asked with that one alone. Where its words
touch the reader's, it may complete them; and that the two agree is a reason to answer where the reader alone is not
sure that the passage holds an answer. What the reader shows by itself is shown in any case, and every answer is a
quotation, whatever the model says.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from pagoda.chat.model import ChatModel, ChatParams, Message
from pagoda.language import language_of
from pagoda.rag.answer import Answer
from pagoda.rag.answerer import Answerer, GroundedQuestion
from pagoda.rag.generative.deadline import in_time
from pagoda.rag.generative.neutralise import neutralised
from pagoda.rag.words import words_in

UNSURE = 0.2
"""Confidence of the reader below which nobody answers; from there to where it answers by itself, only both together."""
MAX_TOKENS = 48
_LEFT_OUT = 2
"""So many words of the quotation a model may leave out: an article, an `and`."""
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


class GuidedAnswerer:
    """Asks a model what a reader's quotation says: an `Answerer`.

    reader: answers where it is sure by itself, with the words that answer; its first citation quotes what stands around
    unsure: the same from UNSURE on, which needs the model's word
    deadline_s: of one call of the model, all its tries together
    """

    def __init__(self, model: ChatModel, reader: Answerer, unsure: Answerer, deadline_s: float = 120.0) -> None:
        self._model, self._reader, self._unsure, self._deadline_s = model, reader, unsure, deadline_s

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        """As the reader does it: a small model's rewriting of a question loses more than it gains."""
        return await self._reader.standalone(question, history)

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        """An answer for each, in order; one call of the model for all that the reader quotes. Raises ChatModelError."""
        began = time.perf_counter()
        own = await self._reader.answer_batch(questions)
        quoted = await self._second_look(questions, own)
        read = time.perf_counter()
        found = [pair for pair in zip(questions, quoted, strict=True) if not pair[1].abstained]
        said = iter(await self._said([brief_messages(question, answer) for question, answer in found]))
        times = {"read": read - began, "model": time.perf_counter() - read}
        answers = [
            alone if answer.abstained else self._worded(alone, answer, next(said))
            for alone, answer in zip(own, quoted, strict=True)
        ]
        return [replace(answer, timings=times) for answer in answers]

    async def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        """The words in one piece, for they are not believed before they are whole; then the Answer."""
        (answer,) = await self.answer_batch([question])
        yield answer.text
        yield answer

    async def _second_look(self, questions: Sequence[GroundedQuestion], own: Sequence[Answer]) -> list[Answer]:
        """What the reader quotes, and what it would quote where it declines."""
        declined = [question for question, answer in zip(questions, own, strict=True) if answer.abstained]
        again = iter(await self._unsure.answer_batch(declined) if declined else [])
        return [next(again) if answer.abstained else answer for answer in own]

    async def _said(self, conversations: Sequence[Sequence[Message]]) -> list[str]:
        if not conversations:
            return []
        asked = self._model.chat_batch(conversations, ChatParams(max_tokens=MAX_TOKENS))
        answers = await in_time(asked, self._model, self._deadline_s)
        return [answer.text for answer in answers]

    def _worded(self, own: Answer, quoted: Answer, said: str) -> Answer:
        """What both agree on; else what the reader shows by itself."""
        words = agreed(said, quoted.span, quoted.citations[0].quote)
        if words is None:
            return own
        # A sentence or passage is shown for what the words alone would not say: a condition, a denial.
        text = f"{words} [1]" if quoted.shown == "span" else quoted.text
        return replace(quoted, text=text, span=words, answerer=self._model.name)


def brief_messages(question: GroundedQuestion, answer: Answer) -> tuple[Message, ...]:
    """What the model is asked. It begins alike for all questions, so that the engine computes the beginning once."""
    words = words_in(language_of(question.text))
    citation = answer.citations[0]
    shown = [(quote, asked, Message("assistant", said)) for quote, asked, said in words.brief_examples]
    examples = [turn for quote, asked, said in shown for turn in (_ask(words.brief_ask, quote, asked), said)]
    asked = _ask(words.brief_ask, neutralised(citation.quote), neutralised(question.alone or question.text))
    return Message("system", words.brief), *examples, asked


def agreed(said: str, read: str, quote: str) -> str | None:
    """What reader and model found in a quotation, where the two places touch; else None.

    The model's words where they hold all of the reader's, which it then completes; it cuts off more than it should.

    >>> agreed("“Yellow River”.", "Yellow", "He crossed the Yellow River in winter.")
    'Yellow River'
    >>> agreed("1889", "in 1889", "The tower was built in 1889 by Eiffel.")
    'in 1889'
    >>> agreed("Eiffel", "in 1889", "The tower was built in 1889 by Eiffel.") is None
    True
    """
    of_reader = _places(read, quote)
    for left, right in _places(said, quote):
        for start, end in of_reader:
            if left <= start and end <= right:
                return quote[left:right]
            if left < end and start < right:
                return quote[start:end]
    return None


def _ask(ask: str, quote: str, question: str) -> Message:
    return Message("user", ask.format(quote=quote, question=question))


def _places(said: str, text: str) -> list[tuple[int, int]]:
    """Where the first line of what was said stands in a text, word by word: the shortest stretches that hold it all."""
    wanted = Counter(_WORD.findall(said.strip().partition("\n")[0].lower()))
    if not wanted:
        return []
    words = list(_WORD.finditer(text))
    lower = [word[0].lower() for word in words]
    for size in range(wanted.total(), wanted.total() + _LEFT_OUT + 1):
        found = [at for at in range(len(words) - size + 1) if wanted <= Counter(lower[at : at + size])]
        if found:
            return [(words[at].start(), words[at + size - 1].end()) for at in found]
    return []
