"""How a question's words stand in a passage by meaning, word by word: what tells a question that only looks answerable.

Beside the decision to answer: question and passage -> *alignment* -> log-odds -> what is shown. Equal words alone
(`answerable`) take every paraphrase for something missing. Here each word of the question looks for its nearest in the
passage by MiniLM's token vectors, after late interaction (Khattab and Zaharia 2020, "ColBERT", arXiv 2004.12832). A few
numbers of that are weighed beside the counts of words by a logistic regression, which `benchmarks/train_alignment.py`
fits to running prose; elsewhere it is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pagoda.errors import ConfigError
from pagoda.minilm.numpy_encoder import NumpyEncoder
from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.rag.extractive.english.answerable import (
    ASKING,
    NUMERALS,
    WORD,
    both,
    feature_names,
    features_of,
    load_answerable,
)
from pagoda.rag.extractive.english.reader_input import CLS, SEP
from pagoda.rag.extractive.english.words import answerable_stem, is_content

WEIGHTS = Path(__file__).parents[1] / "data" / "alignment_en.npz"
_MAX_PIECES = 384
_KEPT = 64
"""Texts whose vectors are kept: the passages of a question, and of those before and after it."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The words of a text. starts: [n] characters; vectors: [n, HIDDEN] of length 1; mean: [HIDDEN] of all pieces."""

    words: tuple[str, ...]
    starts: np.ndarray
    vectors: np.ndarray
    mean: np.ndarray

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """As the decision to answer compares words."""
        return tuple(answerable_stem(word.lower()) for word in self.words)

    @cached_property
    def is_number(self) -> np.ndarray:
        """[n] bool."""
        return np.array([word[0].isdigit() or word.lower() in NUMERALS for word in self.words], dtype=bool)

    @cached_property
    def is_name(self) -> np.ndarray:
        """[n] bool: with a capital, and not the first word."""
        return np.array([at > 0 and word[0].isupper() for at, word in enumerate(self.words)], dtype=bool)


class Alignment:
    """A question beside its passage; its numbers by name are `features`.

    sentences: (start, end) characters of the passage
    """

    def __init__(self, question: WordVectors, passage: WordVectors, sentences: Sequence[tuple[int, int]]) -> None:
        self._asked, self._told = question, passage
        self._owner = np.maximum(np.searchsorted([start for start, _ in sentences], passage.starts, "right") - 1, 0)
        content = [at for at, word in enumerate(question.words) if is_content(word) and word.lower() not in ASKING]
        self._content = np.array(content or range(len(question.words)), dtype=np.int64)
        stems = np.array(passage.stems, dtype=object)
        # [content, passage]: same stem; likeness, 1 for the same stem, -1 for a word of the passage that says nothing.
        self._same = np.stack([stems == question.stems[at] for at in self._content])
        likeness = question.vectors[self._content] @ passage.vectors.T
        likeness[:, [not is_content(word) for word in passage.words]] = -1.0
        self._likeness = np.where(self._same, 1.0, likeness)
        # [content, sentences]: the best of each sentence.
        inside = [self._owner == index for index in range(max(1, len(sentences)))]
        self._best = np.stack([self._likeness[:, i].max(axis=1, initial=-1.0) for i in inside], axis=1)
        held = np.stack([self._same[:, i].any(axis=1) for i in inside], axis=1)
        rarity = np.log(1 + (held.shape[1] + 1) / (held.sum(axis=1) + 0.5))
        self._weight = rarity / rarity.sum()
        self._chosen = int(np.argmax(self._weight @ np.clip(self._best, 0, 1) ** 2))
        self._missing = ~held[:, self._chosen]
        self._near = np.flatnonzero(inside[self._chosen])

    def features(self) -> dict[str, float]:
        """Every number by its name; "sentence" is the one that holds most of the question."""
        anywhere, nowhere = self._best.max(axis=1), ~self._same.any(axis=1)
        missing = self._best[self._missing, self._chosen]
        names, numbers = (kind[self._content] for kind in (self._asked.is_name, self._asked.is_number))
        near = self._told.vectors[self._near] if len(self._near) else self._told.vectors
        return {
            "missing_from_sentence": float(missing.mean()) if len(missing) else 1.0,
            "paraphrased": float((1 - anywhere[nowhere]).sum()),
            "farthest_plain_word": float(anywhere[~names & ~numbers].min(initial=1.0)),
            "like_sentence": float(_normal(self._asked.mean) @ _normal(near.mean(axis=0))),
            "other_number": float((numbers & self._missing).any() and self._told.is_number[self._new()].any()),
            "other_name": float((names & self._missing).any() and self._has_new_name()),
        }

    def _new(self) -> list[int]:
        """Words of the sentence that the question has not."""
        asked = {self._asked.stems[at] for at in self._content}
        return [at for at in self._near.tolist() if self._told.stems[at] not in asked]

    def _has_new_name(self) -> bool:
        """The first word of a sentence has a capital anyway."""
        return any(self._told.words[at][0].isupper() and at != self._near[0] for at in self._new())


