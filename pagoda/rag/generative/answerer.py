"""Answers in a model's words: prompt, one call, check.

On a question's path: question -> Hits -> *prompt -> model -> checked Answer*. Knows a model by the seam `chat.model`
alone. All of it is async and belongs to the loop that the model belongs to; many questions are one call of the model.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from pagoda.chat.model import ChatAnswer, ChatModel, ChatParams, Message
from pagoda.errors import ConfigError, PromptTooLongError
from pagoda.language import language_of
from pagoda.rag.answer import Answer
from pagoda.rag.answerer import GroundedQuestion
from pagoda.rag.generative.citations import checked, is_abstention
from pagoda.rag.generative.condensing import condensed
from pagoda.rag.generative.deadline import in_time
from pagoda.rag.generative.prompt import (
    PackedPrompt,
    PromptPlan,
    build_prompt,
    merged,
    note_messages,
    partitioned,
    reduce_messages,
)
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.support import SupportCheck
from pagoda.rag.splitting.sentences import sentence_spans
from pagoda.rag.words import words_in

T = TypeVar("T")
_MARKS = re.compile(r"(?:\s*\[\d+\])*")
SMALL = 2_000_000_000
"""Parameters below which a model is asked in plain words, and for no more than a few sentences."""
SMALL_ANSWER_TOKENS = 96


@dataclass(frozen=True, kw_only=True)
class GenerativeSettings:
    """How a model is asked. Raises ConfigError.

    max_answer_tokens: of the answer; less where the model or its context is small
    max_prompt_tokens: of the prompt, where that is to be less than the context leaves
    map_reduce: where sources do not fit together, read them in parts instead of dropping the weakest
    marks: whether the model marks each sentence with its source; None is for models of two billion parameters or more,
        and for those that do not say how many they have
    deadline_s: of one call of the model, all its tries together
    """

    max_answer_tokens: int = 512
    max_prompt_tokens: int | None = None
    map_reduce: bool = False
    marks: bool | None = None
    deadline_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("max_answer_tokens", "max_prompt_tokens", "deadline_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} is {value}, but more than 0 is expected")


class GenerativeAnswerer:
    """Asks a model about hits and checks what it says: an `Answerer`."""

    def __init__(self, model: ChatModel, check: SupportCheck, settings: GenerativeSettings | None = None) -> None:
        self.model = model
        self._check = check
        self.settings = settings or GenerativeSettings()

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        """A follow-up question as the model rewrites it. Raises ChatModelError."""
        return await condensed(question, history, self.model) if history else question

    async def is_small(self) -> bool:
        """Whether the model has fewer than SMALL parameters; one that does not say has not. Raises ChatModelError."""
        size = await self._in_time(self.model.num_parameters())
        return size is not None and size < SMALL

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        """An answer for each, in order, from one call of the model. Raises ChatModelError, PromptTooLongError."""
        began = time.perf_counter()
        params = await self._params()
        prompts = [await self._prompt(question, params) for question in questions]
        packed = time.perf_counter()
        asked = [(question, prompt) for question, prompt in zip(questions, prompts, strict=True) if question.hits]
        texts = await self._ask([prompt.messages for _, prompt in asked], params)
        said = iter(texts)
        replied = time.perf_counter()
        answers = [
            self._checked(question, prompt, next(said) if question.hits else None, params)
            for question, prompt in zip(questions, prompts, strict=True)
        ]
        times = {"prompt": packed - began, "model": replied - packed, "check": time.perf_counter() - replied}
        return [replace(answer, timings=times) for answer in answers]

    async def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        """The model's words as they come, then the checked Answer, whose text counts."""
        began = time.perf_counter()
        params = await self._params()
        prompt = await self._prompt(question, params)
        packed, pieces = time.perf_counter(), list[str]()
        if question.hits:
            async with aclosing(self._pieces(prompt.messages, params)) as growing:
                async for piece in growing:
                    pieces.append(piece)
                    yield piece
        replied = time.perf_counter()
        said = ChatAnswer(text="".join(pieces)) if question.hits else None
        answer = self._checked(question, prompt, said, params)
        times = {"prompt": packed - began, "model": replied - packed, "check": time.perf_counter() - replied}
        yield replace(answer, timings=times)

    async def _params(self) -> ChatParams:
        """Greedy, so that the same question gets the same answer; a small context leaves a quarter to the answer."""
        context = await self._in_time(self.model.max_context_tokens())
        wanted = self.settings.max_answer_tokens
        if await self.is_small():
            wanted = min(wanted, SMALL_ANSWER_TOKENS)
        return ChatParams(max_tokens=wanted if context is None else max(1, min(wanted, context // 4)))

    async def _marks(self) -> bool:
        """Whether to ask for marks."""
        return not await self.is_small() if self.settings.marks is None else self.settings.marks

    async def _plan(self, question: GroundedQuestion, params: ChatParams) -> PromptPlan:
        context = await self.model.max_context_tokens()
        limits = [self.settings.max_prompt_tokens, None if context is None else context - params.max_tokens]
        budget = min((limit for limit in limits if limit is not None), default=None)
        marks = await self._marks()
        count = self.model.count_tokens
        return PromptPlan(question.text, language_of(question.text), count, budget, question.history, marks)

    async def _prompt(self, question: GroundedQuestion, params: ChatParams) -> PackedPrompt:
        plan = await self._plan(question, params)
        if not question.hits:
            return PackedPrompt((), (), plan.language)
        if self.settings.map_reduce:
            parts = await partitioned(plan, merged(question.hits))
            if len(parts) > 1:
                return await self._mapped(plan, parts, params)
        return await build_prompt(plan, question.hits)

    async def _mapped(self, plan: PromptPlan, parts: Sequence[Sequence[Source]], params: ChatParams) -> PackedPrompt:
        """Notes of each part, then the prompt that makes one answer of them."""
        answers = await self._ask([note_messages(plan, part) for part in parts], params)
        notes = [answer.text for answer in answers if not is_abstention(answer.text)]
        sources = tuple(source for part in parts for source in part)
        told = plan.words.in_parts.format(count=len(sources), parts=len(parts))
        messages = reduce_messages(plan, notes)
        while len(notes) > 1 and not await plan.fits(messages):
            notes.pop()
            messages = reduce_messages(plan, notes)
        if not await plan.fits(messages):
            raise PromptTooLongError(f"the notes on the sources do not fit into {plan.budget} tokens: ask for fewer")
        return PackedPrompt(messages, sources, plan.language, (told,))

    async def _ask(self, conversations: Sequence[Sequence[Message]], params: ChatParams) -> list[ChatAnswer]:
        return await self._in_time(self.model.chat_batch(conversations, params)) if conversations else []

    async def _pieces(self, messages: Sequence[Message], params: ChatParams) -> AsyncGenerator[str]:
        """The model's stream, whose first piece must come within the deadline, and each further one, too."""
        stream = self.model.stream(messages, params)
        try:
            while (piece := await self._in_time(_next(stream))) is not None:
                yield piece
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def _in_time(self, work: Awaitable[T]) -> T:
        return await in_time(work, self.model, self.settings.deadline_s)

    def _checked(
        self, question: GroundedQuestion, prompt: PackedPrompt, said: ChatAnswer | None, params: ChatParams
    ) -> Answer:
        words = words_in(prompt.language)
        if said is None:
            return Answer(
                question=question.text,
                text=words.abstention,
                shown="nothing",
                abstained=True,
                answerer=self.model.name,
            )
        is_cut = said.finish_reason == "length"
        result = checked(_whole_sentences(said.text) if is_cut else said.text, question.text, prompt, self._check)
        cut = (words.cut_answer.format(tokens=params.max_tokens),) if is_cut else ()
        return Answer(
            question=question.text,
            text=result.text,
            shown="nothing" if result.abstained else "written",
            citations=result.citations,
            abstained=result.abstained,
            confidence=round(result.score, 4),
            unsupported=result.unsupported,
            dropped=prompt.dropped + cut,
            answerer=self.model.name,
        )


def _whole_sentences(text: str) -> str:
    """A text that was cut off, without its last sentence; all of it where there is no other.

    >>> _whole_sentences("It opens at 9.30. [1] On Sundays it"), _whole_sentences("Do, e.g. this:\\n1. Open the")
    ('It opens at 9.30. [1]', 'Do, e.g. this:')
    """
    ends = [end for _, end in sentence_spans(text)]
    if len(ends) < 2:
        return text
    marks = _MARKS.match(text, ends[-2])
    return text[: marks.end() if marks else ends[-2]]


async def _next(stream: AsyncIterator[str]) -> str | None:
    return await anext(stream, None)
