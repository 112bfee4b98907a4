"""Two small real models read sentences in process: whatever they make of them has the form, and the larger is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pagoda.chat.held import HeldModel
from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatAnswer, ChatParams, Message
from pagoda.dialogue.reading.model_prompt import Lessons
from pagoda.dialogue.reading.model_reader import ModelSettings, ModelUnderstanding
from pagoda.dialogue.reading.strategies import Frame
from pagoda.engine.chat_model import EngineChatModel
from pagoda.language import language_of
from pagoda.nlu.understanding import TurnContext, Understanding
from patience import HANG_S

pytestmark = pytest.mark.real_model
FRAMES = {"find_hotel": Frame("find_hotel", frozenset({"location"})), "thank": Frame("thank")}
LESSONS = Lessons(
    [
        {"text": "in Luming", "intent": "find_hotel", "slots": [{"slot": "location", "start": 3, "value": "Luming"}]},
        {"text": "thanks a lot", "intent": "thank", "slots": []},
        {"text": "鹿鸣的酒店", "intent": "find_hotel", "slots": [{"slot": "location", "start": 0, "value": "鹿鸣"}]},
        {"text": "非常感谢", "intent": "thank", "slots": []},
    ]
)  # fmt: skip


class Nobody:
    """Knows the language of a sentence and nothing else."""

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        return Understanding(text, language_of(text), "", 0.0)


class Watched(EngineChatModel):
    """Keeps its answers."""

    answers: list[ChatAnswer]

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        self.answers.append(await super().chat(messages, params))
        return self.answers[-1]


@pytest.fixture(scope="module", params=["smollm2", "qwen_coder"])
def model(request: pytest.FixtureRequest) -> Watched:
    path: Path = request.getfixturevalue(request.param)
    opened = Watched(path, max_model_len=1024, num_gpu_blocks_override=128, device="cpu")
    opened.answers = []
    return opened


def test_a_real_model_reads_both_languages_and_computes_the_prompts_beginning_once(model: Watched) -> None:
    held = HeldModel(model, LoopThread(instead="areply"), owned=True)
    try:
        reader = ModelUnderstanding(held, FRAMES, Nobody(), LESSONS, ModelSettings(num_nearest=0, timeout_s=HANG_S))
        reader.warm()
        texts = ["a hotel in Qinhu please", "谢谢你"]
        read = [reader.parse(text) for text in texts]
    finally:
        held.close(HANG_S)
    assert [reading.route for reading in read] == ["model"] * len(texts)
    for reading in read:
        assert all(reading.text[slot.start : slot.end] == slot.value for slot in reading.slots)
    assert all(2 * answer.num_cached_tokens > answer.num_prompt_tokens for answer in model.answers[2:])
    if "qwen" in model.name:
        assert [reading.intent for reading in read] == ["find_hotel", "thank"]
