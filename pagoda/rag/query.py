"""What is asked, as one record from whoever asks to the pipeline.

First station of a question's path: *RagQuery* -> Hits -> answerer -> Answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pagoda.chat.model import Message

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
