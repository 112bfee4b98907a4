"""What a question gets: an answer with its sources, or the statement that the documents do not hold one.

Last station of a question's path. Every citation quotes its document to the letter, so that a reader can check it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pagoda.rag.documents.document import Chunk, Metadata

_OF_ROWS = frozenset(("xlsx", "xlsm"))
Shown = Literal["span", "sentence", "passage", "written", "nothing"]
"""How an answer answers: words of a sentence, a sentence, a passage, a model's own words, or not at all."""


@dataclass(frozen=True)
class Citation:
    """A place in a document that bears the answer.

    number: as the text refers to it, [1]; start, end: characters of the document; quote: what stands there
    line, page: of the file, where the quote begins; last_page: where it ends, if that is another page
    marked_line, marked_page: where what is marked begins
    title, section, metadata: of the document and of the place in it
    marked: (start, end) in the quote, what of it answers; None where all of it does
    """

    number: int
    source: str
    quote: str
    start: int
    end: int
    line: int
    page: int | None = None
    score: float = 0.0
    last_page: int | None = None
    marked: tuple[int, int] | None = None
    title: str = ""
    section: str = ""
    metadata: Metadata = field(default_factory=dict)
    marked_line: int = 0
    marked_page: int | None = None

    @classmethod
    def of_span(
        cls, number: int, chunk: Chunk, start: int, end: int, score: float, marked: tuple[int, int] | None = None
    ) -> Citation:
        """Of characters that a chunk holds; `start`, `end` and `marked` count the document's."""
        page, last = chunk.page_at(start), chunk.page_at(max(start, end - 1))
        first = start if marked is None else marked[0]
        return cls(
            number=number,
            source=chunk.source,
            quote=chunk.text[start - chunk.start : end - chunk.start],
            start=start,
            end=end,
            line=chunk.line_at(start),
            page=page,
            score=score,
            last_page=None if last == page else last,
            title=chunk.title,
            section=chunk.section,
            metadata=dict(chunk.metadata),
            marked=None if marked is None else (marked[0] - start, marked[1] - start),
            marked_line=chunk.line_at(first),
            marked_page=chunk.page_at(first),
        )

    @property
    def pages(self) -> str:
        """As a person writes them: "3", or "3-4"; empty where the format has none."""
        return "-".join(str(page) for page in (self.page, self.last_page) if page is not None)

    @property
    def has_rows(self) -> bool:
        """Whether its lines are rows, and its pages sheets."""
        return self.metadata.get("format") in _OF_ROWS

    @property
    def marked_text(self) -> str:
        """The words of the quote that answer."""
        return self.quote if self.marked is None else self.quote[slice(*self.marked)]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one question.

    text: with [1], [2] where it leans on citations; citations: none where `abstained`
    shown: how much of the documents the text is; span: the words that answer, to the letter, as the first citation
        marks them, whatever is shown around them; empty where a model wrote the text
    confidence: 0 to 1, calibrated on development sets for the extractive answerer; of the retrieval otherwise
    unsupported: sentences of the text that no source bears, as the check of citations found
    dropped: what was not read, in words: it did not fit into the model's context, or gives orders to whoever answers
    notes: what a reader should know of the answer, in words: that it is of another version than the one asked about
    missing: where nothing is shown, words of the question that no document has
    timings: seconds by phase
    """

    question: str
    text: str
    citations: tuple[Citation, ...] = ()
    shown: Shown = "written"
    span: str = ""
    abstained: bool = False
    confidence: float = 0.0
    unsupported: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    answerer: str = "extractive"
    timings: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self)
