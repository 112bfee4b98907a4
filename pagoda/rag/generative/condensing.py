"""A follow-up question that a model rewrites so that it stands alone.

First station of a question's path: *question* -> Hits -> prompt -> model -> checked Answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from pagoda.chat.model import ChatModel, ChatParams, Message
from pagoda.language import language_of
from pagoda.rag.content_words import content
from pagoda.rag.followup import joined
from pagoda.rag.generative.neutralise import neutralised
from pagoda.rag.words import words_in

_MAX_CONDENSED_TOKENS = 96
_MAX_TURNS = 6


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
