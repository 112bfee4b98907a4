"""A follow-up question made to stand alone, because retrieval does not know the conversation.

First station of a question's path: *question* -> Hits -> answerer -> Answer. A question that leans on what was said
(it, that, 它, 那) is joined with the one before; a model does better (`generative/condensing`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pagoda.chat.model import Message
from pagoda.rag.content_words import content

_LEANS = re.compile(
    r"\b(?:it|its|they|them|their|that|this|those|these|there|he|she|his|her|him|one|ones|same|else)\b"
    r"|^(?:and|or|but|what about|how about)\b|[它他她其]|这|那|呢[？?]?$|^(?:还有|另外|那么)",
    re.IGNORECASE,
)
_FEW_WORDS = 2


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
