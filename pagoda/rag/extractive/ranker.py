"""The learned part of the extractive answerer: which candidate span answers, and whether any does.

On a question's path: question -> Hits -> candidate spans -> features -> *ranker* -> answer. A small network over hashed
edge words and dense features (`benchmarks/train_extractive.py` fits it) in English, trees in Chinese; evaluated in
numpy: no torch at run time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.extractive.passage import Passage

DECISION_FEATURES = 14
MAX_COMPARED = 64
_FOLDER = Path(__file__).parent / "data"


class SpanRanker(ABC):
    """Scores the candidates of a passage, chooses among them, and says how likely the passage holds the answer.

    decision: [DECISION_FEATURES + 1], logistic weights and bias of "the passage holds the answer"
    """

    decision: np.ndarray

    @abstractmethod
    def scores(self, passage: Passage) -> np.ndarray:
        """[num_candidates] float32; comparable within one passage."""

    @abstractmethod
    def arrays(self) -> dict[str, Any]:
        """What is saved: one array a name."""

    def best(self, passage: Passage, scores: np.ndarray) -> int:
        """The candidate whose overlap with the others, by their probability, is largest: expected F1.

        A weak ranker spreads its belief over variants of one place; the span that they share is the better answer.
        """
        top = np.argsort(-scores, kind="stable")[:MAX_COMPARED]
        share = np.exp(scores[top] - scores[top[0]])
        first, last, sizes = passage.spans[top, 0], passage.spans[top, 1], passage.sizes()
        length = sizes[last + 1] - sizes[first]
        left, right = np.maximum(first[:, None], first), np.minimum(last[:, None], last)
        common = np.where(left <= right, sizes[right + 1] - sizes[left], 0)
        overlap = 2 * np.maximum(0, common) / np.maximum(1, length[:, None] + length)
        return int(top[(overlap @ share).argmax()])

    def probability(self, features: np.ndarray) -> float:
        """That the passage holds the answer, 0 to 1."""
        logit = float(features @ self.decision[:-1] + self.decision[-1])
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))

    def save(self, language: str, folder: Path = _FOLDER) -> Path:
        """Write the weights; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"span_ranker_{language}.npz"
        np.savez_compressed(path, **self.arrays())
        return path


@dataclass(frozen=True)
class HashedRanker(SpanRanker):
    """Weights of one language.

    table: [num_buckets, width] int8, times `scale`; hidden: [num_dense + 2 width, hidden]; out: [hidden]
    """

    table: np.ndarray
    scale: float
    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray
    out_bias: float
    decision: np.ndarray

    def scores(self, passage: Passage) -> np.ndarray:
        """[num_candidates] float32; comparable within one passage."""
        starts, ends = self._edges(passage.starts), self._edges(passage.ends)
        first, last = passage.spans[:, 0], passage.spans[:, 1]
        num_dense, width = passage.dense.shape[1], starts.shape[1]
        # A span's hidden layer is a sum of three parts; the edges' parts are computed once a token, not once a span.
        from_start = starts @ self.hidden[num_dense : num_dense + width]
        from_end = ends @ self.hidden[num_dense + width :]
        inner = passage.dense @ self.hidden[:num_dense] + from_start[first] + from_end[last] + self.hidden_bias
        edge = starts[first, 0] + ends[last, 0]
        return np.asarray(np.maximum(inner, 0) @ self.out + self.out_bias + edge, dtype=np.float32)

    def with_decision(self, decision: np.ndarray) -> HashedRanker:
        """The same ranker with other weights for the decision to answer."""
        return replace(self, decision=decision)

    def arrays(self) -> dict[str, Any]:
        """What is saved: one array a name."""
        return {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Any) -> HashedRanker:
        """From what `arrays` gave. Raises KeyError where one is missing."""
        values = {name: arrays[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "scale": float(values["scale"]), "out_bias": float(values["out_bias"])})

    def _edges(self, buckets: np.ndarray) -> np.ndarray:
        return self.table[buckets].sum(axis=1, dtype=np.int32).astype(np.float32) * np.float32(self.scale)


@lru_cache(maxsize=4)
def load_ranker(language: str, folder: Path = _FOLDER) -> SpanRanker:
    """The packaged weights of "en" or "zh". Raises ConfigError where the file is missing or broken."""
    from pagoda.rag.extractive.chinese.tree_ranker import TreeRanker

    path = folder / f"span_ranker_{language}.npz"
    kind = TreeRanker if language == "zh" else HashedRanker
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return kind.from_arrays(arrays)
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{path} holds no weights for the extractive answerer ({error}): reinstall pagoda") from error


def decision_features(passage: Passage, scores: np.ndarray, best: int) -> np.ndarray:
    """[DECISION_FEATURES] float32: how sure the ranker is, and what of the question the passage does not hold."""
    odds = np.exp(scores - scores.max())
    share = odds / odds.sum()
    first, last = passage.spans[best]
    near = (passage.spans[:, 0] <= last) & (passage.spans[:, 1] >= first)
    rest = scores[~near].max() if (~near).any() else scores.min()
    dense = passage.dense[best]
    chosen = [
        float(scores.max()), float(np.log(share.max())), float(share[near].sum()), float(scores.max() - rest),
        float(dense[0]), float(dense[2]), float(dense[1]), float(dense[19]), *passage.coverage.tolist(),
    ]  # fmt: skip
    return np.array(chosen, dtype=np.float32)
