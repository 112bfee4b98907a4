"""A document's text to sentences, and sentences to chunks that an embedder can read whole.

Second station of a document's path: file -> Document -> *Chunks* -> index -> Hits -> answer. A chunk ends where a
sentence ends, is measured in the embedder's tokens (MiniLM drops what is beyond its window without a word), and keeps
its place in the document, so that a citation can be shown there. Sentence ends follow Unicode UAX #29 in spirit:
Chinese ones need no space behind them, a full stop behind an abbreviation or between digits ends nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk, Document

Span = tuple[int, int]

_CLOSERS = "”’」』）】》〉〕\"')]}»*_"
_HAN = r"\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
# Ends that stand by themselves; Western marks that need a space, a closed quotation or Chinese text behind them.
_END = re.compile(
    rf"[。！？；｡]+[{re.escape(_CLOSERS)}]*|…+[{re.escape(_CLOSERS)}]*(?=\s|[{_HAN}]|$)"
    rf"|[.!?]+[{re.escape(_CLOSERS)}]*(?:\[\d+\])*(?=\s|$|[{_HAN}])"
)
_NEVER_LAST = """
mr mrs ms dr prof st gen col lt sgt capt cmdr adm maj rep sen gov pres rev hon vs eg e.g ie i.e cf vol fig figs eq eqs
dept univ assn bros mt ft ave blvd rd approx ca circa est pp ed eds nos ch sec ref refs jan feb mar apr jun jul aug sep
sept oct nov dec mon tue wed thu fri sat sun viz op cit u.s u.k u.n
"""
_ABBREVIATIONS = frozenset(_NEVER_LAST.split())
# These end a sentence as often as not; the next word's first letter tells.
_SOMETIMES_LAST = frozenset(("inc", "ltd", "co", "corp", "jr", "sr", "al", "etc", "a.m", "p.m"))
_LAST_WORD = re.compile(r"[^\W_](?:[\w.&'-]*[^\W_])?$")
_NEXT_WORD = re.compile(r"\s*[“\"'‘(\[]*(\w)")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•·‣▪]\s|\d{1,3}[.)]\s|[a-z]\)\s|[（(]?[一二三四五六七八九十\d]{1,3}[）、])")
_HEADING = re.compile(r"[ \t]*(?:#{1,6}\s|第[一二三四五六七八九十百零\d]{1,5}[章节節条條编編部])")
_TABLE_ROW = re.compile(r"[ \t]*\||[^|\n]*\s\|\s")
_CHARACTERS_PER_TOKEN = 16
# A line that was broken by its writer's right margin is at least so wide; Han characters count twice.
_WRAP_WIDTH = 50
_CLAUSE_END = re.compile(rf"[，、,;:：；—]+[{re.escape(_CLOSERS)}]*\s*|\s+")


def sentence_spans(text: str) -> list[Span]:
    """(start, end) of each sentence, in order, without the blanks around it; everything else is in one of them.

    >>> text = "你好。再见！Dr. No is 3.5 m tall. Really?"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['你好。', '再见！', 'Dr. No is 3.5 m tall.', 'Really?']
    """
    return [span for start, end in _blocks(text) for span in _sentences_of(text, start, end)]


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
    version: int = 2

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise ConfigError(f"max_tokens is {self.max_tokens}, expected at least 8: a chunk holds a sentence")
        if self.overlap_sentences < 0:
            raise ConfigError(f"overlap_sentences is {self.overlap_sentences}, expected 0 or more")

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of a document, in order; each non-blank character is in one at least. [] for a blank text."""
        sentences = self._measured_sentences(document.text)
        lines = _LineCounter(document)
        return [_chunk(document, group, lines.line_at(group[0].start)) for group in self._groups(document, sentences)]

    def _measured_sentences(self, text: str) -> list[_Sentence]:
        """Counted in one call: asking a tokenizer costs more than its answer."""
        found = [
            (span, number == 0 and _HEADING.match(text, start, end) is not None)
            for start, end in _blocks(text)
            for number, span in enumerate(_sentences_of(text, start, end))
        ]
        counts = self.num_tokens_batch([text[start:end] for (start, end), _ in found])
        measured: list[_Sentence] = []
        for ((start, end), opens_section), count in zip(found, counts, strict=True):
            if count <= self.max_tokens and end - start <= self._max_characters:
                measured.append(_Sentence(start, end, count, opens_section))
                continue
            pieces = list(self._fitting(text, start, end))
            for number, (piece, size) in enumerate(zip(pieces, self._counts(text, pieces), strict=True)):
                measured.append(_Sentence(*piece, size, opens_section and number == 0))
        return measured

    def _fitting(self, text: str, start: int, end: int) -> Iterator[Span]:
        """A sentence, or where it is too long its clauses, joined as far as they fit."""
        while not self._holds(text, start, end):
            middle = self._longest_fit(text, start, end)
            yield start, _rstripped(text, start, middle)
            start = _lstripped(text, middle, end)
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
        is_only_heading = all(entry.opens_section for entry in group)
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


