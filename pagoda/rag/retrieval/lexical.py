"""BM25: chunks that share words with a question, in English and in Chinese.

Beside the vectors on a question's path: question -> *words* -> Hits -> answer. Chinese has no blanks between words;
pairs of neighbouring characters find what a word list would, and need none. Paper: Robertson and Zaragoza 2009, "The
Probabilistic Relevance Framework: BM25 and Beyond"; scores are computed ahead as in Lù 2024, "BM25S" (arXiv
2407.03618).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from pagoda.errors import MissingExtraError
from pagoda.rag.english import STOP_WORDS, stem
from pagoda.rag.errors import RagError

K1, B = 1.2, 0.6
VERSION = 6
_DESCRIPTION = "description.json"
_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_TERM = re.compile(rf"(?P<han>[{_HAN}]+)|(?:(?<![^\W_])v)?(?P<number>\d+(?:[.,]\d+)+)|[^\W_{_HAN}]+(?:'[^\W_{_HAN}]+)*")
# What questions and sentences are built of; alone or two of them together they say nothing of a subject.
STOP_CHARACTERS = frozenset(
    "的了是在和與与吗嗎呢么麼之有哪什何谁誰些个個为為被请請问問多少几幾怎样樣里裡裏也都及其以于於而并並由从從到對对這这那"
)


def tokenize(text: str) -> list[str]:
    """The terms of a text, in order, with repetitions.

    English words are lowercase, without accents and endings, and stop words go; Chinese characters come alone and in
    pairs: pairs tell words apart, single characters find a word that the text abbreviates. Traditional characters are
    taken for the simplified ones that they became. Numbers are kept whole, versions without their v.

    >>> tokenize("The cities' 1,200 rivers were flooding"), tokenize("北京的 v3.5 km")
    (['citi', '1200', 'river', 'flood'], ['北', '京', '北京', '京的', '3.5', 'km'])
    >>> tokenize("圖書館") == tokenize("图书馆")
    True
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return list(_terms(plain.translate(_simplified()) if _HAN_CHARACTER.search(plain) else plain))


class Bm25Index:
    """BM25 scores of every text for a question. Never changes; threads may share it."""

    def __init__(self, scorer: Any, num_texts: int) -> None:
        self._scorer = scorer
        self._num_texts = num_texts

    def __len__(self) -> int:
        return self._num_texts

    @classmethod
    def build(cls, texts: Sequence[str]) -> Self:
        """From the texts, whose order is that of the scores. Raises MissingExtraError."""
        terms = [tokenize(text) for text in texts]
        if not any(terms):
            return cls(None, len(texts))
        scorer = _library().BM25(k1=K1, b=B, backend="numpy")
        scorer.index(terms, show_progress=False, create_empty_token=False)
        return cls(scorer, len(texts))

    def scores(self, query: str) -> np.ndarray:
        """float32 [num_texts], 0 where a text shares no term with the query. A term counts once."""
        terms = [term for term in dict.fromkeys(tokenize(query)) if self._knows(term)]
        if not terms:
            return np.zeros(self._num_texts, dtype=np.float32)
        return np.asarray(self._scorer.get_scores(terms), dtype=np.float32)

    def rarity(self, term: str) -> float:
        """What finding a term is worth, as BM25 has it; that of a term in no text is the highest."""
        num_with = 0
        if self._knows(term):
            # A column a term, an entry for each text that holds it.
            bounds, column = self._scorer.scores["indptr"], self._scorer.vocab_dict[term]
            num_with = int(bounds[column + 1] - bounds[column])
        return math.log1p((self._num_texts - num_with + 0.5) / (num_with + 0.5))

    def holds(self, term: str) -> bool:
        """Whether any text has the term."""
        return self._knows(term)

    def save(self, folder: Path) -> None:
        """Write it into a folder; the last file tells that the others are whole."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._scorer is not None:
            self._scorer.save(str(folder), show_progress=False)
        description = {"version": VERSION, "num_texts": self._num_texts, "is_empty": self._scorer is None}
        (folder / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises RagError where it is not whole, or of another version."""
        try:
            description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            if description["version"] != VERSION:
                raise RagError(f"{folder} holds a BM25 index of version {description['version']}, not {VERSION}")
            scorer = None if description["is_empty"] else _library().BM25.load(str(folder), load_corpus=False)
            return cls(scorer, int(description["num_texts"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RagError(f"{folder} holds no BM25 index that can be read ({error}): build it anew") from error

    def _knows(self, term: str) -> bool:
        return self._scorer is not None and term in self._scorer.vocab_dict


def _terms(text: str) -> Iterator[str]:
    for match in _TERM.finditer(text):
        if match["han"]:
            yield from _han_terms(match["han"])
        elif match["number"]:
            yield re.sub(r",(?=\d{3})", "", match["number"])
        elif match[0] not in STOP_WORDS:
            yield stem(_unaccented(match[0])) if match[0].isalpha() or "'" in match[0] else match[0]


@cache
def _simplified() -> dict[int, str]:
    """Traditional characters to simplified ones, each by itself: OpenCC's table, asked once for all of them."""
    try:
        import opencc
    except ModuleNotFoundError as error:
        raise MissingExtraError("search in traditional Chinese (opencc)", "rag") from error
    characters = list(map(chr, [*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000)]))
    converted = opencc.OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {ord(one): other for one, other in zip(characters, converted, strict=True) if one != other}


def _han_terms(run: str) -> Iterator[str]:
    yield from (character for character in run if character not in STOP_CHARACTERS)
    pairs = (run[i : i + 2] for i in range(len(run) - 1))
    yield from (pair for pair in pairs if not STOP_CHARACTERS.issuperset(pair))


def _unaccented(word: str) -> str:
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def _library() -> Any:
    try:
        import bm25s
    except ModuleNotFoundError as error:
        raise MissingExtraError("word search (bm25s)", "rag") from error
    return bm25s
