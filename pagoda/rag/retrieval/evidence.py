"""What else tells that a chunk answers, beside its own words and their meaning: its page, its names, what stands close.

On a question's path: question -> words and vectors -> *the best of them looked at more closely* -> Hits -> answer. In a
manual many chunks share a question's words. The one that answers names what the question names, be it in a title or in
the path alone; it has the words side by side; its page and the chunks around it speak of the same; and where a number is
asked for, it holds one. Each sign is a share or a score, standardised among the candidates like every other leg.
Papers: Metzler and Croft 2005, "A Markov Random Field Model for Term Dependencies" (words side by side); Robertson et
al. 2004, "Simple BM25 Extension to Multiple Weighted Fields" (title and path).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pagoda.rag.content_words import names_of
from pagoda.rag.documents.document import Chunk
from pagoda.rag.retrieval.lexical import tokenize

NUM_SIGNS = 5
_KEPT_CHUNKS = 4096
_ASKS_NUMBER = re.compile(
    r"\bhow\s+(?:many|much|long|large|big|often|old|far|deep|fast|high)\b|\b(?:default|maximum|minimum|limit|port|version"
    r"|when|year|status|exit|code|size|number)\b|多少|几|幾|多[大长長久高]|上限|下限|端口|哪年|版本|状态码|退出码|大小",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d|[一二三四五六七八九十百千万]")


class Evidence:
    """Looks at chunks of one snapshot, in its order. Never changes what it tells; threads may share it."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        sources = [chunk.source for chunk in chunks]
        # [num_chunks] whether a chunk begins a document; [num_documents + 1] where each begins, and the end.
        begins = np.array([i == 0 or sources[i] != sources[i - 1] for i in range(len(sources))], dtype=bool)
        self._first = np.flatnonzero(begins)
        self._document = np.cumsum(begins) - 1
        self._looked_at = lru_cache(maxsize=_KEPT_CHUNKS)(self._terms_of)

    def signs(self, question: str, words: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """[len(rows), NUM_SIGNS]: pairs side by side, the page, the neighbours, names, a number.

        words: [num_chunks], the BM25 score of every chunk
        """
        if not len(rows):
            return np.zeros((0, NUM_SIGNS))
        page, near = self._around(words)
        asked = list(itertools.pairwise(tokenize(question)))
        names = [name.lower() for name in names_of(question)]
        wanted = frozenset(tokenize(question)) if _ASKS_NUMBER.search(question) else frozenset()
        own = [self._own(row, asked, names, wanted) for row in rows]
        return np.array([[o[0], page[row], near[row], *o[1:]] for row, o in zip(rows, own, strict=True)])

    def _around(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[num_chunks] twice: the highest score of a chunk's document, of the chunks beside it in it."""
        scores = words / max(float(words.max(initial=0.0)), 1e-9)
        page = np.maximum.reduceat(scores, self._first)[self._document]
        # A chunk of another document is no neighbour.
        same = self._document[1:] == self._document[:-1]
        near = np.zeros(len(scores))
        near[1:] = np.where(same, scores[:-1], 0.0)
        near[:-1] = np.maximum(near[:-1], np.where(same, scores[1:], 0.0))
        return page, near

    def _own(
        self, row: int, asked: Sequence[tuple[str, str]], names: Sequence[str], wanted: frozenset[str]
    ) -> tuple[float, float, float]:
        """Share of the question's pairs and of its names that the chunk has; whether a number is where one is asked."""
        pairs, sentences, known = self._looked_at(row)
        return (
            sum(pair in pairs for pair in asked) / max(1, len(asked)),
            sum(name in known for name in names) / len(names) if names else 1.0,
            float(bool(wanted) and _has_number(sentences, wanted)),
        )

    def _terms_of(self, row: int) -> tuple[frozenset[tuple[str, str]], list[tuple[frozenset[str], bool]], str]:
        """Pairs of neighbouring terms; of each sentence its terms and whether it has a number; all that may name it."""
        chunk = self._chunks[row]
        told = chunk.sentence_texts()
        sentences = [(frozenset(tokenize(text)), _NUMBER.search(text) is not None) for text in told]
        known = f"{chunk.source} {chunk.title} {chunk.section} {chunk.text}".lower()
        return frozenset(itertools.pairwise(tokenize(chunk.text))), sentences, known


def _has_number(sentences: Sequence[tuple[frozenset[str], bool]], wanted: frozenset[str]) -> bool:
    """In the sentence with most of the wanted terms, or in the one behind it."""
    best = max(range(len(sentences)), key=lambda place: (len(sentences[place][0] & wanted), -place), default=0)
    return any(has for _, has in sentences[best : best + 2])
