"""A document's sentences to chunks that an embedder can read whole.

Second station of a document's path: file -> Document -> sentences -> *Chunks* -> index -> Hits -> answer. A chunk ends
where a sentence ends, is measured in the embedder's tokens (MiniLM drops what is beyond its window without a word),
stands in one section, and keeps its place in the document, so that a citation can be shown there.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk, Document
from pagoda.rag.splitting.blocks import Span, blocks, lstripped, rstripped
from pagoda.rag.splitting.sections import Sections
from pagoda.rag.splitting.sentences import CLOSERS, sentences_of

_CHARACTERS_PER_TOKEN = 16
_CLAUSE_END = re.compile(rf"[，、,;:：；—]+[{re.escape(CLOSERS)}]*\s*|\s+")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Splitter:
    """Cuts documents into chunks.

    num_tokens_batch: the embedder's own counts, of many texts at once; max_tokens: most of them in a chunk
    overlap_sentences: how many sentences a chunk takes over from the one before, where they take up at most a third of
        it, so that what refers to the sentence before can be understood
    Raises ConfigError for sizes that make no sense.
    """

    num_tokens_batch: Callable[[Sequence[str]], list[int]]
    max_tokens: int = 200
    overlap_sentences: int = 1
    version: int = 5

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise ConfigError(f"max_tokens is {self.max_tokens}, expected at least 8: a chunk holds a sentence")
        if self.overlap_sentences < 0:
            raise ConfigError(f"overlap_sentences is {self.overlap_sentences}, expected 0 or more")

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of a document, in order; each non-blank character is in one at least. [] for a blank text."""
        groups = self._groups(document, self._measured_sentences(document))
        lines, sections = _LineCounter(document), Sections(document)
        return [
            _chunk(document, group, lines.line_at(group[0].start), sections.path_at(_place(group, sections)))
            for group in groups
        ]

    def _measured_sentences(self, document: Document) -> list[_Sentence]:
        """Counted in one call: asking a tokenizer costs more than its answer."""
        text = document.text
        found: list[tuple[Span, _Edge]] = []
        is_edge = False
        for block in blocks(text, document.headings, document.listings):
            # Where a part of a section ends, a heading without words stands.
            is_edge = is_edge or (block.opens_section and block.start == block.end)
            for number, span in enumerate(sentences_of(text, block.start, block.end)):
                opens = number == 0 and block.opens_section
                found.append((span, "heading" if opens else "edge" if is_edge else ""))
                is_edge = False
        counts = self.num_tokens_batch([text[start:end] for (start, end), _ in found])
        measured: list[_Sentence] = []
        for ((start, end), edge), count in zip(found, counts, strict=True):
            if count <= self.max_tokens and end - start <= self._max_characters:
                measured.append(_Sentence(start, end, count, edge))
                continue
            pieces = list(self._fitting(text, start, end))
            for number, (piece, size) in enumerate(zip(pieces, self._counts(text, pieces), strict=True)):
                measured.append(_Sentence(*piece, size, edge if number == 0 else ""))
        return measured

    def _fitting(self, text: str, start: int, end: int) -> Iterator[Span]:
        """A sentence, or where it is too long its clauses, joined as far as they fit."""
        while not self._holds(text, start, end):
            middle = self._longest_fit(text, start, end)
            yield start, rstripped(text, start, middle)
            start = lstripped(text, middle, end)
        if start < end:
            yield start, end

    def _longest_fit(self, text: str, start: int, end: int) -> int:
        """Where to cut: the last clause end that still fits; failing that, the last character that does."""
        window = text[start : min(end, start + self._max_characters)]
        cuts = [start + match.end() for match in _CLAUSE_END.finditer(window) if match.end() < end - start]
        for candidates in (cuts, range(start + 1, start + len(window))):
            fits = bisect_left(candidates, True, key=lambda cut: not self._holds(text, start, cut))
            if fits > 0:
                return candidates[fits - 1]
        return start + 1

    def _groups(self, document: Document, sentences: list[_Sentence]) -> Iterator[list[_Sentence]]:
        """Sentences that make a chunk together: as many as fit, but a heading opens a new one."""
        group: list[_Sentence] = []
        num_old = 0
        for sentence in sentences:
            if len(group) > num_old and not self._may_join(document, group, sentence):
                yield group
                group = [] if sentence.opens_section else self._overlap(document, group, sentence)
                num_old = len(group)
            elif group and not self._fits(document, [*group, sentence]):
                group, num_old = [], 0
            group = [*group, sentence]
        if len(group) > num_old:
            yield group

    def _may_join(self, document: Document, group: list[_Sentence], sentence: _Sentence) -> bool:
        is_only_heading = all(entry.edge == "heading" for entry in group)
        return (is_only_heading or not sentence.opens_section) and self._fits(document, [*group, sentence])

    def _overlap(self, document: Document, group: list[_Sentence], sentence: _Sentence) -> list[_Sentence]:
        """The last sentences of a chunk, as far as they are short and leave room for the next."""
        kept = group[max(1, len(group) - self.overlap_sentences) :] if self.overlap_sentences else []
        while kept and (
            3 * sum(entry.num_tokens for entry in kept) > self.max_tokens or not self._fits(document, [*kept, sentence])
        ):
            kept = kept[1:]
        return kept

    def _fits(self, document: Document, group: list[_Sentence]) -> bool:
        """Counted anew where it may matter: a tokenizer can make more of two sentences than of each alone."""
        total = sum(entry.num_tokens for entry in group)
        start, end = group[0].start, group[-1].end
        gaps = [document.text[one.end : other.start] for one, other in itertools.pairwise(group)]
        # No token spans a blank, and a blank makes no more tokens than it has bytes.
        most = total + sum(len(gap.encode()) for gap in gaps)
        if total > (self.max_tokens if all(gaps) else 2 * self.max_tokens):
            return False
        if all(gaps) and most <= self.max_tokens:
            return end - start <= self._max_characters
        return self._holds(document.text, start, end)

    def _holds(self, text: str, start: int, end: int) -> bool:
        """Whether a chunk may be so long."""
        return end - start <= self._max_characters and self._counts(text, [(start, end)])[0] <= self.max_tokens

    def _counts(self, text: str, spans: Sequence[Span]) -> list[int]:
        return self.num_tokens_batch([text[start:end] for start, end in spans])

    @property
    def _max_characters(self) -> int:
        """Above what any prose has; some tokenizers make one unknown token of a blob of any length."""
        return _CHARACTERS_PER_TOKEN * self.max_tokens


