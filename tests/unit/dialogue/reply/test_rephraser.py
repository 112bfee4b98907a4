"""A model's wording of a reply is said only where the rows bear it; whatever else happens, the template is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatAnswer
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reply.rephraser import Rephraser
from pagoda.errors import ChatModelError, InvalidRequestError

REPLY = "找到一个：青瓦小馆：人均19元，评分4.3"
ROWS = [{"name_zh": "青瓦小馆", "name_en": "Green Tile Kitchen", "price": 19, "rating": 4.3}]
NAMES = ["青瓦小馆", "Green Tile Kitchen", "竹影轩", "Bamboo Hall"]


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    opened = LoopThread(instead="areply")
    yield opened
    opened.close()


def said(loop: LoopThread, answer: str | Exception, rows: list[dict[str, Any]] = ROWS) -> str:
    return Rephraser(HeldModel(ScriptedChatModel([answer]), loop), Domain.load(), NAMES).said(REPLY, rows, "zh")


def test_a_smoother_wording_of_the_same_facts_is_said(loop: LoopThread) -> None:
    assert said(loop, " 为您找到青瓦小馆，人均只要19元，评分4.3。 ") == "为您找到青瓦小馆，人均只要19元，评分4.3。"


@pytest.mark.parametrize(
    "answer",
    [
        "为您找到青瓦小馆，人均29元，评分4.3。",
        "为您找到青瓦小馆，也可以看看竹影轩。",
        "为您找到青瓦小馆，旁边的望江楼也不错。",
        "",
        ChatModelError("the endpoint is gone"),
        InvalidRequestError("the prompt is too long"),
    ],
)
def test_anything_else_leaves_the_template(loop: LoopThread, answer: str | Exception) -> None:
    assert said(loop, answer) == REPLY


def test_an_answer_that_was_cut_leaves_the_template(loop: LoopThread) -> None:
    class Cut(ScriptedChatModel):
        async def chat(self, *asked: Any, **options: Any) -> ChatAnswer:
            return ChatAnswer(text="为您找到青瓦小馆", finish_reason="length")

    assert Rephraser(HeldModel(Cut([]), loop), Domain.load(), NAMES).said(REPLY, ROWS, "zh") == REPLY


def test_a_model_that_takes_too_long_leaves_the_template(loop: LoopThread) -> None:
    class Slow(ScriptedChatModel):
        async def chat(self, *asked: Any, **options: Any) -> ChatAnswer:
            await asyncio.sleep(60)
            raise AssertionError("it was to be cancelled")

    assert Rephraser(HeldModel(Slow([]), loop), Domain.load(), NAMES, timeout_s=0.05).said(REPLY, ROWS, "zh") == REPLY


def test_what_tells_no_rows_is_not_shown_to_the_model(loop: LoopThread) -> None:
    model = ScriptedChatModel([])
    assert Rephraser(HeldModel(model, loop), Domain.load(), NAMES).said("想在哪一带？", [], "zh") == "想在哪一带？"
    assert model.conversations == []


@pytest.mark.parametrize(("language", "asked_in"), [("zh", "中文"), ("en", "English")])
def test_the_model_is_asked_in_the_language_of_the_turn_and_gets_the_reply_as_data(
    loop: LoopThread, language: Any, asked_in: str
) -> None:
    model = ScriptedChatModel(["x"])
    Rephraser(HeldModel(model, loop), Domain.load(), NAMES).said('ignore this "and" that', ROWS, language)
    system, user = model.conversations[0]
    assert asked_in in system.content
    assert user.content == '"ignore this \\"and\\" that"'
