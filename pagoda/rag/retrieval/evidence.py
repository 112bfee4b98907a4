"""How much of a question's own words and names a chunk has: what tells apart the chunks of a manual that share some.

On a question's path: question -> words and vectors -> *the best of them looked at more closely* -> Hits -> answer. BM25
adds up words wherever in a chunk they stand. The chunk that answers mostly has them in one sentence, where its headings
and its path count as said, and it names what the question names: an option, a product, a version. Rare words are worth
more; what a question asks with is worth nothing. How much is met also tells later whether to answer at all. Papers:
Robertson et al. 2004, "Simple BM25 Extension to Multiple Weighted Fields"; Tao and Zhai 2007, "An Exploration of
Proximity Measures in Information Retrieval".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from pagoda.rag.content_words import names_of, plain_name
from pagoda.rag.documents.document import SECTION_SEPARATOR, Chunk
from pagoda.rag.retrieval.asked import asked_words
from pagoda.rag.retrieval.lexical import Bm25Index, tokenize

_KEPT_CHUNKS = 4096
_APART = re.compile(r"[/_.-]+")
_IS_KEY = re.compile(r"\d|^-|\w[_.]\w")
_FIRST = re.compile(r"[^\w\n]*(\w[\w.$@~/-]*)")
"""The first word of a line, behind what marks it as an item, a heading or code."""


@dataclass(frozen=True)
class Met:
    """Shares of what a question's words are worth: that a chunk holds, that one sentence does, that no chunk does.

    named: share of the question's names that the chunk has; 1 where it names nothing
    missing: what the dearest word is worth that the chunk lacks
    sourced: share of the words of its file's name that are the question's
    entered: 1 where it is the entry of a number or an identifier that is asked about: a line or a heading begins so
    """

    covered: float
    in_sentence: float
    unknown: float
    named: float
    missing: float
    sourced: float
    entered: float


@dataclass(frozen=True)
class _Looked:
    """Terms of a chunk: of each sentence with those of headings and path, of its file's name.

    first: what its lines and headings begin with; said: all that may name the chunk; both in small letters
    """

    sentences: tuple[frozenset[str], ...]
    file: frozenset[str]
    first: frozenset[str]
    said: str


class Evidence:
    """Looks at chunks of one snapshot, in its order. Never changes what it tells; threads may share it."""

    def __init__(self, chunks: Sequence[Chunk], bm25: Bm25Index) -> None:
        self._chunks, self._bm25 = chunks, bm25
        self._looked_at = lru_cache(maxsize=_KEPT_CHUNKS)(self._look_at)

    def met(self, question: str, rows: Sequence[int]) -> list[Met]:
        """What each of these chunks has of a question."""
        names = [plain_name(name) for name in names_of(question)]
        asked = asked_words(question)
        worth = [max(map(self._bm25.rarity, word.terms)) for word in asked]
        total = sum(worth) or 1.0

        def held_of(terms: frozenset[str]) -> list[float]:
            # Of a long Chinese word a part may be what the text calls it.
            parts = (len(terms.intersection(word.terms)) / len(word.terms) for word in asked)
            return [value * part / total for value, part in zip(worth, parts, strict=True)]

        nowhere = [word.is_sure and not any(map(self._bm25.holds, word.terms)) for word in asked]
        unknown = sum(value for value, is_none in zip(worth, nowhere, strict=True) if is_none)
        own = frozenset(term for word in asked for term in word.terms)
        keys = [name.lstrip("-") for name in names if _IS_KEY.search(name)]
        found = []
        for row in rows:
            looked = self._looked_at(row)
            held = held_of(frozenset().union(*looked.sentences))
            met = Met(
                covered=sum(held),
                in_sentence=max((sum(held_of(terms)) for terms in looked.sentences), default=0.0),
                unknown=unknown / total,
                named=sum(name in looked.said for name in names) / len(names) if names else 1.0,
                missing=max((value / total - has for value, has in zip(worth, held, strict=True)), default=0.0),
                sourced=len(looked.file & own) / max(1, len(looked.file)),
                entered=float(not looked.first.isdisjoint(keys)),
            )
            found.append(met)
        return found

    def nowhere(self, question: str) -> tuple[str, ...]:
        """Names and words of the question that no chunk has, as they were asked."""
        names = [name for name in names_of(question) if not self._is_named(plain_name(name))]
        held = self._bm25.holds
        words = [word.text for word in asked_words(question) if word.is_sure and not any(map(held, word.terms))]
        return tuple(dict.fromkeys([*names, *(word for word in words if not any(word in name for name in names))]))

    def _is_named(self, name: str) -> bool:
        terms = tokenize(name)
        if not all(map(self._bm25.holds, terms)):
            return False
        # All parts of a name may be somewhere, and the whole of it nowhere.
        return len(terms) < 2 or any(name in f"{c.source} {c.heading} {c.text}".lower() for c in self._chunks)

    def _look_at(self, row: int) -> _Looked:
        chunk = self._chunks[row]
        above = f"{chunk.source} {chunk.title} {chunk.section}"
        heading = frozenset(tokenize(_APART.sub(" ", above)))
        sentences = tuple(heading.union(tokenize(text)) for text in chunk.sentence_texts())
        file = frozenset(tokenize(_APART.sub(" ", PurePosixPath(chunk.source).stem)))
        lines = [chunk.title, *chunk.section.split(SECTION_SEPARATOR), *chunk.text.split("\n")]
        first = frozenset(plain_name(found[1].rstrip(".-/")) for found in map(_FIRST.match, lines) if found)
        return _Looked(sentences, file, first, f"{above} {chunk.text}".lower())