_Edge = Literal["heading", "edge", ""]
"""What a sentence begins: a section, as its heading; what follows a part that has ended; nothing."""


@dataclass(frozen=True)
class _Sentence:
    start: int
    end: int
    num_tokens: int
    edge: _Edge

    @property
    def opens_section(self) -> bool:
        """Whether nothing before it belongs to it."""
        return bool(self.edge)


class _LineCounter:
    """Lines of growing offsets, each newline counted once; where the loader says the line, that one."""

    def __init__(self, document: Document) -> None:
        self._text, self._places = document.text, document.places
        self._offset = 0
        self._line = 1

    def line_at(self, offset: int) -> int:
        said = self._places.line_at(offset)
        if said is not None:
            return said
        if offset < self._offset:
            return self._line - self._text.count("\n", offset, self._offset)
        self._line += self._text.count("\n", self._offset, offset)
        self._offset = offset
        return self._line


def _place(group: Sequence[_Sentence], sections: Sections) -> int:
    """Where to ask for the headings above a chunk: the name of a part counts, where headings and it begin the chunk."""
    heads = itertools.takewhile(lambda sentence: sentence.edge == "heading", group)
    return next((head.start for head in heads if sections.is_label(head.start)), group[0].start)


def _chunk(document: Document, group: list[_Sentence], line: int, section: str) -> Chunk:
    start, end = group[0].start, group[-1].end
    text = document.text[start:end]
    identity = "\0".join((document.source, str(start), document.title, section, text))
    name = hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()[:32]
    return Chunk(
        chunk_id=name,
        source=document.source,
        text=text,
        start=start,
        end=end,
        line=line,
        page=document.page_at(start),
        title=document.title,
        section=section,
        # Rules and rows of dots have no meaning that could be found.
        sentences=tuple((e.start, e.end) for e in group if _WORD.search(document.text, e.start, e.end)),
        metadata=dict(document.metadata),
        places=document.places.within(start, end),
    )
