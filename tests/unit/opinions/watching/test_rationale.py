"""Reasons of a model are shown where their quotes stand in the text, and nowhere else."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagoda.chat.scripted import ScriptedChatModel
from pagoda.errors import ChatModelError
from pagoda.opinions.watching.rationale import checked, reasons

TEXT = "穗岚乳业 ３ 批次产品\n不合格，已召回。Shares fell 9%."


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_quote_that_is_kept_stands_in_the_text(quote: str, other: str) -> None:
    text = f"{other}{quote}{TEXT}"
    for reason in checked(text, [(quote, "why"), (other[::-1], "why")]):
        assert text[reason.start : reason.end] == reason.quote


def test_width_and_line_breaks_do_not_matter_and_letters_do() -> None:
    pairs = [("3 批次产品不合格", "a"), ("产品合格", "b"), ("shares fell", "c"), ("", "d"), ("Shares fell 9%", "e")]
    assert [(reason.quote, reason.why) for reason in checked(TEXT, pairs)] == [
        ("３ 批次产品\n不合格", "a"), ("Shares fell 9%", "e"),
    ]  # fmt: skip


def test_the_model_is_asked_in_the_texts_language_and_held_to_it() -> None:
    said = json.dumps({"reasons": [{"quote": "已召回", "why": "召回"}, {"quote": "已破产", "why": "编造"}]})
    model = ScriptedChatModel([said, "I cannot say"])
    found = asyncio.run(reasons(model, TEXT, "穗岚乳业", "negative", "zh"))
    assert [reason.quote for reason in found] == ["已召回"]
    assert "逐字引用" in model.conversations[0][0].content
    with pytest.raises(ChatModelError, match="no reasons"):
        asyncio.run(reasons(model, TEXT, "穗岚乳业", "negative", "en"))
