"""A held model: asked from plain threads, in one loop, and closed by its owner alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatAnswer, ChatParams, Message
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.errors import ChatModelError, ConfigError

ASK = [Message("user", "月亮 🦊?")]


class Watched(ScriptedChatModel):
    """Remembers the loop of each call, and how often it was closed."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(lambda messages: messages[-1].content)
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.num_closed = 0
        self._seconds = seconds

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(self._seconds)
        return await super().chat(messages, params)

    async def aclose(self) -> None:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(self._seconds)
        self.num_closed += 1


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    opened = LoopThread(instead="areply")
    yield opened
    opened.close()


def model_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pagoda-model"]


def test_many_threads_ask_in_one_loop_and_the_model_is_closed_in_it_too(loop: LoopThread) -> None:
    model = Watched()
    held = HeldModel(model, loop, owned=True)
    answers: list[str] = []
    asking = [threading.Thread(target=lambda: answers.append(held.chat(ASK).text)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    held.close()
    assert answers == [ASK[0].content] * 4
    assert (len(model.loops), len(set(model.loops)), model.num_closed) == (5, 1, 1)


@pytest.mark.parametrize("owned", [False, True])
def test_close_ends_the_thread_and_only_a_model_that_is_owned(loop: LoopThread, *, owned: bool) -> None:
    before = len(model_threads())
    held = HeldModel(model := Watched(), loop, owned)
    held.chat(ASK)
    assert len(model_threads()) == before + 1
    held.close()
    assert (model.num_closed, len(model_threads())) == (int(owned), before)


def test_a_model_that_takes_too_long_to_answer_or_to_close_is_left(loop: LoopThread) -> None:
    before = len(model_threads())
    held = HeldModel(Watched(seconds=60.0), loop, owned=True)
    with pytest.raises(ChatModelError, match="more than"):
        held.chat(ASK, timeout_s=0.02)
    with pytest.raises(ChatModelError, match="more than"):
        held.close(timeout_s=0.02)
    assert len(model_threads()) == before


def test_a_loop_that_was_given_goes_on_and_is_not_waited_for_within() -> None:
    async def main() -> Any:
        held = HeldModel(Watched(), LoopThread(asyncio.get_running_loop(), instead="areply"))
        with pytest.raises(ConfigError, match="use areply"):
            held.chat(ASK)
        answer = await asyncio.to_thread(held.chat, ASK)
        held.close()
        return answer.text, asyncio.get_running_loop().is_running()

    assert asyncio.run(main()) == (ASK[0].content, True)
