"""What a question gets: an answer with its sources, or the statement that the documents do not hold one.

Last station of a question's path. Every citation quotes its document to the letter, so that a reader can check it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Citation:
    """A place in a document that bears the answer.

    number: as the text refers to it, [1]; start, end: characters of the document; quote: what stands there
    """

    number: int
    source: str
    quote: str
    start: int
    end: int
    line: int
    page: int | None = None
    score: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one question.

    text: with [1], [2] where it leans on citations; citations: none where `abstained`
    confidence: 0 to 1, calibrated on development sets for the extractive answerer; of the retrieval otherwise
    unsupported: sentences of the text that no source bears, as the check of citations found
    dropped: what was not read, in words: it did not fit into the model's context, or gives orders to whoever answers
    timings: seconds by phase
    """

    question: str
    text: str
    citations: tuple[Citation, ...] = ()
    abstained: bool = False
    confidence: float = 0.0
    unsupported: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    answerer: str = "extractive"
    timings: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self)
