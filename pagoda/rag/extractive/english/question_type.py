"""What an English question asks for: the question word, and what stands around it.

On a question's path: *question* -> Hits -> candidate spans -> features -> ranker -> answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pagoda.rag.extractive.english.words import RANKER_STOP_WORDS
from pagoda.rag.extractive.spans import tokenize_spans

_QUESTION_WORD = re.compile(
    r"\b(?:how (?:many|much|long|old|far|often|large|big|tall|fast)|how|who|whom|whose|when|where|why|which|what)\b",
    re.I,
)


@dataclass(frozen=True)
class QuestionType:
    """kind: coarse class; fine: with the words at the question word; before, after: what stands around that word."""

    kind: str
    fine: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def question_type(question: str) -> QuestionType:
    """The type of a question.

    >>> question_type("What year did it end?").fine, question_type("Name the author.").kind
    ('what year', 'none')
    """
    match = _QUESTION_WORD.search(question)
    if match is None:
        return QuestionType("none", "none", (), ())
    before = tuple(token.text.lower() for token in tokenize_spans(question[: match.start()]))
    after = tuple(token.text.lower() for token in tokenize_spans(question[match.end() :]))
    head = next((word for word in after[:4] if word not in RANKER_STOP_WORDS), "")
    kind = match.group().lower()
    return QuestionType(kind, f"{kind} {head}".strip(), before, after)
