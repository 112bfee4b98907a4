"""The learned part of the extractive answerer: which candidate span answers, and whether any does.

On a question's path: question -> Hits -> candidate spans -> features -> *ranker* -> answer. A small network over hashed
edge words and dense features (`benchmarks/train_extractive.py` fits it), evaluated in numpy: no torch at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.span_features import Passage

DECISION_FEATURES = 14
MAX_COMPARED = 64
_FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True)
class SpanRanker:
    """Weights of one language.

    table: [num_buckets, width] int8, times `scale`; hidden: [num_dense + 2 width, hidden]; out: [hidden]
    decision: [DECISION_FEATURES + 1], logistic weights and bias of "the passage holds the answer"
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

    def best(self, passage: Passage, scores: np.ndarray) -> int:
        """The candidate whose overlap with the others, by their probability, is largest: expected F1.

        A weak ranker spreads its belief over variants of one place; the span that they share is the better answer.
        """
        top = np.argsort(-scores, kind="stable")[:MAX_COMPARED]
        share = np.exp(scores[top] - scores[top[0]])
        first, last = passage.spans[top, 0], passage.spans[top, 1]
        length = last - first + 1
        common = np.minimum(last[:, None], last) - np.maximum(first[:, None], first) + 1
        overlap = 2 * np.maximum(0, common) / (length[:, None] + length)
        return int(top[(overlap @ share).argmax()])

    def probability(self, features: np.ndarray) -> float:
        """That the passage holds the answer, 0 to 1."""
        logit = float(features @ self.decision[:-1] + self.decision[-1])
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))

    def with_decision(self, decision: np.ndarray) -> SpanRanker:
        """The same ranker with other weights for the decision to answer."""
        return replace(self, decision=decision)

    def save(self, language: str, folder: Path = _FOLDER) -> Path:
        """Write the weights; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"span_ranker_{language}.npz"
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}
        np.savez_compressed(path, **arrays)
        return path

    def _edges(self, buckets: np.ndarray) -> np.ndarray:
        return self.table[buckets].sum(axis=1, dtype=np.int32).astype(np.float32) * np.float32(self.scale)


@lru_cache(maxsize=4)
def load_ranker(language: str, folder: Path = _FOLDER) -> SpanRanker:
    """The packaged weights of "en" or "zh". Raises ConfigError where the file is missing or broken."""
    path = folder / f"span_ranker_{language}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in SpanRanker.__dataclass_fields__}
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{path} holds no weights for the extractive answerer ({error}): reinstall pagoda") from error
    return SpanRanker(**{**values, "scale": float(values["scale"]), "out_bias": float(values["out_bias"])})


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
