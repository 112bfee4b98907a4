"""A real model of half a billion parameters confirms what a reader quotes, and does not confirm what is beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from pagoda.chat.model import Message
from pagoda.engine.chat_model import EngineChatModel
from pagoda.rag.answer import Answer, Citation
from pagoda.rag.answerer import GroundedQuestion
from pagoda.rag.generative.guided import GuidedAnswerer

pytestmark = pytest.mark.real_model
TOWER = "The tower, built in 1889 for a fair, was designed by Gustave Eiffel."
FEES = "会员年费为 120 元，学生凭学生证减半。"
QUOTED = {
    "When was the tower built?": ("1889", TOWER),
    "Who designed the tower?": ("Eiffel", TOWER),
    "会员年费是多少？": ("120 元", FEES),
    "In which year was the tower built?": ("a fair", TOWER),
}
"""What the reader finds for each question, in which sentence. The last is wrong."""


class UnsureReader:
    """Quotes what is written above, and needs a second opinion on each."""

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        return question

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        return [self._answer(question.text, *QUOTED[question.text]) for question in questions]

    async def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        yield self._answer(question.text, *QUOTED[question.text])

    def _answer(self, question: str, words: str, quote: str) -> Answer:
        citation = Citation(1, "a.md", quote, 0, len(quote), 1)
        text = f"{words} [1]"
        return Answer(question=question, text=text, shown="span", span=words, citations=(citation,), confidence=0.3)


class DecliningReader(UnsureReader):
    """The same, by itself."""

    def _answer(self, question: str, words: str, quote: str) -> Answer:
        return Answer(question=question, text="", shown="nothing", abstained=True)


def test_a_real_model_confirms_completes_and_refuses(qwen_coder: Path) -> None:
    async def asked() -> list[Answer]:
        model = EngineChatModel(qwen_coder, max_model_len=512, num_gpu_blocks_override=128)
        try:
            guided = GuidedAnswerer(model, DecliningReader(), UnsureReader(), deadline_s=600.0)
            return await guided.answer_batch([GroundedQuestion(question, ()) for question in QUOTED])
        finally:
            await model.aclose()

    year, designer, fee, wrong = asyncio.run(asked())
    assert "1889" in year.text
    assert designer.text == "Gustave Eiffel [1]"
    assert "120 元" in fee.text
    assert wrong.abstained
