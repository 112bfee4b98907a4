"""A follow-up question made to stand alone, because retrieval does not know the conversation.

First station of a question's path: *question* -> Hits -> prompt -> model -> checked Answer. With a model it is
rewritten; without one, a question that leans on what was said (it, that, 它, 那) is joined with the one before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pagoda.chat.model import ChatModel, ChatParams, Message
from pagoda.rag.generative.neutralise import neutralised
from pagoda.rag.generative.support import content
from pagoda.rag.words import language_of, words_in

_LEANS = re.compile(
    r"\b(?:it|its|they|them|their|that|this|those|these|there|he|she|his|her|him|one|ones|same|else)\b"
    r"|^(?:and|or|but|what about|how about)\b|[它他她其]|这|那|呢[？?]?$|^(?:还有|另外|那么)",
    re.IGNORECASE,
)
_FEW_WORDS = 2
_MAX_CONDENSED_TOKENS = 96
_MAX_TURNS = 6


def joined(question: str, history: Sequence[Message]) -> str:
    """The question with the one before, where it leans on it.

    >>> joined("And on Sundays?", [Message("user", "When does the shop open?"), Message("assistant", "At 9.")])
    'When does the shop open? And on Sundays?'
    >>> joined("How much is a child seat?", [Message("user", "When does the shop open?")])
    'How much is a child seat?'
    """
    before = [turn.content for turn in history if turn.role == "user"]
    leans = bool(_LEANS.search(question)) or len(content(question)) <= _FEW_WORDS
    return f"{before[-1]} {question}" if before and leans else question


async def condensed(question: str, history: Sequence[Message], model: ChatModel) -> str:
    """The question as the model rewrites it; joined with the one before where it gives nothing of use."""
    words = words_in(language_of(question))
    turns = [f"{turn.role}: {neutralised(turn.content)}" for turn in history[-_MAX_TURNS:]]
    asked = "\n".join([words.conversation, *turns, "", words.question.format(question=neutralised(question))])
    messages = [Message("system", words.condense), Message("user", asked)]
    answer = await model.chat(messages, ChatParams(max_tokens=_MAX_CONDENSED_TOKENS))
    line = answer.text.strip().splitlines()[0].strip() if answer.text.strip() else ""
    # A rewriting that shares nothing with what was said is a small model's fancy.
    known = content(" ".join([question, *(turn.content for turn in history)]))
    shared = len(content(line) & known) / max(1, len(content(line)))
    return line if content(line) and shared >= 0.5 else joined(question, history)
