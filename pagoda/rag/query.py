"""What is asked, as one record from whoever asks to the pipeline.

First station of a question's path: *RagQuery* -> Hits -> answerer -> Answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pagoda.chat.model import Message
from pagoda.errors import InvalidParameterError

Turn = Message | Mapping[str, Any]
"""One of a conversation, also as OpenAI's API spells it: {"role": ..., "content": ...}."""
Where = Mapping[str, Any]
"""What must be known of a chunk: field -> value, values or {operator: value}; see `retrieval.filters`."""
AnswererName = Literal["model", "guided", "extractive"]
"""A model that reads the sources, one that confirms what the extractive answerer finds, or that answerer alone."""


@dataclass(frozen=True)
class RagQuery:
    """One question with all that decides its answer.

    k: chunks to read; where: what their metadata must be; history: earlier turns, for a follow-up question
    answerer: who answers; None is the model where there is one
    """

    question: str
    k: int = 5
    where: Where | None = None
    history: Sequence[Message] = ()
    answerer: AnswererName | None = None

    @classmethod
    def of(
        cls,
        question: str,
        k: int,
        where: Where | None,
        history: Sequence[Turn] | None,
        answerer: AnswererName | None,
    ) -> Self:
        """With turns in either spelling. Raises InvalidParameterError."""
        return cls(question, k, where, tuple(_message(turn) for turn in history or ()), answerer)


def _message(turn: Turn) -> Message:
    """A turn as OpenAI's API spells it is one as well. Raises InvalidParameterError."""
    if isinstance(turn, Message):
        return turn
    if not isinstance(turn, Mapping) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
        raise InvalidParameterError(
            f"history holds {turn!r:.80}, expected turns like {{'role': 'user', 'content': '...'}}", param="history"
        )
    return Message(turn["role"], turn["content"])
