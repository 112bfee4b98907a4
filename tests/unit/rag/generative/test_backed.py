"""A small model's sentence above the reader's passages: where they bear it; and never less than the passages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from pagoda.chat.model import Message
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.rag.answer import Answer, Citation, Shown
from pagoda.rag.answerer import GroundedQuestion
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.generative.answerer import SMALL_ANSWER_TOKENS, GenerativeAnswerer, GenerativeSettings
from pagoda.rag.generative.backed import BackedAnswerer
from pagoda.rag.generative.support import SupportCheck

FIRST = "The shop lends bicycles. A child seat costs 10 euros a day."
SECOND = "Helmets are free. The deposit is 50 euros, and it is not paid back on Sundays."
SHOWN = f"{FIRST} [1]\n\n{SECOND} [2]"
QUESTION = "How much is the deposit?"
BOTH = "What is said of the child seat, the deposit and the helmets?"


class Reader:
    """Shows both passages, its words in the first; or what else it is told to show."""

    def __init__(self, shown: Shown = "passage") -> None:
        self.shown = shown

    async def standalone(self, question: str, history: Sequence[Message]) -> str:
        return f"by rule: {question}"

    async def answer_batch(self, questions: Sequence[GroundedQuestion]) -> list[Answer]:
        return [self._answer(question.text) for question in questions]

    async def stream(self, question: GroundedQuestion) -> AsyncGenerator[str | Answer]:
        yield self._answer(question.text)

    def _answer(self, question: str) -> Answer:
        if self.shown == "nothing":
            return Answer(question=question, text="", shown="nothing", abstained=True)
        citations = (
            Citation(1, "a.md", FIRST, 100, 100 + len(FIRST), 7, marked=(25, 34)),
            Citation(2, "b.md", SECOND, 30, 30 + len(SECOND), 3),
        )
        return Answer(
            question=question, text=SHOWN, shown=self.shown, span="A child s", citations=citations, confidence=0.6
        )


def backed(
    script: Sequence[str], shown: Shown = "passage", size: int | None = 500_000_000, **settings: bool
) -> tuple[BackedAnswerer, ScriptedChatModel]:
    model = ScriptedChatModel(list(script), num_parameters=size)
    writer = GenerativeAnswerer(model, SupportCheck(), GenerativeSettings(**settings))
    return BackedAnswerer(writer, Reader(shown)), model


def answer(script: Sequence[str], question: str = QUESTION, shown: Shown = "passage") -> Answer:
    (found,) = asyncio.run(backed(script, shown)[0].answer_batch([GroundedQuestion(question, ())]))
    return found


def test_a_sentence_that_a_passage_bears_stands_above_them_and_is_marked_there() -> None:
    found = answer(["The deposit is 50 euros."])
    # The source goes on with a denial, so that its own words are told.
    assert found.text == f"The deposit is 50 euros, and it is not paid back on Sundays. [2]\n\n{SHOWN}"
    assert found.citations[1].marked_text == "The deposit is 50 euros, and it is not paid back on Sundays."
    assert found.citations[0].marked_text == found.span == "A child s"
    assert (found.answerer, found.shown, found.confidence) == ("scripted", "passage", 0.6)


@pytest.mark.parametrize(
    "said",
    [
        "The deposit is 70 euros.",
        "How much is the deposit?",
        "The documents do not hold an answer to this.",
        "[1]",
        "HACKED",
        "",
    ],
)
def test_what_no_passage_bears_leaves_the_passages_as_they_were(said: str) -> None:
    found = answer([said])
    assert (found.text, found.answerer, found.abstained) == (SHOWN, "extractive", False)
    assert found.citations == Reader()._answer("").citations


def test_of_several_sentences_those_that_are_borne_are_kept_without_a_mark_for_the_others() -> None:
    said = "A child seat costs 10 euros a day. The mayor lives in Lyon. A child seat costs 10 euros a day."
    found = answer([said], BOTH)
    assert found.text == f"A child seat costs 10 euros a day. [1]\n\n{SHOWN}"
    assert found.span == "A child seat costs 10 euros a day."


def test_what_it_says_of_the_text_that_it_was_shown_is_left_out() -> None:
    assert answer(["According to the text, helmets are free."], BOTH).text == f"Helmets are free. [2]\n\n{SHOWN}"


@pytest.mark.parametrize("shown", ["span", "sentence", "nothing"])
def test_what_the_reader_is_sure_of_or_declines_is_not_sent_to_the_model(shown: Shown) -> None:
    assert answer([], shown=shown).answerer == "extractive"


def test_the_model_reads_the_passages_that_are_shown_and_nothing_else_and_is_kept_short() -> None:
    asking, model = backed(["The deposit is 50 euros."])
    other = Hit(Chunk("c", "c.md", "The deposit is 90 euros.", 0, 24, 1), 9.0)
    asyncio.run(asking.answer_batch([GroundedQuestion("And?", (other,), (Message("user", "Hi"),), BOTH)]))
    (asked,) = model.conversations
    assert FIRST in asked[-1].content
    assert asked[-1].content.index(FIRST) < asked[-1].content.index(SECOND)
    assert BOTH in asked[-1].content
    assert "90 euros" not in asked[-1].content
    assert model.params[0] is not None
    assert model.params[0].max_tokens == SMALL_ANSWER_TOKENS


def test_a_passage_that_speaks_less_of_the_question_is_shown_and_not_read() -> None:
    asking, model = backed(["A child seat costs 10 euros a day."])
    (found,) = asyncio.run(asking.answer_batch([GroundedQuestion(QUESTION, ())]))
    assert FIRST not in model.conversations[0][-1].content
    assert (found.text, found.answerer) == (SHOWN, "extractive")


def test_many_questions_are_one_call() -> None:
    asking, model = backed(["The deposit is 50 euros."] * 3)
    found = asyncio.run(asking.answer_batch([GroundedQuestion(QUESTION, ())] * 3))
    assert model.batches == [3]
    assert len({each.text for each in found}) == 1


def test_a_small_model_streams_in_one_piece_and_rewrites_no_question() -> None:
    async def collect() -> tuple[list[str | Answer], str]:
        asking, _ = backed(["Nothing of the kind. It is 70 euros."])
        items = [item async for item in asking.stream(GroundedQuestion(QUESTION, ()))]
        return items, await asking.standalone("And?", [Message("user", "Hi")])

    (piece, last), alone = asyncio.run(collect())
    assert isinstance(last, Answer)
    assert piece == last.text == SHOWN
    assert alone == "by rule: And?"


@pytest.mark.parametrize(("size", "map_reduce"), [(7_000_000_000, False), (None, False), (500_000_000, True)])
def test_a_large_model_and_one_that_reads_in_parts_get_all_hits(size: int | None, map_reduce: bool) -> None:
    hit = Hit(Chunk("c", "c.md", "The deposit is 90 euros.", 0, 24, 1, sentences=((0, 24),)), 9.0)

    async def ask() -> tuple[Answer, list[str | Answer]]:
        asking, _ = backed(["The deposit is 90 euros [1]."] * 2, size=size, map_reduce=map_reduce)
        question = GroundedQuestion(QUESTION, (hit,))
        return (await asking.answer_batch([question]))[0], [item async for item in asking.stream(question)]

    found, streamed = asyncio.run(ask())
    assert found.text == "The deposit is 90 euros. [1]"
    assert found.shown == "written"
    assert isinstance(streamed[-1], Answer)
    assert streamed[-1].text == found.text