@dataclass(frozen=True)
class Aligned:
    """The decision of `answerable` for running prose: alignment is weighed beside the words, the rest is its own.

    told: [num_features + 1], logistic weights and bias of "the passage, which is about it, holds the answer"
    """

    told: np.ndarray

    def log_odds(
        self, question: str, passage: str, sentences: Sequence[tuple[int, int]], reader_log_odds: float
    ) -> float:
        """That the passage holds the answer, where half of the questions have one.

        Raises MissingExtraError without the packaged MiniLM.
        """
        features, words = aligned_features(question, passage, sentences), load_answerable()
        about = features[: len(feature_names())] @ words.about[:-1] + words.about[-1]
        told = features @ self.told[:-1] + self.told[-1] + words.trust * reader_log_odds
        return float(both(about, told))

    def save(self, path: Path = WEIGHTS) -> None:
        """Write the weights."""
        np.savez_compressed(path, names=np.array(all_names()), told=self.told.astype(np.float32))


@lru_cache(maxsize=2)
def load_alignment(path: Path = WEIGHTS) -> Aligned:
    """The packaged weights. Raises ConfigError where their file is missing, broken, or of other features."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, told = tuple(arrays["names"].tolist()), arrays["told"].astype(np.float64)
    except (OSError, KeyError, ValueError, TypeError, BadZipFile) as error:
        raise ConfigError(f"{path} holds no weights of alignment ({error}): reinstall pagoda") from error
    if names != all_names() or told.shape != (len(names) + 1,):
        raise ConfigError(f"{path} holds weights of other features than are counted: reinstall pagoda")
    return Aligned(told)


def aligned_features(question: str, passage: str, sentences: Sequence[tuple[int, int]]) -> np.ndarray:
    """[num_features] float64, as `all_names` has them; zeros for the alignment of a text without words."""
    words = features_of(question, [passage[left:right] for left, right in sentences])
    asked, told = word_vectors(question), word_vectors(passage)
    if not asked.words or not told.words:
        return np.append(words, np.zeros(len(ALIGNED_NAMES)))
    return np.append(words, list(Alignment(asked, told, sentences).features().values()))


def all_names() -> tuple[str, ...]:
    """The names of all features, in their order."""
    return (*feature_names(), *ALIGNED_NAMES)


def word_vectors(text: str) -> WordVectors:
    """The words of a text, as far as MiniLM reads. Raises MissingExtraError where it is not installed."""
    return _network().read(text)


def likeness_of_means(one: WordVectors, other: WordVectors) -> float:
    """Cosine of two whole texts, -1 to 1; 0 for one without words."""
    return float(_normal(one.mean) @ _normal(other.mean))


class _Network:
    """MiniLM as the embedder has it, read word by word. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._encoder = NumpyEncoder(read_arrays(folder))
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.read = lru_cache(maxsize=_KEPT)(self._read)

    def _read(self, text: str) -> WordVectors:
        """The words of a text, as far as the network reads."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        ids = np.array([[CLS, *encoded.ids[: _MAX_PIECES - 2], SEP]], dtype=np.int64)
        offsets = np.array(encoded.offsets[: _MAX_PIECES - 2], dtype=np.int64).reshape(-1, 2)
        pieces = self._encoder.run(self._encoder.embed(ids), range(NUM_LAYERS))[0, 1:-1]
        words, starts, vectors = [], [], []
        for match in WORD.finditer(text.replace("’", "'")):
            own = (offsets[:, 1] > match.start()) & (offsets[:, 0] < match.end())
            if own.any():
                words.append(match.group())
                starts.append(match.start())
                vectors.append(_normal(pieces[own].mean(axis=0)))
        stacked = np.stack(vectors) if vectors else np.zeros((0, HIDDEN), np.float32)
        mean = pieces.mean(axis=0) if len(pieces) else np.zeros(HIDDEN, np.float32)
        return WordVectors(tuple(words), np.array(starts, dtype=np.int64), stacked, mean)


@lru_cache(maxsize=1)
def _network() -> _Network:
    return _Network(packaged_folder("the alignment of English (all-MiniLM-L6-v2)", "rag"))


def _normal(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _names() -> tuple[str, ...]:
    """Of the alignment's numbers, in their order."""
    word = WordVectors(("a",), np.zeros(1, np.int64), np.ones((1, HIDDEN), np.float32), np.ones(HIDDEN, np.float32))
    return tuple(Alignment(word, word, [(0, 1)]).features())


ALIGNED_NAMES = _names()