@dataclass(frozen=True)
class _Sentence:
    start: int
    end: int
    num_tokens: int
    opens_section: bool


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


def _chunk(document: Document, group: list[_Sentence], line: int) -> Chunk:
    start, end = group[0].start, group[-1].end
    text = document.text[start:end]
    identity = "\0".join((document.source, str(start), document.title, text))
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
        sentences=tuple((entry.start, entry.end) for entry in group),
        metadata=dict(document.metadata),
        places=document.places.within(start, end),
    )


def _blocks(text: str) -> Iterator[Span]:
    """Stretches that no sentence crosses: paragraphs, headings, list items, rows of a table."""
    start = offset = 0
    previous = ""
    for line in text.splitlines(keepends=True):
        if start < offset and _starts_block(previous, line):
            yield start, offset
            start = offset
        offset += len(line)
        previous = line
    if start < offset:
        yield start, offset


def _starts_block(previous: str, line: str) -> bool:
    """Whether a line begins something new, or goes on where the right margin broke the line before it."""
    if not line.strip() or not previous.strip():
        return True
    if any(pattern.match(line) for pattern in (_LIST_ITEM, _HEADING, _TABLE_ROW)):
        return True
    if _HEADING.match(previous) or _TABLE_ROW.match(previous):
        return True
    return _width(previous.strip()) < _WRAP_WIDTH and not line.lstrip()[:1].islower()


def _width(line: str) -> int:
    return len(line) + sum(character >= "\u2e80" for character in line)


def _sentences_of(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentences of one block."""
    first = _lstripped(text, start, end)
    for match in _END.finditer(text, first, end):
        last = match.end()
        if match.start() < first or not _ends_sentence(text, match, first, end):
            continue
        yield first, last
        first = _lstripped(text, last, end)
    if first < end and (last := _rstripped(text, first, end)) > first:
        yield first, last


def _ends_sentence(text: str, match: re.Match[str], first: int, end: int) -> bool:
    """Whether a mark ends the sentence that began at `first`."""
    if not match[0].startswith(".") or match[0].startswith(".."):
        return match[0][0] not in ".!?…" or _next_is_capital(text, match.end(), end)
    word_match = _LAST_WORD.search(text, max(first, match.start() - 24), match.start())
    word = word_match[0].lower() if word_match else ""
    following = _NEXT_WORD.match(text, match.end(), end)
    if following is None:
        return True
    if word == "no":
        return not following[1].isdigit()
    if word in _SOMETIMES_LAST:
        return following[1].isupper()
    # "1." at the beginning is the number of a list's item, "J." the initial of a name.
    is_number_of_item = word.isdigit() and match.start() - first <= 3
    is_initial = word_match is not None and re.fullmatch(r"[A-HJ-Z]", word_match[0]) is not None
    if word in _ABBREVIATIONS or is_number_of_item or is_initial:
        return False
    return not following[1].islower()


def _next_is_capital(text: str, offset: int, end: int) -> bool:
    following = _NEXT_WORD.match(text, offset, end)
    return following is None or not following[1].islower()


def _lstripped(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def _rstripped(text: str, start: int, end: int) -> int:
    while start < end and text[end - 1].isspace():
        end -= 1
    return end
