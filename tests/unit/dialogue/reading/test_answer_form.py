"""What a model may answer: nothing but JSON, nothing but what was said, and never more tokens than it is allowed."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from pagoda.dialogue.reading.answer_form import AnswerForm, answer_text
from pagoda.engine.sampling.structured import GrammarCompiler, GrammarMatcher, unpack_bitmask
from pagoda.errors import ChatModelError
from pagoda.llm import LLM
from pagoda.sampling_params import StructuredOutputsParams

INTENTS = {"find_hotel": ("price", "location"), "greet": ()}
TEXTS = [
    "a cheap bed in Luming",
    "鹿鸣便宜的酒店，两位",
    'say "yes"\n\\ now',
    "𝕏 café 5€",
    "the same the same",
    "?" * 400,
]


def test_an_answer_is_read_with_the_places_of_its_values() -> None:
    form = AnswerForm("a cheap bed in Luming", INTENTS)
    answer = answer_text("find_hotel", {"price": "cheap", "location": "Luming"})
    assert form.read(answer) == ("find_hotel", {"price": (2, 7), "location": (15, 21)})


@pytest.mark.parametrize("answer", ["{", "[]", "{}", '{"greet":{"price":"bed"}}', '{"find_hotel":{"price":"heap"}}'])
def test_what_was_not_said_is_no_answer(answer: str) -> None:
    with pytest.raises(ChatModelError, match="the model's answer"):
        AnswerForm("a cheap bed in Luming", INTENTS).read(answer)


@pytest.mark.parametrize("text", TEXTS)
def test_whatever_is_drawn_is_an_answer_before_the_tokens_end(text: str, llm: LLM) -> None:
    """Tokens drawn at random, as the weakest model would: a grammar that leaves room to go on for ever shows here."""
    form, tokenizer = AnswerForm(text, INTENTS), llm.get_tokenizer()
    compiled = GrammarCompiler(tokenizer).compile(StructuredOutputsParams(json=form.schema, whitespace_pattern="[ ]?"))
    draw = random.Random(0)
    for _ in range(5):
        form.read(_drawn(compiled.copy(), tokenizer, form.max_tokens, draw))


def _drawn(matcher: GrammarMatcher, tokenizer: Any, max_tokens: int, draw: random.Random) -> str:
    drawn: list[int] = []
    for _ in range(max_tokens):
        allowed = unpack_bitmask(matcher.bitmask(), tokenizer.num_tokens).nonzero()[0].tolist()
        token = draw.choice(allowed)
        if token == tokenizer.eos_token_id:
            break
        drawn.append(token)
        matcher.advance(token)
    return b"".join(map(tokenizer.token_bytes, drawn)).decode()


def test_a_long_sentence_is_offered_in_short_stretches() -> None:
    form = AnswerForm(" ".join(f"w{number}" for number in range(1000)), INTENTS)
    assert len(form.schema["$defs"]["words"]["enum"]) < 3001
    assert json.loads(json.dumps(form.schema)) == form.schema
