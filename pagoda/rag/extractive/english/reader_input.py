"""What the neural reader sees of a question and a passage: word pieces, and what tells a word that matches.

On a question's path: question -> Hits -> *pieces and features* -> reader -> span. MiniLM's vocabulary has no capitals;
the features give them back, and mark the words that question and passage share, which few training questions would
not teach. After Chen et al. 2017, "Reading Wikipedia to Answer Open-Domain Questions" (arXiv 1704.00051), section 3.2.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.rag.extractive.english.words import READER_STOP_WORDS, is_content, reader_stem

NUM_FEATURES = 12
MAX_QUESTION = 48
MAX_WINDOW = 320
OVERLAP = 128
"""Pieces of a question, of a passage's window, and of what neighbouring windows share."""
CLS, SEP = 101, 102
_WORD = re.compile(r"\w+|[^\w\s]")
_SENTENCE_END = frozenset(".!?;\n")
_REACH = 6.0


@dataclass(frozen=True)
class ReaderInput:
    """A question and one window of its passage, as one sequence of T pieces.

    ids, types: [T] int64; features: [T, NUM_FEATURES] float32
    first: where the passage's pieces begin; offsets: [T - first - 1, 2] their characters in the passage
    """

    ids: np.ndarray
    types: np.ndarray
    features: np.ndarray
    first: int
    offsets: np.ndarray


@dataclass(frozen=True)
class _Pieces:
    ids: np.ndarray
    offsets: np.ndarray
    features: np.ndarray


class ReaderTokenizer:
    """MiniLM's own tokenizer with the features. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def windows(
        self, question: str, passage: str, length: int = MAX_WINDOW, overlap: int = OVERLAP
    ) -> list[ReaderInput]:
        """The passage in stretches of at most `length` pieces, each with the whole question; none for no words."""
        asked, told = self._pieces(question, passage), self._pieces(passage, question)
        total = len(told.ids)
        starts = range(0, max(1, total - overlap), length - overlap) if total else ()
        return [_joined(asked, told, start, min(start + length, total)) for start in starts]

    def _pieces(self, text: str, other: str) -> _Pieces:
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        offsets = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
        words = [match.span() for match in _WORD.finditer(text)]
        if not words or not len(offsets):
            return _Pieces(np.zeros(0, np.int64), offsets[:0], np.zeros((0, NUM_FEATURES), np.float32))
        owner = np.searchsorted([start for start, _ in words], offsets[:, 0], side="right") - 1
        features = _word_features([text[start:end] for start, end in words], other)
        return _Pieces(np.array(encoded.ids, dtype=np.int64), offsets, features[np.maximum(owner, 0)])


def _joined(asked: _Pieces, told: _Pieces, start: int, end: int) -> ReaderInput:
    question = asked.ids[:MAX_QUESTION]
    first = len(question) + 2
    blank = np.zeros((1, NUM_FEATURES), np.float32)
    ids = np.concatenate([[CLS], question, [SEP], told.ids[start:end], [SEP]]).astype(np.int64)
    types = (np.arange(len(ids)) >= first).astype(np.int64)
    parts = [blank, asked.features[:MAX_QUESTION], blank, told.features[start:end], blank]
    return ReaderInput(ids, types, np.concatenate(parts), first, told.offsets[start:end])


def _word_features(words: list[str], other: str) -> np.ndarray:
    """[len(words), NUM_FEATURES] float32, each between 0 and 1."""
    theirs = [match.group() for match in _WORD.finditer(other)]
    content = {reader_stem(word) for word in theirs if is_content(word)}
    stops = {word.lower() for word in theirs} & READER_STOP_WORDS
    exact = {word.lower() for word in theirs}
    stems = [reader_stem(word) for word in words]
    content_match = np.array([is_content(w) and s in content for w, s in zip(words, stems, strict=True)], np.float32)
    features = np.zeros((len(words), NUM_FEATURES), dtype=np.float32)
    for row, word in enumerate(words):
        opens = row == 0 or words[row - 1] in _SENTENCE_END
        features[row, :7] = (
            word[:1].isupper(), word[:1].isupper() and opens, len(word) > 1 and word.isupper(), word[:1].isdigit(),
            not word[:1].isalnum(), word.lower() in stops, word.lower() in exact and is_content(word),
        )  # fmt: skip
    features[:, 7] = content_match
    features[:, 8] = _pairs(content_match)
    features[:, 9] = _nearness(content_match)
    features[:, 10] = _sentence_share(words, stems, content)
    features[:, 11] = len(content & set(stems)) / max(1, len(content))
    return features


def _pairs(match: np.ndarray) -> np.ndarray:
    """1 where a word and one beside it match."""
    padded = np.concatenate([[0], match, [0]])
    return np.asarray(match * np.maximum(padded[:-2], padded[2:]))


def _nearness(match: np.ndarray) -> np.ndarray:
    """How many matching words stand around each, the near ones counting most; saturates at 1."""
    at = np.flatnonzero(match)
    distance = np.abs(np.arange(len(match))[:, None] - at[None, :])
    return np.asarray(1 - np.exp(-0.5 * np.exp(-distance / _REACH).sum(axis=1)))


def _sentence_share(words: list[str], stems: list[str], content: set[str]) -> np.ndarray:
    """The share of the other side's content words that each word's sentence holds."""
    ends = [i + 1 for i, word in enumerate(words) if word in _SENTENCE_END]
    bounds = [0, *[end for end in ends if end < len(words)], len(words)]
    share = np.zeros(len(words), np.float32)
    for left, right in itertools.pairwise(bounds):
        share[left:right] = len(content & set(stems[left:right])) / max(1, len(content))
    return share
